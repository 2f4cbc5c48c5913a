"""How Airflow stores triggers."""

from __future__ import annotations

import inspect
from typing import Any

from airflow.triggers.base import BaseTrigger

#: Where DAG authors, and Airflow's database, find the triggers.
PUBLIC_MODULE = "airflow_provider_tallyfy.triggers.tallyfy"


def serialized(trigger: BaseTrigger) -> tuple[str, dict[str, Any]]:
    """Give the class path and the arguments of a trigger that keeps each under its name."""
    kind = type(trigger)
    return f"{kind.__module__}.{kind.__qualname__}", {
        name: getattr(trigger, name) for name in inspect.signature(kind).parameters
    }
