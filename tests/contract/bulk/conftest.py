from __future__ import annotations

from typing import Any

import pytest

from tests.airflow_driver import FakeTaskInstance
from tests.task_contexts import FakeTaskStateStore


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    """Repeat looks without a pause: the replicas of the sandbox lag by looks, not by seconds."""
    monkeypatch.setattr("airflow_provider_tallyfy.api.flows.replica_lag.REPLICA_LAG_PAUSES", (0.0, 0.0))


class Tries:
    """Contexts for the tries of one task, which share what Airflow keeps between them."""

    def __init__(self, store: FakeTaskStateStore | None) -> None:
        self.store = store
        self.number = 0
        self.last: dict[str, Any] = {}

    def next(self) -> dict[str, Any]:
        self.number += 1
        self.last = {"ti": FakeTaskInstance(try_number=self.number)}
        if self.store is not None:
            self.last["task_state_store"] = self.store
        return self.last

    @property
    def pushed(self) -> dict[str, Any]:
        return self.last["ti"].pushed


@pytest.fixture
def tries():
    """Tries of a task on Airflow >= 3.3, which has a task state store."""
    return Tries(FakeTaskStateStore())


@pytest.fixture
def tries_without_store():
    return Tries(None)


@pytest.fixture(params=["with task state store", "without"])
def tries_on_any_airflow(request):
    return Tries(FakeTaskStateStore() if request.param == "with task state store" else None)
