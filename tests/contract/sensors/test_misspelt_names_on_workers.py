"""A sensor that waits on a worker for a task or form field that does not exist."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.exceptions import AirflowRescheduleException

from tests.airflow_driver import FakeTaskInstance, attempt, new_context
from tests.contract.sensors.test_missing_runs import RUN_ID, after, sensor

__all__ = ["after"]

WRONG = pytest.mark.parametrize(
    ("kind", "name"), [("task", {"task_name": "Prepares"}), ("field", {"field": "Customer names"})]
)


def misspelt(kind: str, name: dict[str, str], **arguments):
    made = sensor(kind, poke_interval=30, timeout=3600, **arguments)
    for attribute, value in name.items():
        setattr(made, attribute, value)
    return made


@pytest.fixture
def started(tallyfy):
    template = tallyfy.add_template(
        "Onboarding", steps=["Prepare"], kickoff=[{"label": "Customer name", "field_type": "text"}]
    )
    tallyfy.add_run(template["id"], id=RUN_ID)
    return tallyfy


@WRONG
def test_a_misspelt_name_fails_a_poke_sensor_after_a_minute(started, after, kind, name):
    end = attempt(lambda: misspelt(kind, name).execute(new_context()))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    looks = [request for request in started.requests if request.path.endswith(RUN_ID)]
    assert len(looks) == 3


def looked_first(monkeypatch, minutes_ago: int | None) -> None:
    first = None if minutes_ago is None else (datetime.now(UTC) - timedelta(minutes=minutes_ago)).timestamp()
    monkeypatch.setattr("airflow_provider_tallyfy.sensors._details.first_look_at", lambda context, retries: first)


@WRONG
@pytest.mark.parametrize("minutes_ago", [None, 0])
def test_a_misspelt_name_reschedules_the_first_look(started, monkeypatch, kind, name, minutes_ago):
    looked_first(monkeypatch, minutes_ago)
    with pytest.raises(AirflowRescheduleException):
        misspelt(kind, name, mode="reschedule").execute(new_context())


@WRONG
def test_a_first_look_in_another_process_counts_in_reschedule_mode(started, monkeypatch, kind, name):
    looked_first(monkeypatch, 2)
    end = attempt(lambda: misspelt(kind, name, mode="reschedule").execute(new_context()))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")


def test_the_time_of_the_first_look_comes_from_airflow(monkeypatch):
    from airflow_provider_tallyfy.compat import AIRFLOW_V_3_0_PLUS, first_look_at

    context = new_context()
    assert first_look_at(context, 0) is None
    if AIRFLOW_V_3_0_PLUS:
        first = datetime(2026, 1, 31, tzinfo=UTC)
        monkeypatch.setattr(FakeTaskInstance, "get_first_reschedule_date", lambda self, context: first)
        assert first_look_at(context, 0) == first.timestamp()


@WRONG
def test_a_name_that_may_appear_later_keeps_the_wait_waiting(started, after, kind, name):
    end = attempt(lambda: misspelt(kind, name, may_appear_later=True).execute(new_context()))
    assert (end.state, end.error) == ("failed", "AirflowSensorTimeout")
