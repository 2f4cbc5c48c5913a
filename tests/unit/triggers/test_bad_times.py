"""What a trigger does while its connection cannot be read or Tallyfy refuses its credentials, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError
from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook
from airflow_provider_tallyfy.triggers import tallyfy as triggers
from airflow_provider_tallyfy.waits.probes import RunProbe
from airflow_provider_tallyfy.waits.results import Outcome, WaitResult
from tests.virtual_time import VirtualTallyfy, in_virtual_time

RUN_ID = "0123456789abcdef0123456789abcdef"
COMMON = {"organization_id": None, "tallyfy_conn_id": "tallyfy_default", "poll_interval": 60, "failure_status": []}
TRIGGERS: dict[str, Any] = {
    "run": lambda **arguments: triggers.TallyfyRunStatusTrigger(
        **{"run_id": RUN_ID, "target_status": ["complete"]} | COMMON | arguments
    ),
    "runs": lambda **arguments: triggers.TallyfyRunsStatusTrigger(
        **{"run_ids": [RUN_ID], "target_status": ["complete"]} | COMMON | arguments
    ),
    "task": lambda **arguments: triggers.TallyfyTaskTrigger(
        **{"run_id": RUN_ID, "task_name": "Sign", "failure_status": ["complete"], "may_appear_later": True}
        | COMMON
        | arguments
    ),
}
ENDS = {"run": Outcome.REACHED, "runs": Outcome.REACHED, "task": Outcome.FAILED}
every_kind = pytest.mark.parametrize("kind", ["run", "runs"])
NOT_READ = [
    TallyfyConfigurationError("The Airflow connection 'tallyfy_default' is not defined."),
    RuntimeError("the API server is down"),
    OSError("no route"),
]


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
def tallyfy(monkeypatch) -> VirtualTallyfy:
    virtual = VirtualTallyfy()
    virtual.add_run(id=RUN_ID)
    monkeypatch.setattr(TallyfyAsyncHook, "connect", lambda conn_id: virtual.connect())
    monkeypatch.setattr("airflow_provider_tallyfy.triggers._waits.time", SimpleNamespace(time=now))
    return virtual


def ended(trigger: Any, *acts: tuple[float, Callable[[], Any]]) -> tuple[WaitResult, float, list[str]]:
    """Run a trigger and change Tallyfy at given moments. Return how and when the wait ended, and its log lines."""
    logged: list[str] = []
    trigger._log = SimpleNamespace(
        info=lambda form, *values: logged.append(form % values),
        exception=lambda form, *values: logged.append(form % values),
    )

    async def main() -> tuple[WaitResult, float]:
        loop = asyncio.get_running_loop()
        for moment, act in acts:
            loop.call_at(moment, act)
        (event,) = [event async for event in trigger.run()]
        return WaitResult.from_event(event.payload), now()

    ending, moment = in_virtual_time(main)
    return ending, moment, logged


def unreadable(tallyfy: VirtualTallyfy, monkeypatch: Any, error: Exception, until: float) -> None:
    async def connect(conn_id: str) -> TallyfyAsyncHook:
        if now() < until:
            raise error
        return await tallyfy.connect()

    monkeypatch.setattr(TallyfyAsyncHook, "connect", connect)


def renew(tallyfy: VirtualTallyfy) -> None:
    tallyfy.token = tallyfy.issue_token()


# -- the first read of the connection ---------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize("error", NOT_READ, ids=lambda error: type(error).__name__)
def test_a_connection_that_is_unreadable_for_a_while_fails_no_wait_and_logs_once(tallyfy, monkeypatch, kind, error):
    unreadable(tallyfy, monkeypatch, error, until=200)
    ending, _, logged = ended(TRIGGERS[kind](), (300, lambda: tallyfy.complete_run(RUN_ID)))
    assert ending.outcome is Outcome.REACHED
    lines = [line for line in logged if "connection" in line]
    assert len(lines) == 1
    assert lines[0].startswith("The Airflow connection cannot be read at the moment, still waiting.\n")


@every_kind
@pytest.mark.parametrize("error", NOT_READ, ids=lambda error: type(error).__name__)
def test_the_deadline_holds_while_the_connection_cannot_be_read(tallyfy, monkeypatch, kind, error):
    unreadable(tallyfy, monkeypatch, error, until=float("inf"))
    ending, moment, _ = ended(TRIGGERS[kind](deadline=100.0))
    assert ending.outcome is Outcome.TIMED_OUT
    assert moment == pytest.approx(100.0, abs=1)


def test_a_connection_that_stays_missing_ends_the_wait_after_five_minutes(tallyfy, monkeypatch):
    unreadable(tallyfy, monkeypatch, NOT_READ[0], until=float("inf"))
    ending, moment, _ = ended(TRIGGERS["run"]())
    assert (ending.outcome, ending.error) == (Outcome.ERROR, "TallyfyConfigurationError")
    assert ending.message == str(NOT_READ[0])
    assert 300 <= moment < 400


def test_a_connection_that_airflow_does_not_find_is_a_missing_one(monkeypatch):
    """A secrets backend that is down looks like this, too."""

    async def not_found(conn_id: str) -> Any:
        raise AirflowNotFoundException(conn_id)

    monkeypatch.setattr("airflow_provider_tallyfy.hooks.tallyfy_async.get_async_connection", not_found)
    ending, moment, _ = ended(TRIGGERS["run"]())
    assert (ending.outcome, ending.error) == (Outcome.ERROR, "TallyfyConfigurationError")
    assert moment >= 300


@every_kind
def test_a_defect_ends_its_wait_with_an_event_and_a_traceback(tallyfy, monkeypatch, kind):
    def look(self: RunProbe) -> Any:
        raise ZeroDivisionError("a defect")
        yield

    monkeypatch.setattr(RunProbe, "look", look)
    ending, _, logged = ended(TRIGGERS[kind]())
    assert (ending.outcome, ending.error) == (Outcome.ERROR, "TallyfyResponseError")
    assert "ZeroDivisionError" in ending.message
    assert any(line.endswith("broke off.") for line in logged)


# -- refused credentials ------------------------------------------------------------------------------------------


def revoked(tallyfy: VirtualTallyfy) -> Callable[[], Any]:
    return tallyfy.revoke_token


def forbidden(tallyfy: VirtualTallyfy) -> Callable[[], Any]:
    return lambda: tallyfy.faults.add("status", status=403, times=None)


REFUSALS = pytest.mark.parametrize(
    ("refuse", "error"), [(revoked, "TallyfyAuthError"), (forbidden, "TallyfyPermissionError")]
)


@REFUSALS
@pytest.mark.parametrize("kind", TRIGGERS)
def test_refused_credentials_are_tolerated_for_five_minutes_and_logged_once(tallyfy, refuse, error, kind):
    ending, moment, logged = ended(TRIGGERS[kind](), (30, refuse(tallyfy)))
    assert (ending.outcome, ending.error) == (Outcome.ERROR, error)
    assert 60 + 300 - 10 <= moment <= 60 + 300 + 40
    lines = [line for line in logged if "The wait fails after 300 s.\nRenew the token" in line]
    assert len(lines) == 1


@REFUSALS
@pytest.mark.parametrize("grace", [0, 600])
def test_the_connection_says_how_long_refused_credentials_are_tolerated(tallyfy, refuse, error, grace):
    tallyfy.settings["credentials_grace"] = grace
    ending, moment, _ = ended(TRIGGERS["run"](), (30, refuse(tallyfy)))
    assert ending.error == error
    assert 60 + grace - 10 <= moment <= 60 + grace + 40


@pytest.mark.parametrize("kind", TRIGGERS)
def test_a_new_token_within_that_time_lets_the_wait_go_on(tallyfy, kind):
    ending, moment, _ = ended(
        TRIGGERS[kind](max_poll_failures=0),
        (30, tallyfy.revoke_token),
        (250, lambda: renew(tallyfy)),
        (1000, lambda: tallyfy.complete_run(RUN_ID)),
    )
    assert ending.outcome is ENDS[kind]
    assert 1000 <= moment <= 1070


@every_kind
def test_credentials_that_are_accepted_again_let_the_wait_go_on(tallyfy, kind):
    ending, _, logged = ended(
        TRIGGERS[kind](),
        (30, forbidden(tallyfy)),
        (250, tallyfy.faults.clear),
        (500, forbidden(tallyfy)),
        (750, tallyfy.faults.clear),
        (1000, lambda: tallyfy.complete_run(RUN_ID)),
    )
    assert ending.outcome is Outcome.REACHED
    assert sum("Renew the token" in line for line in logged) == 2


@every_kind
def test_the_deadline_holds_while_the_credentials_are_refused(tallyfy, kind):
    ending, moment, _ = ended(TRIGGERS[kind](deadline=200.0), (30, tallyfy.revoke_token))
    assert ending.outcome is Outcome.TIMED_OUT
    assert 200 <= moment <= 200 + 30  # a last look may take as long as a request may


@pytest.mark.parametrize("grace", [0, 300])
def test_a_late_refusal_of_the_old_token_fails_no_wait(tallyfy, monkeypatch, grace):
    """The token is replaced while the event loop is busy between the read of the connection and its answer."""
    tallyfy.settings["credentials_grace"] = grace
    connect: Callable[[], Awaitable[TallyfyAsyncHook]] = tallyfy.connect

    async def slow(conn_id: str) -> TallyfyAsyncHook:
        hook = await connect()
        if tallyfy.connections_read == 2:
            await asyncio.sleep(20)
        return hook

    monkeypatch.setattr(TallyfyAsyncHook, "connect", slow)
    ending, _, _ = ended(
        TRIGGERS["run"](),
        (30, tallyfy.revoke_token),
        (75, lambda: renew(tallyfy)),
        (400, lambda: tallyfy.complete_run(RUN_ID)),
    )
    assert ending.outcome is (Outcome.REACHED if grace else Outcome.ERROR)


# -- ends that come at once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deadline", "trigger_id", "moment"),
    [(1000.0, 7, 5.0), (None, 7, 0.0), (1000.0, None, 0.0)],
    ids=["deferred by a worker", "begun in the triggerer", "dag.test()"],
)
@pytest.mark.parametrize("end_task", [False, True])
def test_an_event_waits_until_airflow_can_take_it(tallyfy, deadline, trigger_id, moment, end_task):
    tallyfy.complete_run(RUN_ID)
    trigger = TRIGGERS["run"](deadline=deadline, end_task=end_task)
    trigger.trigger_id = trigger_id
    ending, ended_at, _ = ended(trigger)
    assert ending.outcome is Outcome.REACHED
    assert ended_at == pytest.approx(moment, abs=0.5)


def test_an_event_that_comes_later_does_not_wait(tallyfy):
    trigger = TRIGGERS["run"](deadline=1000.0)
    trigger.trigger_id = 7
    _, ended_at, _ = ended(trigger, (20, lambda: tallyfy.complete_run(RUN_ID)))
    assert ended_at <= 66.5
    assert [moment for moment in tallyfy.asked_at if moment >= ended_at - 0.5] != []
