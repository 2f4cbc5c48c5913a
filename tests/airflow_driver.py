"""What Airflow does with one attempt of a task around ``execute``, in this process and without its database."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from airflow.models.trigger import Trigger
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

#: No wait of a test takes this long; this only ends one that would never end.
TOO_LONG = 30


@dataclass
class FakeTaskInstance:
    """The part of a running task instance that operators use; it remembers what they pushed."""

    pushed: dict[str, Any] = field(default_factory=dict)
    dag_id: str = "dag"
    task_id: str = "task"
    run_id: str = "manual"
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 0

    def xcom_push(self, key: str, value: Any) -> None:
        """Take what every supported Airflow takes: 3.0 answers ``None`` with 422, and tuples come out as lists."""
        assert value is not None, f"XCom {key} is None"
        plain = json.loads(json.dumps(value))
        assert plain == value, f"XCom {key} is not plain JSON: {value!r}"
        self.pushed[key] = plain

    def get_first_reschedule_date(self, context: Any) -> None:
        return None


@dataclass(frozen=True)
class End:
    """How an attempt ended: the state Airflow gives it, with the result or the kind of error."""

    state: str
    result: Any = None
    error: str | None = None
    exception: BaseException | None = field(default=None, compare=False, repr=False)


def new_context() -> dict[str, Any]:
    return {"ti": FakeTaskInstance()}


def attempt(act: Callable[[], Any]) -> End:
    """Do what a worker does with a task and name the state it would give it."""
    try:
        result = act()
    except AirflowSkipException as skipped:
        return End("skipped", exception=skipped)
    except (AirflowFailException, AirflowSensorTimeout) as failed:
        return End("failed", error=type(failed).__name__, exception=failed)
    except BaseException as failed:
        # AirflowTaskTimeout is no Exception; deferrals and reschedules are not the end of an attempt.
        if isinstance(failed, TaskDeferred | KeyboardInterrupt) or "Reschedule" in type(failed).__name__:
            raise
        return End("up_for_retry", error=type(failed).__name__, exception=failed)
    return End("success", result=json.loads(json.dumps(result)))


def rebuilt(trigger: Any) -> Any:
    """Store a trigger in Airflow's database row and make it again from there, as a triggerer does."""
    row = Trigger.from_object(trigger)
    module, _, name = row.classpath.rpartition(".")
    return getattr(import_module(module), name)(**row.kwargs)


async def events_of(trigger: Any) -> list[Any]:
    async with asyncio.timeout(TOO_LONG):
        return [event async for event in trigger.run()]


def only_event(trigger: Any) -> Any:
    """Run a trigger to its end; it fires exactly one event."""
    events = asyncio.run(events_of(trigger))
    assert len(events) == 1, events
    return events[0]


def deferral(operator: Any, context: dict[str, Any] | None = None) -> TaskDeferred:
    """Execute an operator that defers."""
    try:
        result = operator.execute(context or new_context())
    except TaskDeferred as deferred:
        return deferred
    raise AssertionError(f"did not defer, but returned {result!r}")


def resume(operator: Any, deferred: TaskDeferred, event: Any) -> Any:
    """Resume a task on a fresh operator with what came through the database."""
    payload = json.loads(json.dumps(event.payload))
    kwargs = {**(deferred.kwargs or {}), "event": payload}
    return operator.resume_execution(deferred.method_name, kwargs, new_context())


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait until another thread has done something, such as noticing that a client hung up."""
    deadline = time.monotonic() + TOO_LONG
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()
