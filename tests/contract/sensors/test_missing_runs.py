"""A run that appears already finished and archived, with archived runs hidden or shown."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseSensorOperator

from airflow_provider_tallyfy.sensors.tallyfy import (
    TallyfyFormFieldSensor,
    TallyfyRunsStatusSensor,
    TallyfyRunStatusSensor,
    TallyfyTaskSensor,
)
from tests.airflow_driver import attempt, new_context

pytestmark = pytest.mark.usefixtures("worlds")

RUN_ID = "0123456789abcdef0123456789abcdef"

SENSORS: dict[str, Any] = {
    "run": lambda **arguments: TallyfyRunStatusSensor(run_id=RUN_ID, **arguments),
    "runs": lambda **arguments: TallyfyRunsStatusSensor(run_ids=[RUN_ID], **arguments),
    "task": lambda **arguments: TallyfyTaskSensor(run_id=RUN_ID, task_name="Sign", **arguments),
    "field": lambda **arguments: TallyfyFormFieldSensor(run_id=RUN_ID, field="Verdict", **arguments),
}
#: A task or field of a hidden run counts as missing for good.
ENDS = {"run": "success", "runs": "success", "task": "failed", "field": "failed"}


def sensor(kind: str = "run", **arguments: Any) -> Any:
    return SENSORS[kind](**{"task_id": "wait", "missing": "wait", "poke_interval": 1} | arguments)


def appear(tallyfy) -> None:
    tallyfy.add_run(id=RUN_ID, status="complete", archived=True)


@pytest.fixture
def after(monkeypatch) -> Callable[..., None]:
    """Return a function that schedules an act after some seconds of a clock that only Airflow's sleep moves."""
    clock = SimpleNamespace(now=1_900_000_000.0, acts=[])

    def sleep(seconds: float) -> None:
        clock.now += seconds
        for act in [act for act in clock.acts if act[0] <= clock.now]:
            clock.acts.remove(act)
            act[1]()

    read = SimpleNamespace(time=lambda: clock.now, monotonic=lambda: clock.now, sleep=sleep)
    for module in ("worker", "deadline"):
        monkeypatch.setattr(f"airflow_provider_tallyfy.waits.{module}.time", read)
    monkeypatch.setattr(sys.modules[BaseSensorOperator.__module__], "time", read)
    return lambda seconds, act: clock.acts.append((clock.now + seconds, act))


@pytest.mark.parametrize("kind", SENSORS)
def test_a_run_that_appears_archived_is_found_at_the_last_look_at_the_latest(tallyfy, after, kind):
    after(1, lambda: appear(tallyfy))
    end = attempt(lambda: sensor(kind, timeout=6).execute(new_context()))
    assert end.state == ENDS[kind]
    assert end.error != "AirflowSensorTimeout"


@pytest.mark.parametrize("kind", SENSORS)
def test_a_run_that_appears_archived_is_found_at_a_tenth_look(tallyfy, after, kind):
    after(1, lambda: appear(tallyfy))
    waiting = sensor(kind, timeout=1000)
    end = attempt(lambda: waiting.execute(new_context()))
    assert end.state == ENDS[kind]
    assert sum(request.path.endswith(f"/runs/{RUN_ID}") for request in tallyfy.requests) <= 11


def test_a_run_that_never_appears_costs_little_more_than_a_request_a_look(tallyfy, after):
    end = attempt(lambda: sensor(timeout=30).execute(new_context()))
    assert end.error == "AirflowSensorTimeout"
    lists = [request for request in tallyfy.requests if request.path.endswith("/runs")]
    assert len(lists) <= 5
    assert len(tallyfy.requests) <= 37


def test_a_rescheduled_look_finds_a_run_that_appears_archived(tallyfy):
    appear(tallyfy)
    assert attempt(lambda: sensor(mode="reschedule").execute(new_context())).state == "success"
