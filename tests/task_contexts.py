"""Contexts of tasks that were retried, cleared or mapped, without a scheduler."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.airflow_driver import FakeTaskInstance

#: What Airflow accepts under one key of the task state store, in bytes.
LARGEST_VALUE = 64 * 1024


class FakeTaskStateStore:
    """The part of Airflow 3.3's ``context["task_state_store"]`` that operators use; it survives tries and clearing."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        if value is None:
            raise ValueError("Cannot set value as None")
        text = json.dumps(value)
        assert len(text) <= LARGEST_VALUE, f"{len(text)} bytes under one key"
        self.values[key] = json.loads(text)

    def delete(self, key: str) -> None:
        del self.values[key]


@dataclass
class FakeDagRun:
    """The part of a DAG run that operators use."""

    clear_number: int = 0
    run_after: datetime | None = field(default_factory=lambda: datetime.now(UTC))
    logical_date: datetime | None = None
    start_date: datetime | None = None


@dataclass
class RunningTask(FakeTaskInstance):
    """A task instance whose XComs survive a deferral."""

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return self.pushed.get(key)


def context_of(
    try_number: int = 1,
    *,
    dag_run: FakeDagRun | None = None,
    store: FakeTaskStateStore | None = None,
    **ti: Any,
) -> dict[str, Any]:
    context = {"ti": RunningTask(try_number=try_number, **ti), "dag_run": dag_run or FakeDagRun()}
    return context | ({"task_state_store": store} if store is not None else {})
