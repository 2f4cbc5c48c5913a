"""Sensors: they wait for people, on a worker or (deferrable) without one."""

from airflow_provider_tallyfy.sensors._details import TallyfyFormFieldSensor, TallyfyTaskSensor
from airflow_provider_tallyfy.sensors._runs import TallyfyRunsStatusSensor, TallyfyRunStatusSensor

__all__ = [
    "TallyfyFormFieldSensor",
    "TallyfyRunStatusSensor",
    "TallyfyRunsStatusSensor",
    "TallyfyTaskSensor",
]

for _name in __all__:
    globals()[_name].__module__ = __name__  # the public path, in the UI and in what Airflow stores
