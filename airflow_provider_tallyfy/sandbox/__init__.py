"""A Tallyfy to try things on: the documented REST API, in memory, on a loopback port.

``python -m airflow_provider_tallyfy.sandbox`` serves it to other processes; :class:`Sandbox` serves it to
tests from a background thread. It shares no code with the client in this distribution, so that a
misunderstanding of the API cannot hide on both sides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_tallyfy.sandbox.behavior import Behavior
    from airflow_provider_tallyfy.sandbox.faults import Fault, Faults
    from airflow_provider_tallyfy.sandbox.server import Sandbox
    from airflow_provider_tallyfy.sandbox.state import RecordedRequest

__all__ = ["Behavior", "Fault", "Faults", "RecordedRequest", "Sandbox"]

_MODULES = {
    "Behavior": "behavior",
    "Fault": "faults",
    "Faults": "faults",
    "RecordedRequest": "state",
    "Sandbox": "server",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package loads no web server."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
