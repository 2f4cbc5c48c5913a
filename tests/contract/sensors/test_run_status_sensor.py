"""What Airflow's own arguments mean for the sensor, alike in every mode, and how it defers."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from typing import Any

import pytest
from airflow.exceptions import AirflowTaskTimeout
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

from airflow_provider_tallyfy.api.errors import TallyfyResponseError
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunStatusSensor
from tests.airflow_driver import End, attempt, deferral, new_context, only_event, rebuilt, resume
from tests.contract.sensors.modes import MODES, at_once

RUN_ID = "0123456789abcdef0123456789abcdef"


def sensor(**arguments: Any) -> TallyfyRunStatusSensor:
    return TallyfyRunStatusSensor(**{"task_id": "wait", "run_id": RUN_ID, "timeout": 0, **arguments})


#: What happens to the wait -> the change of Tallyfy before the look, and the task's end without soft_fail.
EVENTS: dict[str, tuple[dict[str, Any] | None, str]] = {
    "the timeout passes": (None, "AirflowSensorTimeout"),
    "the run is archived": ({"archive": True}, "AirflowFailException"),
    "the run is deleted": ({"delete": True}, "TallyfyNotFoundError"),
    "the token is revoked": ({"fault": {"status": 401}}, "TallyfyAuthError"),
    "tallyfy stays down": ({"fault": {"status": 503}}, "TallyfyServerError"),
}
FROM_THE_START = "deferrable, of what is already so"
EVERY_MODE = MODES | {FROM_THE_START: at_once(deferrable=True)}


def happen(tallyfy, event: dict[str, Any] | None) -> None:
    if event is None:
        return
    if "archive" in event:
        tallyfy.archive_run(RUN_ID)
    elif "delete" in event:
        tallyfy.delete_run(RUN_ID)
    else:
        tallyfy.faults.add(**event["fault"], times=None)


def wait(tallyfy, mode: str, event: dict[str, Any] | None, **arguments: Any) -> End:
    """Change Tallyfy during a wait: before its only look, or after it was deferred."""
    return EVERY_MODE[mode](lambda **of_mode: sensor(**arguments | of_mode), lambda: happen(tallyfy, event))


@pytest.fixture
def waited(tallyfy, monkeypatch):
    tallyfy.add_run(id=RUN_ID)
    connection = tallyfy.connection_json(retry_budget=0, credentials_grace=0)
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", connection)
    return tallyfy


CASES = [
    (event, mode) for event in EVENTS for mode in EVERY_MODE if (event, mode) != ("the timeout passes", FROM_THE_START)
]


@pytest.mark.parametrize(("event", "mode"), CASES)
@pytest.mark.parametrize("soft_fail", [False, True])
def test_soft_fail_skips_permanent_failures_and_leaves_transient_ones_their_retries(waited, event, mode, soft_fail):
    what, error = EVENTS[event]
    end = wait(waited, mode, what, soft_fail=soft_fail, max_poll_failures=0)
    if error == "TallyfyServerError":
        assert (end.state, end.error) == ("up_for_retry", error)
    elif soft_fail:
        assert end.state == "skipped"
    else:
        assert (end.state, end.error) == ("failed", error)


@pytest.mark.parametrize(("event", "mode"), CASES)
def test_never_fail_skips_every_failure_but_the_timeout(waited, event, mode):
    end = wait(waited, mode, EVENTS[event][0], never_fail=True, max_poll_failures=0)
    assert end.state == ("failed" if event == "the timeout passes" else "skipped")


def test_statuses_may_come_out_of_templates(waited):
    waited.complete_run(RUN_ID)
    task = sensor(target_status="{{ params.goal }}", failure_status=["{{ params.bad }}"])
    task.render_template_fields({"params": {"goal": "complete", "bad": "problem"}})
    assert task.execute(new_context())["status"] == "complete"


@pytest.mark.parametrize("statuses", ["['archived', 'complete']", '["complete"]', ["['complete']", "archived"]])
def test_several_statuses_may_come_out_of_templates_as_text(waited, statuses):
    waited.complete_run(RUN_ID)
    task = sensor(target_status=statuses, failure_status="['problem', 'issue']")
    assert task.execute(new_context())["status"] == "complete"


@pytest.mark.parametrize("deferrable", [False, True])
def test_run_id_and_url_are_pushed_at_the_start_also_if_the_wait_fails(waited, deferrable):
    context = new_context()
    waited.faults.add(status=401, times=None)
    attempt(lambda: sensor(deferrable=deferrable).execute(context))
    assert context["ti"].pushed == {"run_id": RUN_ID, "run_url": waited.run_url(RUN_ID)}


def test_a_deferral_tells_airflow_when_to_give_up_and_the_trigger_earlier(waited):
    before = time.time()
    deferred = deferral(sensor(deferrable=True, timeout=600))
    after = time.time()
    assert before + 600 <= deferred.trigger.deadline <= after + 600
    given_up_at = before + deferred.timeout.total_seconds(), after + deferred.timeout.total_seconds()
    assert given_up_at[0] <= deferred.trigger.deadline + 60 <= given_up_at[1]
    assert deferred.method_name == "execute_complete"
    assert not deferred.kwargs


def test_an_execution_timeout_limits_a_deferred_wait(waited):
    deferred = deferral(sensor(deferrable=True, timeout=600, execution_timeout=timedelta(seconds=5)))
    assert deferred.trigger.deadline <= time.time() + 5
    task = sensor(deferrable=True, execution_timeout=timedelta(seconds=0.001), timeout=600)
    fired = only_event(rebuilt(deferral(task).trigger))
    with pytest.raises(AirflowTaskTimeout, match="The run itself goes on"):
        resume(task, deferred, fired)


def test_the_timeout_of_the_deferral_is_the_timeout_of_the_sensor(waited):
    deferred = deferral(sensor(deferrable=True))
    with pytest.raises(AirflowSensorTimeout, match="Timed out waiting for"):
        sensor(deferrable=True).resume_execution("__fail__", {"error": "Trigger/execution timeout"}, new_context())
    assert deferred.trigger.run_id == RUN_ID


def test_the_trigger_has_all_arguments_of_the_task(waited):
    deferred = deferral(
        sensor(
            deferrable=True,
            timeout=600,
            target_status=("complete", "problem"),
            failure_status=None,
            missing="wait",
            poke_interval=7,
            exponential_backoff=True,
            max_wait=timedelta(seconds=90),
            max_poll_failures=3,
            organization_id=waited.organization_id,
        )
    )
    arguments = deferred.trigger.serialize()[1]
    assert {name: arguments[name] for name in arguments if name != "deadline"} == {
        "run_id": RUN_ID,
        "target_status": ["complete", "problem"],
        "failure_status": [],
        "missing": "wait",
        "newer_than": waited.run(RUN_ID)["last_updated"].replace("Z", "000+00:00"),
        "organization_id": waited.organization_id,
        "tallyfy_conn_id": "tallyfy_default",
        "poll_interval": 7,
        "max_poll_interval": 90,
        "max_poll_failures": 3,
        "end_task": False,
    }


def test_one_argument_makes_long_waits_ask_less_often_in_every_mode(waited):
    seldom = sensor(deferrable=True, poke_interval=7, max_poke_interval=90)
    assert deferral(seldom).trigger.serialize()[1]["max_poll_interval"] == 90
    assert (bool(seldom.exponential_backoff), seldom.max_wait) == (True, timedelta(seconds=90))
    assert deferral(sensor(deferrable=True)).trigger.serialize()[1]["max_poll_interval"] is None


@pytest.mark.parametrize("arguments", [{"poke_interval": 0}, {"timeout": 0, "exponential_backoff": True}])
def test_a_trigger_takes_every_timeout_that_its_sensor_takes(waited, arguments):
    deferred = deferral(sensor(deferrable=True, **{"timeout": 1} | arguments))
    assert only_event(rebuilt(deferred.trigger)).payload["outcome"] == "timed_out"


@pytest.mark.parametrize("longest", [0, -1, 6.5, 7])
def test_an_interval_that_cannot_grow_stays_as_it_is_in_every_mode(waited, longest):
    steady = sensor(deferrable=True, poke_interval=7, max_poke_interval=longest)
    assert deferral(steady).trigger.serialize()[1]["max_poll_interval"] is None
    poking = sensor(poke_interval=7, max_poke_interval=longest, timeout=600)
    assert poking._get_next_poke_interval(0.0, lambda: 300.0, 9) == 7


@pytest.mark.parametrize("event", [None, {}, {"status": "success"}, {"outcome": "waiting", "message": ""}, "reached"])
def test_an_unknown_event_never_succeeds(event):
    with pytest.raises(TallyfyResponseError, match="Do triggerer and workers run the same version"):
        sensor(deferrable=True).execute_complete(new_context(), event=event)


def test_the_event_is_all_that_the_resumed_task_needs(waited, monkeypatch):
    deferred = deferral(sensor(deferrable=True))
    waited.complete_run(RUN_ID)
    fired = json.loads(json.dumps(only_event(rebuilt(deferred.trigger)).payload))
    monkeypatch.delenv("AIRFLOW_CONN_TALLYFY_DEFAULT")
    waited.clear_requests()
    result = TallyfyRunStatusSensor(task_id="wait", run_id="").execute_complete(new_context(), event=fired)
    assert (result["id"], result["status"], waited.requests) == (RUN_ID, "complete", [])


def test_one_poke_sensor_tolerates_transient_failures_and_logs_each_change_once(waited, capfd, caplog):
    caplog.set_level("INFO")
    waited.faults.add(status=503, times=5)
    waited.complete_run(RUN_ID)
    task = sensor(mode="poke", timeout=60, poke_interval=0.01, max_poll_failures=5)
    assert task.execute(new_context())["status"] == "complete"
    request_ids = re.findall(r"(?s)Cannot see run .*?\(request id (\w+)\)", capfd.readouterr().out + caplog.text)
    assert len(set(request_ids)) == 1


def test_too_many_failed_looks_in_a_row_fail_the_try(waited):
    waited.faults.add(status=503, times=3)
    end = attempt(lambda: sensor(timeout=60, poke_interval=0.01, max_poll_failures=2).execute(new_context()))
    assert (end.state, end.error) == ("up_for_retry", "TallyfyServerError")
    assert "Gave up after 3 failed looks in a row" in str(end.exception)


def test_a_failure_names_the_run_its_state_and_where_to_look(waited):
    waited.archive_run(RUN_ID)
    message = rf"Run {RUN_ID} .* is archived\.\nThe task waited for run {RUN_ID} to be complete\.\nhttp"
    with pytest.raises(AirflowFailException, match=message):
        sensor().execute(new_context())


@pytest.mark.parametrize("timeout", [float("inf"), 1e12])
def test_airflow_can_store_an_endless_timeout(waited, timeout):
    deferred = deferral(sensor(deferrable=True, timeout=timeout))
    assert timedelta(days=3649) < deferred.timeout < timedelta(days=3651)
    assert deferred.trigger.deadline < time.time() + deferred.timeout.total_seconds()
    assert json.loads(json.dumps(deferred.trigger.deadline)) == deferred.trigger.deadline


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_wait_with_an_endless_timeout_can_end_on_a_worker(waited, mode):
    waited.complete_run(RUN_ID)
    assert sensor(mode=mode, timeout=float("inf")).execute(new_context())["status"] == "complete"
