"""A launch that waits for its run ends alike in both modes, and never changes the run."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout, TaskDeferred

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import TallyfyLaunchProjectOperator, TallyfyLaunchRunOperator
from tests.airflow_driver import End, attempt, only_event, rebuilt
from tests.task_contexts import context_of

both_modes = pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferrable"])


def launcher(tallyfy, **arguments: Any) -> TallyfyLaunchRunOperator:
    known = list(tallyfy.store.templates.values()) or [tallyfy.add_template("Onboarding")]
    return TallyfyLaunchRunOperator(
        **{"task_id": "task", "template_id": known[0]["id"], "name": "Acme", "wait_for_completion": True} | arguments
    )


@pytest.fixture
def meanwhile(tallyfy, monkeypatch):
    """Return a function that sets what people do with the run while a task in poke mode sleeps."""
    acts: list[Any] = []

    def sleep(seconds: float) -> None:
        if acts:
            acts.pop(0)(tallyfy.runs[0]["id"])

    real = __import__("time")
    monkeypatch.setattr("airflow_provider_tallyfy.operators._launch.time", SimpleNamespace(sleep=sleep, time=real.time))
    return lambda *new: acts.extend(new)


def wait(tallyfy, meanwhile, act: Any, context: dict[str, Any], **arguments: Any) -> End:
    """Launch, let people do something with the run while the task waits, and give the task's end."""
    if not arguments["deferrable"]:
        meanwhile(act)
        return attempt(lambda: launcher(tallyfy, **arguments).execute(context))
    try:
        return attempt(lambda: launcher(tallyfy, **arguments).execute(context))
    except TaskDeferred as deferred:
        act(tallyfy.runs[0]["id"])
        event = only_event(rebuilt(deferred.trigger))
        # A fresh operator in another process, as after a real deferral.
        return attempt(lambda: launcher(tallyfy, **arguments).execute_complete(context, event.payload))


@pytest.mark.usefixtures("worlds")
@both_modes
def test_completion_ends_the_wait_with_the_run(tallyfy, meanwhile, deferrable):
    context = context_of()
    end = wait(tallyfy, meanwhile, tallyfy.complete_run, context, deferrable=deferrable)
    run = tallyfy.runs[0]
    assert end.state == "success"
    assert end.result == {
        "id": run["id"],
        "name": "Acme",
        "status": "complete",
        "archived_at": None,
        "completed_at": f"{run['completed_at'][:19]}Z",
        "url": tallyfy.run_url(run["id"]),
        "changed": True,
    }
    assert context["ti"].pushed["run_id"] == run["id"]


@pytest.mark.usefixtures("worlds")
@both_modes
def test_the_next_try_waits_for_the_same_run(tallyfy, meanwhile, deferrable):
    launcher(tallyfy, wait_for_completion=False).execute(context_of())
    end = wait(tallyfy, meanwhile, tallyfy.complete_run, context_of(try_number=2), deferrable=deferrable)
    assert len(tallyfy.runs) == 1
    assert (end.state, end.result["id"], end.result["changed"]) == ("success", tallyfy.runs[0]["id"], False)


@pytest.mark.usefixtures("worlds")
@both_modes
@pytest.mark.parametrize(
    ("arguments", "act", "error"),
    [
        ({}, "archive_run", "AirflowFailException"),
        ({"failure_status": ["problem"]}, "add_problem", "AirflowFailException"),
        ({"failure_status": "['problem']"}, "add_problem", "AirflowFailException"),
        ({}, "delete_run", "TallyfyNotFoundError"),
        ({"timeout": 0}, "restore_run", "AirflowSensorTimeout"),
    ],
    ids=["archived", "problem", "problem in a template", "deleted", "timeout"],
)
def test_a_wait_fails_alike_in_both_modes(tallyfy, meanwhile, deferrable, arguments, act, error):  # noqa: PLR0917
    end = wait(tallyfy, meanwhile, getattr(tallyfy, act), context_of(), deferrable=deferrable, **arguments)
    assert (end.state, end.error) == ("failed", error)


@both_modes
def test_an_execution_timeout_raises_the_error_of_airflow(tallyfy, meanwhile, deferrable):
    arguments = {"deferrable": deferrable, "execution_timeout": timedelta(milliseconds=1)}
    end = wait(tallyfy, meanwhile, tallyfy.restore_run, context_of(), **arguments)
    assert isinstance(end.exception, AirflowTaskTimeout)


@pytest.mark.usefixtures("worlds")
@both_modes
def test_a_run_that_is_complete_already_needs_no_wait(tallyfy, meanwhile, deferrable):
    launched = launcher(tallyfy, wait_for_completion=False).execute(context_of())
    tallyfy.complete_run(launched["id"])
    end = attempt(lambda: launcher(tallyfy, deferrable=deferrable).execute(context_of(try_number=2)))
    assert (end.state, end.result["status"], end.result["changed"]) == ("success", "complete", False)


@pytest.mark.usefixtures("worlds")
@both_modes
def test_killing_the_task_leaves_the_run_to_the_people(tallyfy, meanwhile, deferrable):
    operator = launcher(tallyfy, deferrable=deferrable)

    def kill(run_id: str) -> None:
        tallyfy.clear_requests()
        operator.on_kill()
        raise KeyboardInterrupt

    meanwhile(kill)
    try:
        operator.execute(context_of())
    except KeyboardInterrupt:
        pass
    except TaskDeferred:
        tallyfy.clear_requests()
        operator.on_kill()
    assert {request.method for request in tallyfy.requests} <= {"GET"}
    assert [(run["status"], run["archived_at"]) for run in tallyfy.runs] == [("active", None)]


