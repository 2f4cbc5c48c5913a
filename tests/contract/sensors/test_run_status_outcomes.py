"""The same run ends a wait alike in every mode, and in both behaviors of the sandbox."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.exceptions import AirflowRescheduleException

from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunStatusSensor
from tests.airflow_driver import End, attempt, deferral, eventually, new_context, only_event, rebuilt
from tests.contract.sensors.modes import MODES

RUN_ID = "0123456789abcdef0123456789abcdef"

#: The states of a run: arguments of the sandbox's ``add_run``, or None for no run.
RUNS: dict[str, dict[str, Any] | None] = {
    "active": {},
    "complete": {"status": "complete"},
    "problem": {"status": "problem"},
    "issue": {"status": "issue"},
    "archived": {"archived": True},
    "archived with a problem": {"status": "problem", "archived": True},
    "archived when complete": {"status": "complete", "archived": True},
    "of an unknown status": {"status": "paused"},
    "missing": None,
}

FAILED = ("failed", "AirflowFailException")
MISSING = ("failed", "TallyfyNotFoundError")
TIMED_OUT = ("failed", "AirflowSensorTimeout")

#: Which of those end a wait, and how. With the others it lasts until its timeout.
WAITS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "default": (
        {},
        {
            "complete": "success",
            "archived when complete": "success",
            "archived": FAILED,
            "archived with a problem": FAILED,
            "missing": MISSING,
        },
    ),
    "for trouble": (
        {"target_status": ("problem", "issue"), "failure_status": {"complete"}},
        {
            "problem": "success",
            "issue": "success",
            "complete": FAILED,
            "archived when complete": FAILED,
            "missing": MISSING,
        },
    ),
    "for the archive": (
        {"target_status": "archived", "failure_status": ()},
        {
            "archived": "success",
            "archived with a problem": "success",
            "archived when complete": "success",
            "missing": MISSING,
        },
    ),
    "for a live run to appear": (
        {"target_status": "active", "failure_status": None, "missing": "wait"},
        {"active": "success"},
    ),
    "target before failure": (
        {"target_status": ["complete", "archived"], "failure_status": ["archived", "complete", "problem"]},
        {
            "complete": "success",
            "archived": "success",
            "archived with a problem": "success",
            "archived when complete": "success",
            "problem": FAILED,
            "missing": MISSING,
        },
    ),
}


def set_run(tallyfy, run: dict[str, Any] | None) -> None:
    if RUN_ID in [known["id"] for known in tallyfy.runs]:
        tallyfy.delete_run(RUN_ID)
    if run is not None:
        tallyfy.add_run(id=RUN_ID, name="Onboarding", **run)


def expected_end(tallyfy, run: dict[str, Any] | None, outcome: Any) -> End:
    if outcome != "success":
        return End(outcome[0], error=outcome[1])
    stored = tallyfy.run(RUN_ID)
    moments = {name: f"{stored[name][:19]}Z" if stored[name] else None for name in ("archived_at", "completed_at")}
    status = "archived" if stored["archived_at"] else stored["status"]
    result = {"id": RUN_ID, "name": "Onboarding", "status": status, "url": tallyfy.run_url(RUN_ID), "changed": False}
    return End("success", result=result | moments)


def sensor(**arguments: Any) -> TallyfyRunStatusSensor:
    return TallyfyRunStatusSensor(**{"task_id": "wait", "run_id": RUN_ID, "timeout": 0, **arguments})


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("wait", WAITS)
def test_a_run_ends_a_wait_alike_in_every_mode(tallyfy, wait, run, mode):
    arguments, outcomes = WAITS[wait]
    set_run(tallyfy, {"status": "not-of-this-version"})
    end = MODES[mode](lambda **of_mode: sensor(**arguments | of_mode), lambda: set_run(tallyfy, RUNS[run]))
    assert end == expected_end(tallyfy, RUNS[run], outcomes.get(run, TIMED_OUT))


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("run", RUNS)
def test_a_deferrable_wait_for_a_reached_status_does_not_defer(tallyfy, run):
    outcome = WAITS["default"][1].get(run)
    set_run(tallyfy, RUNS[run])
    if outcome is None:
        deferral(sensor(deferrable=True))
    else:
        end = attempt(lambda: sensor(deferrable=True).execute(new_context()))
        assert end == expected_end(tallyfy, RUNS[run], outcome)


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(("mode", "requests"), [("poke", 1), ("reschedule", 1)])
def test_a_look_at_a_live_run_is_one_request(tallyfy, mode, requests):
    set_run(tallyfy, {"status": "complete"})
    sensor(mode=mode).execute(new_context())
    assert [(request.method, request.path.rpartition("/")[2]) for request in tallyfy.requests] == [("GET", RUN_ID)]


@pytest.mark.parametrize("run", [name for name in RUNS if name not in WAITS["default"][1]])
def test_reschedule_mode_gives_the_worker_back_while_it_waits(tallyfy, run):
    set_run(tallyfy, RUNS[run])
    with pytest.raises(AirflowRescheduleException):
        sensor(mode="reschedule", timeout=3600, poke_interval=60).execute(new_context())
    assert eventually(lambda: tallyfy.open_connections == 0)


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_wait_writes_nothing_in_tallyfy(tallyfy, deferrable):
    set_run(tallyfy, {})
    before = tallyfy.run(RUN_ID)
    if deferrable:
        only_event(rebuilt(deferral(sensor(deferrable=True)).trigger))
    else:
        attempt(lambda: sensor().execute(new_context()))
    assert {request.method for request in tallyfy.requests} == {"GET"}
    assert tallyfy.run(RUN_ID) == before
