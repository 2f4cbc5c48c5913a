"""Triggers: waits that cost no worker while people work."""

from airflow_provider_tallyfy.triggers._events import TallyfyRunEventTrigger
from airflow_provider_tallyfy.triggers._waits import (
    TallyfyFormFieldTrigger,
    TallyfyRunsStatusTrigger,
    TallyfyRunStatusTrigger,
    TallyfyTaskTrigger,
)

__all__ = [
    "TallyfyFormFieldTrigger",
    "TallyfyRunEventTrigger",
    "TallyfyRunStatusTrigger",
    "TallyfyRunsStatusTrigger",
    "TallyfyTaskTrigger",
]