@pytest.mark.usefixtures("worlds")
def test_the_run_is_linked_while_the_task_waits(tallyfy):
    context = context_of()
    with pytest.raises(TaskDeferred):
        launcher(tallyfy, deferrable=True).execute(context)
    assert context["ti"].pushed["run_url"] == tallyfy.run_url(tallyfy.runs[0]["id"])


@pytest.mark.usefixtures("worlds")
@both_modes
def test_a_project_can_be_waited_for_too(tallyfy, meanwhile, deferrable):
    owners = {"users": [tallyfy.user["id"]]}
    project = TallyfyLaunchProjectOperator(
        task_id="task", title="Move", owners=owners, wait_for_completion=True, deferrable=deferrable
    )
    meanwhile(tallyfy.complete_run)
    if not deferrable:
        assert project.execute(context_of())["status"] == "complete"
        return
    with pytest.raises(TaskDeferred) as deferred:
        project.execute(context_of())
    tallyfy.complete_run(tallyfy.runs[0]["id"])
    assert only_event(rebuilt(deferred.value.trigger)).payload["outcome"] == "reached"


@pytest.mark.parametrize(
    "arguments",
    [
        {"failure_status": 0},
        {"failure_status": "done"},
        {"max_poll_failures": -1},
        *({"poll_interval": value} for value in (None, "5", 0, -1, float("nan"))),
        *({"timeout": value} for value in (None, "x", "5", -5, float("nan"), timedelta(days=-1), True)),
        {"wait_for_completion": "perhaps"},
        {"deferrable": "perhaps"},
    ],
)
def test_an_invalid_wait_is_refused_before_anything_is_launched(tallyfy, arguments):
    end = attempt(lambda: launcher(tallyfy, **arguments).execute(context_of()))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert (tallyfy.runs, tallyfy.requests) == ([], [])


@pytest.mark.parametrize("timeout", [0, 5, timedelta(seconds=5), float("inf")])
def test_every_valid_duration_can_be_a_timeout(tallyfy, meanwhile, timeout):
    tallyfy.add_template("Onboarding")
    meanwhile(tallyfy.complete_run)
    end = attempt(lambda: launcher(tallyfy, timeout=timeout, deferrable=False).execute(context_of()))
    assert end.error == (None if timeout else "AirflowSensorTimeout")


def test_the_text_false_does_not_wait(tallyfy):
    end = attempt(lambda: launcher(tallyfy, wait_for_completion="false", poll_interval=0).execute(context_of()))
    assert (end.state, end.result["status"]) == ("success", "active")


def test_the_text_false_does_not_defer_the_wait(tallyfy, meanwhile):
    tallyfy.add_template("Onboarding")
    meanwhile(tallyfy.complete_run)
    end = attempt(lambda: launcher(tallyfy, deferrable="false").execute(context_of()))
    assert (end.state, end.result["status"]) == ("success", "complete")


def looks(tallyfy) -> int:
    return sum(request.path.endswith(tallyfy.runs[0]["id"]) for request in tallyfy.requests)


@both_modes
def test_a_look_that_fails_is_one_attempt(tallyfy, meanwhile, deferrable):
    tallyfy.faults.add(status=503, times=None, method="GET", path="/runs/")
    try:
        end = attempt(lambda: launcher(tallyfy, deferrable=deferrable, timeout=0).execute(context_of()))
    except TaskDeferred:
        assert deferrable
    else:
        assert end.error == "AirflowSensorTimeout"
    assert looks(tallyfy) == 1


def test_no_look_is_made_while_retry_after_lasts(tallyfy, meanwhile):
    tallyfy.faults.add(status=429, retry_after=600, times=None, method="GET", path="/runs/")
    meanwhile(lambda run_id: None, lambda run_id: None, kill)
    with pytest.raises(KeyboardInterrupt):
        launcher(tallyfy, deferrable=False).execute(context_of())
    assert looks(tallyfy) == 1


def test_the_time_of_the_first_look_counts_as_waiting(tallyfy, monkeypatch):
    now, run = [1_900_000_000.0], TallyfyHook.execute
    clock = SimpleNamespace(time=lambda: now[0], monotonic=lambda: now[0])
    for module in ("worker", "deadline"):
        monkeypatch.setattr(f"airflow_provider_tallyfy.waits.{module}.time", clock)

    def slow_run(*work: Any, **arguments: Any) -> Any:
        now[0] += 5
        return run(*work, **arguments)

    monkeypatch.setattr(TallyfyHook, "execute", slow_run)
    with pytest.raises(TaskDeferred) as deferred:
        launcher(tallyfy, deferrable=True, timeout=600).execute(context_of())
    assert deferred.value.trigger.deadline == now[0] - 5 + 600
    assert deferred.value.timeout == timedelta(seconds=595, minutes=1)


def kill(run_id: str) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("interval", [600, timedelta(minutes=10)], ids=str)
def test_the_poll_interval_of_a_deferred_wait_is_seconds_or_a_timedelta(tallyfy, interval):
    with pytest.raises(TaskDeferred) as deferred:
        launcher(tallyfy, deferrable=True, poll_interval=interval).execute(context_of())
    assert deferred.value.trigger.serialize()[1]["poll_interval"] == 600
