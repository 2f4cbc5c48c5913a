"""A wait on a worker while Tallyfy fails: a failed look is one attempt, and is logged once."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.exceptions import AirflowRescheduleException
from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunsStatusSensor, TallyfyRunStatusSensor, TallyfyTaskSensor
from tests.airflow_driver import attempt, deferral, new_context

RUN_IDS = [f"{number:032x}" for number in range(30)]
LOOK_SECONDS = 5.0

SENSORS: dict[str, Any] = {
    "run": lambda **arguments: TallyfyRunStatusSensor(run_id=RUN_IDS[0], **arguments),
    "runs": lambda **arguments: TallyfyRunsStatusSensor(run_ids=RUN_IDS[:3], **arguments),
    "task": lambda **arguments: TallyfyTaskSensor(run_id=RUN_IDS[0], task_name="Sign", **arguments),
}
REQUESTS = {"run": 1, "runs": 3, "task": 1}


def sensor(kind: str = "run", **arguments: Any) -> Any:
    return SENSORS[kind](**{"task_id": "wait", "timeout": 0} | arguments)


@pytest.fixture(autouse=True)
def _patient_connection(tallyfy, monkeypatch):
    """A connection whose requests are repeated for a while, unlike looks."""
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=3))
    for run_id in RUN_IDS:
        tallyfy.add_run(id=run_id)


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """A clock that only looks advance."""
    made = SimpleNamespace(now=1_900_000_000.0)
    read = SimpleNamespace(time=lambda: made.now, monotonic=lambda: made.now)
    for module in ("worker", "deadline"):
        monkeypatch.setattr(f"airflow_provider_tallyfy.waits.{module}.time", read)
    run = TallyfyHook.execute

    def slow_run(hook: TallyfyHook, *work: Any, **arguments: Any) -> Any:
        made.now += LOOK_SECONDS
        return run(hook, *work, **arguments)

    monkeypatch.setattr(TallyfyHook, "execute", slow_run)
    return made


def logged_lines(capfd, caplog, pattern: str) -> list[str]:
    return sorted(set(re.findall(pattern, capfd.readouterr().out + caplog.text)))


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
@pytest.mark.parametrize("kind", SENSORS)
def test_a_look_that_fails_is_one_attempt_and_the_timeout_holds(tallyfy, kind, mode):
    tallyfy.faults.add(status=503, times=None)
    with pytest.raises(AirflowSensorTimeout):
        sensor(kind, mode=mode).execute(new_context())
    assert len(tallyfy.requests) == REQUESTS[kind]


@pytest.mark.parametrize("kind", SENSORS)
def test_a_first_look_that_fails_is_one_attempt_and_the_triggerer_goes_on(tallyfy, kind):
    tallyfy.faults.add(status=503, times=None)
    deferral(sensor(kind, deferrable=True))
    assert len(tallyfy.requests) == REQUESTS[kind]


def test_the_time_of_the_first_look_counts_as_waiting(tallyfy, clock):
    began = clock.now
    deferred = deferral(sensor(deferrable=True, timeout=600))
    assert deferred.trigger.deadline == began + 600
    assert deferred.timeout == timedelta(seconds=600 - LOOK_SECONDS, minutes=1)


def test_failed_looks_are_counted_not_requests(tallyfy):
    tallyfy.faults.add(status=503, times=None)
    end = attempt(lambda: sensor(timeout=60, poke_interval=0, max_poll_failures=2).execute(new_context()))
    assert (end.state, end.error) == ("up_for_retry", "TallyfyServerError")
    assert len(tallyfy.requests) == 3


@pytest.mark.parametrize("kind", SENSORS)
def test_a_change_of_failures_is_logged_once_in_poke_mode(tallyfy, caplog, capfd, kind):
    caplog.set_level("INFO")
    looks = REQUESTS[kind]
    tallyfy.faults.add(status=503, times=2 * looks)
    tallyfy.faults.add(status=502, times=looks)
    waiting = sensor(kind, timeout=60)
    for _ in range(5):
        waiting.poke(new_context())
    lines = logged_lines(capfd, caplog, r"Cannot see .* at the moment, still waiting\.\n.*\nTallyfy answered (\d+)")
    assert lines == ["502", "503"]
    assert not logged_lines(capfd, caplog, "Trying again")


@pytest.mark.parametrize("kind", SENSORS)
def test_a_failed_look_is_logged_once_before_deferring(tallyfy, caplog, capfd, kind):
    caplog.set_level("INFO")
    tallyfy.faults.add(status=503, times=None)
    deferral(sensor(kind, deferrable=True))
    lines = logged_lines(capfd, caplog, r"(Cannot see|Trying again)")
    assert lines == ["Cannot see"]


def many(**arguments: Any) -> TallyfyRunsStatusSensor:
    return TallyfyRunsStatusSensor(task_id="wait", run_ids=RUN_IDS, **arguments)


def asked(tallyfy) -> list[str]:
    return [run_id for request in tallyfy.requests if (run_id := request.path.rpartition("/")[2]) in RUN_IDS]


def test_an_outage_is_not_tried_on_each_of_many_runs(tallyfy):
    tallyfy.faults.add(status=503, times=None)
    waiting = many(timeout=60, max_poll_failures=1)
    assert not waiting.poke(new_context())
    assert len(tallyfy.requests) <= 6
    end = attempt(lambda: waiting.poke(new_context()))
    assert end.error == "TallyfyServerError"
    assert len(tallyfy.requests) <= 12


def test_runs_that_cannot_be_read_do_not_hide_the_others_for_long(tallyfy):
    tallyfy.faults.add(status=503, times=None, path="/runs\\?")
    for run_id in RUN_IDS[:5]:
        tallyfy.faults.add(status=500, times=None, path=run_id)
    waiting = many(timeout=60)
    waiting.poke(new_context())
    waiting.poke(new_context())
    assert set(asked(tallyfy)) == set(RUN_IDS)


def test_an_error_of_each_run_is_not_mistaken_for_an_outage(tallyfy):
    tallyfy.faults.add(status=503, times=None, path="/runs\\?")
    for run_id in RUN_IDS[:10]:
        tallyfy.faults.add(status=403, times=None, path=run_id)
    many(timeout=60, fail_fast=False).poke(new_context())
    assert asked(tallyfy) == RUN_IDS


def limit(tallyfy, retry_after: float | str = 60, **arguments: Any) -> None:
    tallyfy.faults.add(**{"status": 429, "retry_after": retry_after, "times": None} | arguments)


@pytest.mark.parametrize("kind", SENSORS)
@pytest.mark.parametrize("status", [429, 503])
def test_a_poke_sends_nothing_before_retry_after_is_over(tallyfy, clock, kind, status):
    limit(tallyfy, status=status)
    waiting = sensor(kind, timeout=1000)
    waiting.poke(new_context())
    for _ in range(3):
        clock.now += 19
        assert not waiting.poke(new_context())
    assert len(tallyfy.requests) == 1
    clock.now += 4
    waiting.poke(new_context())
    assert len(tallyfy.requests) == 2


def test_skipped_looks_do_not_count_as_failed(tallyfy, clock):
    limit(tallyfy)
    waiting = sensor(timeout=1000, max_poll_failures=1)
    assert not any(waiting.poke(new_context()) for _ in range(5))


def test_a_rate_limit_between_runs_ends_the_look(tallyfy, clock):
    limit(tallyfy, path=RUN_IDS[1])
    sensor("runs", timeout=1000).poke(new_context())
    assert asked(tallyfy) == RUN_IDS[:2]


def test_a_rate_limit_on_the_list_ends_the_look(tallyfy, clock):
    limit(tallyfy, path="/runs\\?")
    assert not many(timeout=1000).poke(new_context())
    assert len(tallyfy.requests) == 1


def test_a_wait_in_poke_mode_ends_in_time_although_retry_after_is_longer(tallyfy):
    limit(tallyfy)
    end = attempt(lambda: sensor(timeout=0.1, poke_interval=0.01).execute(new_context()))
    assert end.error == "AirflowSensorTimeout"
    assert len(tallyfy.requests) == 2


@pytest.mark.parametrize(
    ("retry_after", "arguments", "seconds"),
    [
        (60, {"poke_interval": 1, "timeout": 1000}, 60),
        (60, {"poke_interval": 90, "timeout": 1000}, 90),
        (60, {"poke_interval": 1, "timeout": 20}, 20),
        ("1e300", {"poke_interval": 1, "timeout": 20}, 20),
        (None, {"poke_interval": 1, "timeout": 20}, 1),
    ],
    ids=["for longer than usual", "for less", "beyond the timeout", "for ever", "not at all"],
)
def test_a_rescheduled_look_waits_for_retry_after_or_the_poke_interval(tallyfy, retry_after, arguments, seconds):
    limit(tallyfy, retry_after)
    waiting = sensor(mode="reschedule", **arguments)
    before = datetime.now(UTC)
    with pytest.raises(AirflowRescheduleException) as again:
        waiting.execute(new_context())
    after = datetime.now(UTC)
    span = timedelta(seconds=seconds)
    assert before + span <= again.value.reschedule_date <= after + span


def test_a_first_look_with_retry_after_defers_at_once(tallyfy):
    limit(tallyfy)
    deferral(sensor(deferrable=True, timeout=1000))
    assert len(tallyfy.requests) == 1
