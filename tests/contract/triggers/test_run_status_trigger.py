"""The trigger in a real event loop: what it stores, what it fires, and that it does not block the loop."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.triggers.base import TriggerEvent

from airflow_provider_tallyfy.compat import TRIGGERS_END_TASKS
from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunStatusTrigger
from airflow_provider_tallyfy.waits.results import Outcome, WaitResult
from tests.airflow_driver import TOO_LONG, events_of, eventually, only_event, rebuilt

RUN_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def _look_often(monkeypatch):
    monkeypatch.setattr("airflow_provider_tallyfy.triggers.tallyfy._SHORTEST_INTERVAL", 0.02, raising=False)


@pytest.fixture
def impatient(tallyfy, monkeypatch):
    """Return a Tallyfy whose refusals end a wait at once, as does a missing connection."""
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(credentials_grace=0))
    monkeypatch.setattr("airflow_provider_tallyfy.waits.watcher.shared_connection.DEFAULT_CREDENTIALS_GRACE", 0)
    return tallyfy


def trigger(**arguments: Any) -> TallyfyRunStatusTrigger:
    usual = {"run_id": RUN_ID, "target_status": ["complete"], "failure_status": ["archived"], "missing": "fail"}
    where = {"organization_id": None, "tallyfy_conn_id": "tallyfy_default"}
    return TallyfyRunStatusTrigger(**{**usual, **where, "poll_interval": 0.02, **arguments})


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until a condition holds."""
    for _ in range(100 * TOO_LONG):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


def ending(wait: TallyfyRunStatusTrigger) -> WaitResult:
    return WaitResult.from_event(json.loads(json.dumps(only_event(wait).payload)))


def test_a_trigger_survives_airflows_database_unchanged():
    original = trigger(
        organization_id="o",
        poll_interval=2.5,
        max_poll_interval=60.0,
        deadline=1_900_000_000.5,
        max_poll_failures=7,
        end_task=True,
    )
    path, arguments = original.serialize()
    again = rebuilt(rebuilt(original))
    assert path == "airflow_provider_tallyfy.triggers.tallyfy.TallyfyRunStatusTrigger"
    assert (type(again), again.serialize()) == (TallyfyRunStatusTrigger, (path, arguments))
    assert json.loads(json.dumps(arguments)) == arguments


def test_the_row_of_a_trigger_holds_ids_and_times_and_no_secret(tallyfy):
    tallyfy.add_run(id=RUN_ID, status="complete")
    wait = trigger()
    only_event(wait)
    row = Trigger.from_object(wait)
    shown = f"{row.kwargs} {row.encrypted_kwargs} {vars(wait)}"
    assert tallyfy.token not in shown
    assert tallyfy.base_url not in shown
    assert set(wait.serialize()[1]) == {
        "run_id",
        "target_status",
        "failure_status",
        "missing",
        "newer_than",
        "organization_id",
        "tallyfy_conn_id",
        "poll_interval",
        "max_poll_interval",
        "deadline",
        "max_poll_failures",
        "end_task",
    }


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(
    ("run", "outcome"),
    [
        ({"status": "complete"}, Outcome.REACHED),
        ({"status": "complete", "archived": True}, Outcome.REACHED),
        ({"archived": True}, Outcome.FAILED),
        (None, Outcome.MISSING),
    ],
)
def test_a_wait_fires_one_of_the_known_events(tallyfy, run, outcome):
    if run is not None:
        tallyfy.add_run(id=RUN_ID, **run)
    end = ending(trigger())
    assert end.outcome is outcome
    assert (end.result is None) is (run is None)
    assert RUN_ID in end.message


@pytest.mark.usefixtures("worlds")
def test_a_wait_continues_until_people_are_done(tallyfy):
    tallyfy.add_run(id=RUN_ID)

    async def work() -> list[Any]:
        wait = asyncio.create_task(events_of(trigger()))
        await until(lambda: len(tallyfy.requests) >= 3)
        tallyfy.complete_run(RUN_ID)
        return await wait

    (event,) = asyncio.run(work())
    assert WaitResult.from_event(event.payload).outcome is Outcome.REACHED


@pytest.mark.skipif(not TRIGGERS_END_TASKS, reason="a trigger of Airflow 2 cannot end its task")
def test_end_from_trigger_ends_the_task_only_on_success(tallyfy):
    from airflow.triggers.base import TaskSuccessEvent

    tallyfy.add_run(id=RUN_ID, status="complete")
    assert isinstance(only_event(trigger(end_task=True)), TaskSuccessEvent)
    tallyfy.update_run(RUN_ID, status="active", completed_at=None)
    event = only_event(trigger(end_task=True, deadline=0.0))
    assert type(event) is TriggerEvent
    assert event.payload["outcome"] == "timed_out"


def test_a_restart_does_not_move_the_deadline(tallyfy):
    tallyfy.add_run(id=RUN_ID)
    wait = trigger(deadline=time.time() + 0.3)

    async def work() -> None:
        interrupted = asyncio.create_task(events_of(wait))
        await until(lambda: bool(tallyfy.requests))
        interrupted.cancel()
        await asyncio.wait([interrupted])
        await asyncio.sleep(max(0.0, (wait.deadline or 0.0) - time.time()))
        tallyfy.clear_requests()
        restarted = rebuilt(wait)
        assert restarted.deadline == wait.deadline
        (event,) = await events_of(restarted)
        assert WaitResult.from_event(event.payload).outcome is Outcome.TIMED_OUT
        assert len(tallyfy.requests) == 1

    asyncio.run(work())


