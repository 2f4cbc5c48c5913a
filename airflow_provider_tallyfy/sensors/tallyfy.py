"""All sensors: they wait for people, on a worker or (deferrable) without one."""

from airflow_provider_tallyfy.sensors.details import TallyfyFormFieldSensor, TallyfyTaskSensor
from airflow_provider_tallyfy.sensors.runs import TallyfyRunsStatusSensor, TallyfyRunStatusSensor

__all__ = ["TallyfyFormFieldSensor", "TallyfyRunStatusSensor", "TallyfyRunsStatusSensor", "TallyfyTaskSensor"]
