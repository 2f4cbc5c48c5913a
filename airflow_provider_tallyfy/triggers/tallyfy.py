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

for _name in __all__:
    globals()[_name].__module__ = __name__  # the public path, in the UI and in what Airflow stores
