"""One sensor for many runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.models.trigger import Trigger

from airflow_provider_tallyfy.api.outputs import max_bytes
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunsStatusSensor
from airflow_provider_tallyfy.waits import RESULT_FIELDS
from airflow_provider_tallyfy.waits.goals import KNOWN_FIELDS
from tests.airflow_driver import attempt, deferral, new_context, only_event, rebuilt, resume
from tests.contract.sensors.modes import MODES


@pytest.fixture(autouse=True)
def _unhurried(tallyfy, monkeypatch):
    """Raise the limit of requests, which is not tested here."""
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(wait_requests_per_minute=600_000))


def wait_for(run_ids, **arguments):
    return lambda **mode: TallyfyRunsStatusSensor(task_id="wait", run_ids=run_ids, **arguments, **mode)


def outcomes(result) -> dict[str, str]:
    return {run["id"]: run["outcome"] for run in result}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("count", [2, 7, 120])
def test_all_runs_complete_end_the_wait_with_each_of_them_in_order(tallyfy, mode, count):
    run_ids = tallyfy.add_runs(count)[::-1]
    end = MODES[mode](wait_for(run_ids), lambda: [tallyfy.complete_run(run_id) for run_id in run_ids])
    assert end.state == "success"
    assert [run["id"] for run in end.result] == run_ids
    assert set(outcomes(end.result).values()) == {"reached"}
    assert {run["status"] for run in end.result} == {"complete"}
    assert end.result[0]["url"] == tallyfy.run_url(run_ids[0])


@pytest.mark.parametrize("mode", MODES)
def test_results_of_mapped_launches_name_the_runs(tallyfy, mode):
    first, second, third = tallyfy.add_runs(3)
    launched = [{"id": first, "name": "First", "url": "https://..."}, {"id": second}, third, first]
    end = MODES[mode](wait_for(launched), lambda: [tallyfy.complete_run(run_id) for run_id in (first, second, third)])
    assert outcomes(end.result) == {first: "reached", second: "reached", third: "reached"}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("mode", MODES)
def test_a_wait_for_all_ends_when_all_runs_are_there(tallyfy, mode):
    run_ids = tallyfy.add_runs(7)
    end = MODES[mode](wait_for(run_ids), lambda: [tallyfy.complete_run(run_id) for run_id in run_ids[1:]])
    assert (end.state, end.error) == ("failed", "AirflowSensorTimeout")


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("mode", MODES)
def test_one_complete_run_ends_a_wait_for_any(tallyfy, mode):
    first, second, third = tallyfy.add_runs(3)

    def happen() -> None:
        tallyfy.archive_run(first)
        tallyfy.complete_run(second)

    end = MODES[mode](wait_for([first, second, third], wait_for="any"), happen)
    assert end.state == "success"
    ended = outcomes(end.result)
    assert (ended[second], ended[third]) == ("reached", "waiting")
    assert ended[first] in {"failed", "waiting"}, "whichever of the two was seen first"


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("mode", MODES)
def test_a_wait_for_any_fails_when_none_can_end_it_any_more(tallyfy, mode):
    run_ids = tallyfy.add_runs(3)
    end = MODES[mode](wait_for(run_ids, wait_for="any"), lambda: [tallyfy.archive_run(run_id) for run_id in run_ids])
    assert (end.state, end.error) == ("failed", "AirflowFailException")


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("mode", MODES)
def test_the_first_failed_run_fails_the_wait_at_once(tallyfy, mode):
    run_ids = tallyfy.add_runs(5)
    end = MODES[mode](wait_for(run_ids), lambda: tallyfy.archive_run(run_ids[2]))
    assert (end.state, end.error) == ("failed", "AirflowFailException")
    assert run_ids[2] in str(end.exception)
    assert "0 of 5 runs are complete, 1 ended otherwise" in str(end.exception)


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rest_completes", [True, False])
def test_a_failed_run_fails_the_wait_at_the_end_without_fail_fast(tallyfy, mode, rest_completes):
    bad, *rest = tallyfy.add_runs(5)

    def happen() -> None:
        tallyfy.archive_run(bad)
        for run_id in rest if rest_completes else ():
            tallyfy.complete_run(run_id)

    end = MODES[mode](wait_for([bad, *rest], fail_fast=False), happen)
    assert (end.state, end.error) == ("failed", "AirflowFailException" if rest_completes else "AirflowSensorTimeout")


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("mode", MODES)
def test_a_missing_run_fails_the_wait_as_missing(tallyfy, mode):
    gone, *rest = tallyfy.add_runs(3)
    end = MODES[mode](wait_for([gone, *rest]), lambda: tallyfy.delete_run(gone))
    assert (end.state, end.error) == ("failed", "TallyfyNotFoundError")
    assert gone in str(end.exception)


def test_one_trigger_waits_for_all_runs_with_one_page_a_round(tallyfy):
    run_ids = tallyfy.add_runs(100)
    deferred = deferral(wait_for(run_ids)(deferrable=True, timeout=60, poke_interval=0.5))
    for run_id in run_ids:
        tallyfy.complete_run(run_id)
    tallyfy.clear_requests()
    event = only_event(rebuilt(deferred.trigger))
    assert event.payload["outcome"] == "reached"
    assert len(tallyfy.requests) <= 2


def test_runs_that_have_ended_are_not_looked_at_any_more(tallyfy):
    run_ids = tallyfy.add_runs(40)
    for run_id in run_ids[1:]:
        tallyfy.complete_run(run_id)
    sensor = wait_for(run_ids)(timeout=1000)
    assert not sensor.poke(new_context())
    tallyfy.clear_requests()
    assert not sensor.poke(new_context())
    assert [request.path.rpartition("/")[2] for request in tallyfy.requests] == [run_ids[0]]


def test_a_failure_of_one_run_is_tolerated_while_the_others_are_read(tallyfy, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    run_ids = tallyfy.add_runs(3)
    tallyfy.faults.add("status", status=500, path=run_ids[0], times=1)
    for run_id in run_ids:
        tallyfy.complete_run(run_id)
    sensor = wait_for(run_ids)(timeout=1000)
    assert not sensor.poke(new_context())
    assert sensor.poke(new_context())


def test_a_refused_token_fails_the_wait(tallyfy):
    run_ids = tallyfy.add_runs(10)
    tallyfy.revoke_token()
    end = attempt(lambda: wait_for(run_ids)(timeout=1000).execute(new_context()))
    assert (end.state, end.error) == ("failed", "TallyfyAuthError")
    assert len(tallyfy.requests) == 1


@pytest.mark.parametrize("write", [str, json.dumps])
@pytest.mark.parametrize("as_dicts", [False, True], ids=["ids", "dicts"])
def test_lists_may_come_out_of_templates_as_text(tallyfy, write, as_dicts):
    run_ids = tallyfy.add_runs(2)
    tallyfy.complete_run(run_ids[0])
    tallyfy.archive_run(run_ids[1])
    sensor = wait_for("{{ params.runs }}", target_status="{{ params.good }}", failure_status="{{ params.bad }}")(
        timeout=0
    )
    params = {"runs": [{"id": each} for each in run_ids] if as_dicts else run_ids, "good": ["complete", "archived"]}
    sensor.render_template_fields({"params": {name: write(value) for name, value in params.items()} | {"bad": "[]"}})
    assert set(outcomes(attempt(lambda: sensor.execute(new_context())).result)) == set(run_ids)


def test_every_invalid_run_id_is_reported():
    sensor = wait_for(["a", {"name": "b"}, {"id": "c"}, ""])(timeout=0)
    end = attempt(lambda: sensor.execute(new_context()))
    assert "run_ids has 2 problems" in str(end.exception)
    assert "run_ids[2]" in str(end.exception)
    assert "run_ids[4]" in str(end.exception)


def test_the_number_of_finished_runs_is_logged_when_it_changes(tallyfy, monkeypatch):
    run_ids = tallyfy.add_runs(3)
    sensor, logged = wait_for(run_ids)(timeout=1000), []
    monkeypatch.setattr(type(sensor), "_log_line", staticmethod(logged.append))
    sensor.poke(new_context())
    sensor.poke(new_context())
    tallyfy.complete_run(run_ids[0])
    sensor.poke(new_context())
    assert logged == ["0 of 3 runs are complete.", "1 of 3 runs are complete."]


def handed_on(run_id: str, folder: Path) -> dict[str, object]:
    """Return one run in every form in which tasks return runs."""
    report = folder / "report.jsonl"
    report.write_text(f'{{"id": "{run_id}", "state": "changed"}}\n{{"id": "other", "state": "unchanged"}}\n')
    return {
        "an id": run_id,
        "a result": {"id": run_id, "name": "Onboarding", "changed": True},
        "ids": [run_id],
        "results": [{"id": run_id}],
        "text of ids": f"{run_id}, {run_id}",
        "a reference": {"path": str(report), "state": "changed", "count": 1},
    }


@pytest.mark.parametrize("form", ["an id", "a result", "ids", "results", "text of ids", "a reference"])
def test_run_ids_take_the_results_of_other_tasks(tallyfy, form, tmp_path):
    [run_id] = tallyfy.add_runs(1)
    tallyfy.complete_run(run_id)
    end = attempt(lambda: wait_for(handed_on(run_id, tmp_path)[form])(timeout=0).execute(new_context()))
    assert outcomes(end.result) == {run_id: "reached"}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fields", ["id", ("id", "outcome", "template_id"), "['id', 'percent_complete']"])
def test_the_result_has_the_fields_that_are_asked_for(tallyfy, mode, fields):
    run_ids = tallyfy.add_runs(3)
    end = MODES[mode](wait_for(run_ids, fields=fields), lambda: [tallyfy.complete_run(run_id) for run_id in run_ids])
    if fields == "id":
        assert end.result == run_ids
    elif isinstance(fields, tuple):
        template = tallyfy.run(run_ids[0])["checklist_id"]
        assert end.result == [{"id": run_id, "outcome": "reached", "template_id": template} for run_id in run_ids]
    else:
        assert [row["percent_complete"] for row in end.result] == [100] * 3


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("mode", MODES)
def test_runs_that_are_not_known_have_every_field_as_well(tallyfy, mode):
    run_ids = [*tallyfy.add_runs(1), "0" * 32]
    waiting = wait_for(run_ids, wait_for="any", missing="wait", fields=["id", "status", "url", "outcome"])
    end = MODES[mode](waiting, lambda: tallyfy.complete_run(run_ids[0]))
    assert end.result[1] == {"id": "0" * 32, "status": None, "url": tallyfy.run_url("0" * 32), "outcome": "waiting"}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("mode", MODES)
def test_more_runs_than_an_xcom_holds_are_written_to_a_file(tallyfy, mode, tmp_path):
    path = tmp_path / "runs.jsonl"
    name = "Onboarding of a customer with a long name " * 10
    run_ids = tallyfy.add_runs(150, name=name)
    waiting = wait_for(run_ids, output_path=str(path), fields=("id", "name", "outcome"))
    end = MODES[mode](waiting, lambda: [tallyfy.complete_run(run_id) for run_id in run_ids])
    assert end.result == {"path": str(path), "count": 150}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["id"] for row in rows] == run_ids
    assert all(row["name"].startswith(name) and row["outcome"] == "reached" for row in rows)


def test_the_file_keeps_the_end_of_a_run_that_is_reopened_meanwhile(tallyfy, tmp_path):
    path = tmp_path / "runs.jsonl"
    run_ids = tallyfy.add_runs(2)

    def make(**mode):
        return wait_for(run_ids, output_path=str(path), fields=("id", "status", "outcome"))(**mode)

    deferred = deferral(make(deferrable=True, timeout=0))
    for run_id in run_ids:
        tallyfy.complete_run(run_id)
    event = only_event(rebuilt(deferred.trigger))
    assert event.payload["result"] == ["reached", "reached"]
    tallyfy.update_run(run_ids[0], status="active", completed_at=None)
    resume(make(deferrable=True), deferred, event)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["status"], row["outcome"]) for row in rows] == [("active", "reached"), ("complete", "reached")]


def test_no_file_is_written_if_the_runs_cannot_be_read_after_the_wait(tallyfy, tmp_path, monkeypatch):
    path = tmp_path / "runs.jsonl"
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    run_ids = tallyfy.add_runs(2)
    deferred = deferral(wait_for(run_ids, output_path=str(path))(deferrable=True, timeout=0))
    for run_id in run_ids:
        tallyfy.complete_run(run_id)
    event = only_event(rebuilt(deferred.trigger))
    tallyfy.faults.add(status=503, times=None)
    end = attempt(lambda: resume(wait_for(run_ids, output_path=str(path))(deferrable=True), deferred, event))
    assert (end.state, end.error) == ("up_for_retry", "TallyfyServerError")
    assert not path.exists()


NAMES = ["Onboarding", "\N{SNOWMAN}" * 300, "\N{PILE OF POO}" * 300, '"' * 300, "\\" * 300, "x" * 81]


@pytest.mark.parametrize("fields", ["name", RESULT_FIELDS, KNOWN_FIELDS])
@pytest.mark.parametrize("name", NAMES)
def test_no_result_is_larger_than_its_estimate(tallyfy, name, fields):
    run_ids = tallyfy.add_runs(4, name=name)
    for run_id in run_ids:
        tallyfy.complete_run(run_id)
    limit = max_bytes(4, fields, run_ids[0], tallyfy.run_url(run_ids[0]))
    rows = attempt(lambda: wait_for(run_ids, fields=fields, max_xcom_bytes=limit)(timeout=0).execute(new_context()))
    assert len(json.dumps(rows.result)) <= limit
    assert attempt(
        lambda: wait_for(run_ids, fields=fields, max_xcom_bytes=limit - 1)(timeout=0).execute(new_context())
    ).error


@pytest.mark.parametrize("arguments", [{"fields": "id"}, {"output_path": "/tmp/never-written.jsonl"}])
def test_a_wait_for_a_thousand_runs_fits_the_smallest_column_for_triggers(tallyfy, arguments):
    run_ids = tallyfy.add_runs(1000, name="Onboarding of a customer")
    deferred = deferral(wait_for(run_ids, **arguments)(deferrable=True, timeout=600))
    assert len(Trigger.from_object(deferred.trigger).encrypted_kwargs) < 64_000


def test_a_run_that_the_worker_could_not_read_is_read_before_a_list_is_believed(tallyfy, monkeypatch):
    """The worker did not read this run, and a lagging list may show it as it was before it was reopened."""
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    run_ids = tallyfy.add_runs(3)
    assert deferral(wait_for(run_ids)(deferrable=True, timeout=60)).trigger.newer_than is not None
    tallyfy.faults.add("status", status=500, path=run_ids[0], times=1)
    assert deferral(wait_for(run_ids)(deferrable=True, timeout=60)).trigger.newer_than is None
