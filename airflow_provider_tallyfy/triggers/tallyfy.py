"""Triggers: waits that cost no worker while people work."""

from airflow_provider_tallyfy.triggers._events import TallyfyRunEventTrigger
from airflow_provider_tallyfy.triggers._waits import (
    TallyfyApprovalTrigger,
    TallyfyFormFieldTrigger,
    TallyfyRunsStatusTrigger,
    TallyfyRunStatusTrigger,
    TallyfyTaskTrigger,
)

__all__ = [
    "TallyfyApprovalTrigger",
    "TallyfyFormFieldTrigger",
    "TallyfyRunEventTrigger",
    "TallyfyRunStatusTrigger",
    "TallyfyRunsStatusTrigger",
    "TallyfyTaskTrigger",
]