def test_a_run_that_finished_during_a_restart_counts_even_after_the_deadline(tallyfy):
    tallyfy.add_run(id=RUN_ID, status="complete")
    assert ending(trigger(deadline=0.0)).outcome is Outcome.REACHED


def test_a_transient_failure_is_tolerated_and_logged_once(tallyfy, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    tallyfy.add_run(id=RUN_ID, status="complete")
    tallyfy.faults.add(status=503, times=3)
    assert ending(trigger(max_poll_failures=3)).outcome is Outcome.REACHED
    tallyfy.faults.add(status=503, times=4)
    given_up = ending(trigger(max_poll_failures=3))
    assert (given_up.outcome, given_up.error) == (Outcome.ERROR, "TallyfyServerError")
    assert "Gave up after 4 failed looks in a row." in given_up.message


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 401}, "TallyfyAuthError"),
        ({"status": 403}, "TallyfyPermissionError"),
        ({"status": 404, "body": "html"}, "TallyfyConfigurationError"),
    ],
)
def test_a_permanent_failure_ends_the_wait_at_once(impatient, fault, error):
    impatient.faults.add(**fault, times=None)
    end = ending(trigger(max_poll_failures=None))
    assert (end.outcome, end.error) == (Outcome.ERROR, error)
    assert len(impatient.requests) == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"tallyfy_conn_id": "nowhere"}, "TallyfyConfigurationError"),
        ({"run_id": "a/b"}, "TallyfyValidationError"),
        ({"organization_id": ".."}, "TallyfyValidationError"),
        ({"target_status": ["completed"]}, "TallyfyValidationError"),
        ({"target_status": 5}, "TallyfyValidationError"),
        ({"max_poll_failures": "x"}, "TallyfyValidationError"),
        ({"poll_interval": None}, "TallyfyValidationError"),
        ({"poll_interval": "10"}, "TallyfyValidationError"),
        ({"max_poll_interval": "9"}, "TallyfyValidationError"),
    ],
)
def test_an_invalid_request_ends_the_wait_with_an_event_and_sends_nothing(impatient, arguments, error):
    end = ending(trigger(**arguments))
    assert (end.outcome, end.error) == (Outcome.ERROR, error)
    assert impatient.requests == []


@pytest.mark.parametrize("status", [401, 403])
def test_event_and_log_hold_no_secret(impatient, caplog, capfd, status):
    caplog.set_level("DEBUG")
    impatient.faults.add("echo_authorization", status=status, times=None)
    event = only_event(trigger())
    assert "***" in event.payload["message"]
    printed = capfd.readouterr()
    assert impatient.token not in f"{event.payload} {caplog.text} {printed.out} {printed.err}"


def test_a_slow_tallyfy_does_not_block_the_event_loop(tallyfy, monkeypatch):
    extra = {"auth": "client_credentials", "user_email": tallyfy.user_email}
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(**extra))
    tallyfy.add_run(id=RUN_ID, status="complete")
    tallyfy.latency = 1.0
    beats_at: list[int] = []

    async def work() -> None:
        waits = [asyncio.create_task(events_of(trigger())) for _ in range(3)]
        beats = 0
        while not all(wait.done() for wait in waits):
            await asyncio.sleep(0.01)
            beats += 1
            while len(beats_at) < len(tallyfy.requests):
                beats_at.append(beats)
        beats_at.append(beats)

    asyncio.run(work())
    between = [later - earlier for earlier, later in pairwise(beats_at[:3])]
    assert all(beats > 3 for beats in between), beats_at


def test_the_end_of_one_wait_disturbs_no_other_and_the_last_closes_the_connections(tallyfy):
    run_ids = tallyfy.add_runs(12)

    async def work() -> list[list[Any]]:
        waits = [asyncio.create_task(events_of(trigger(run_id=run_id))) for run_id in run_ids]
        waits[0].cancel()  # before it began
        await until(lambda: len(tallyfy.requests) >= 3)
        for wait in waits[1:4]:
            wait.cancel()
        for run_id in run_ids[4:]:
            tallyfy.complete_run(run_id)
        async with asyncio.timeout(TOO_LONG):
            ended = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(end) for end in ended[:4]] == [asyncio.CancelledError] * 4
        return ended[4:]

    for (event,), run_id in zip(asyncio.run(work()), run_ids[4:], strict=True):
        assert (event.payload["outcome"], event.payload["result"]["id"]) == ("reached", run_id)
    assert tallyfy.connections_opened <= 12
    assert eventually(lambda: tallyfy.open_connections == 0)


def test_a_wait_cancelled_while_the_connection_is_read_leaves_the_others_alone(tallyfy):
    tallyfy.add_run(id=RUN_ID, status="complete")

    async def work() -> Any:
        first, second = asyncio.create_task(events_of(trigger())), asyncio.create_task(events_of(trigger()))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    (event,) = asyncio.run(work())
    assert event.payload["outcome"] == "reached"
    assert eventually(lambda: tallyfy.open_connections == 0)


def test_a_later_wait_reads_the_connection_again(tallyfy, monkeypatch):
    tallyfy.add_run(id=RUN_ID, status="complete")

    async def work() -> list[str]:
        outcomes = []
        for token in ("wrong-token", tallyfy.token):
            connection = tallyfy.connection(credentials_grace=0) | {"password": token}
            monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
            (event,) = await events_of(trigger())
            outcomes.append(event.payload["outcome"])
        return outcomes

    assert asyncio.run(work()) == ["error", "reached"]
