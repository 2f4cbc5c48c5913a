"""One sensor for many runs."""

from __future__ import annotations

import json

import pytest

from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunsStatusSensor
from tests.airflow_driver import attempt, deferral, new_context, only_event, rebuilt
from tests.contract.sensors.modes import MODES

both_worlds = pytest.mark.parametrize("tallyfy_sandbox", ["lenient", "strict"], indirect=True)


@pytest.fixture(autouse=True)
def _unhurried(tallyfy, monkeypatch):
    """The budget of requests is not what is tested here."""
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(requests_per_minute=600_000))


def wait_for(run_ids, **arguments):
    return lambda **mode: TallyfyRunsStatusSensor(task_id="wait", run_ids=run_ids, **arguments, **mode)


def outcomes(result) -> dict[str, str]:
    return {run["id"]: run["outcome"] for run in result}


@both_worlds
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
def test_what_mapped_launches_hand_on_names_the_runs(tallyfy, mode):
    first, second, third = tallyfy.add_runs(3)
    launched = [{"id": first, "name": "First", "url": "https://..."}, {"id": second}, third, first]
    end = MODES[mode](wait_for(launched), lambda: [tallyfy.complete_run(run_id) for run_id in (first, second, third)])
    assert outcomes(end.result) == {first: "reached", second: "reached", third: "reached"}


@both_worlds
@pytest.mark.parametrize("mode", MODES)
def test_all_means_all(tallyfy, mode):
    run_ids = tallyfy.add_runs(7)
    end = MODES[mode](wait_for(run_ids), lambda: [tallyfy.complete_run(run_id) for run_id in run_ids[1:]])
    assert (end.state, end.error) == ("failed", "AirflowSensorTimeout")


@both_worlds
@pytest.mark.parametrize("mode", MODES)
def test_any_run_complete_ends_a_wait_for_any(tallyfy, mode):
    first, second, third = tallyfy.add_runs(3)

    def happen() -> None:
        tallyfy.archive_run(first)
        tallyfy.complete_run(second)

    end = MODES[mode](wait_for([first, second, third], wait_for="any"), happen)
    assert end.state == "success"
    ended = outcomes(end.result)
    assert (ended[second], ended[third]) == ("reached", "waiting")
    assert ended[first] in {"failed", "waiting"}, "whichever of the two was seen first"


@both_worlds
@pytest.mark.parametrize("mode", MODES)
def test_a_wait_for_any_fails_when_none_can_end_it_any_more(tallyfy, mode):
    run_ids = tallyfy.add_runs(3)
    end = MODES[mode](wait_for(run_ids, wait_for="any"), lambda: [tallyfy.archive_run(run_id) for run_id in run_ids])
    assert (end.state, end.error) == ("failed", "AirflowFailException")


@both_worlds
@pytest.mark.parametrize("mode", MODES)
def test_the_first_bad_end_fails_the_wait_at_once(tallyfy, mode):
    run_ids = tallyfy.add_runs(5)
    end = MODES[mode](wait_for(run_ids), lambda: tallyfy.archive_run(run_ids[2]))
    assert (end.state, end.error) == ("failed", "AirflowFailException")
    assert run_ids[2] in str(end.exception)
    assert "0 of 5 runs are complete, 1 ended otherwise" in str(end.exception)


@both_worlds
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rest_completes", [True, False])
def test_a_bad_end_fails_the_wait_at_the_end_if_that_is_wished(tallyfy, mode, rest_completes):
    bad, *rest = tallyfy.add_runs(5)

    def happen() -> None:
        tallyfy.archive_run(bad)
        for run_id in rest if rest_completes else ():
            tallyfy.complete_run(run_id)

    end = MODES[mode](wait_for([bad, *rest], fail_fast=False), happen)
    assert (end.state, end.error) == ("failed", "AirflowFailException" if rest_completes else "AirflowSensorTimeout")


@both_worlds
@pytest.mark.parametrize("mode", MODES)
def test_a_missing_run_fails_the_wait_as_missing(tallyfy, mode):
    gone, *rest = tallyfy.add_runs(3)
    end = MODES[mode](wait_for([gone, *rest]), lambda: tallyfy.delete_run(gone))
    assert (end.state, end.error) == ("failed", "TallyfyNotFoundError")
    assert gone in str(end.exception)


def test_one_trigger_waits_for_all_of_them_for_a_page_a_round(tallyfy):
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


def test_trouble_with_one_run_is_borne_while_the_others_are_looked_at(tallyfy, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    run_ids = tallyfy.add_runs(3)
    tallyfy.faults.add("status", status=500, path=run_ids[0], times=1)
    for run_id in run_ids:
        tallyfy.complete_run(run_id)
    sensor = wait_for(run_ids)(timeout=1000)
    assert not sensor.poke(new_context())
    assert sensor.poke(new_context())


def test_a_token_that_is_declined_fails_the_wait(tallyfy):
    run_ids = tallyfy.add_runs(10)
    tallyfy.revoke_token()
    end = attempt(lambda: wait_for(run_ids)(timeout=1000).execute(new_context()))
    assert (end.state, end.error) == ("failed", "TallyfyAuthError")
    assert len(tallyfy.requests) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"run_ids": "0123456789abcdef0123456789abcdef"},
        {"run_ids": "a,b"},
        {"run_ids": "[a, b]"},
        {"run_ids": "[]"},
        {"run_ids": "None"},
        {"run_ids": []},
        {"run_ids": None},
        {"run_ids": ["a/b"]},
        {"run_ids": {"id": "a"}},
        {"run_ids": b"ab"},
        {"run_ids": [{"name": "no id"}]},
        {"run_ids": [["a"]]},
        {"run_ids": [{"a"}]},
        {"run_ids": [None]},
        {"wait_for": "some"},
        {"target_status": "done"},
        {"missing": "what"},
    ],
)
def test_what_cannot_be_waited_for_is_refused_before_anything_is_asked(tallyfy, arguments):
    sensor = TallyfyRunsStatusSensor(**{"task_id": "wait", "run_ids": ["a"], **arguments})
    end = attempt(lambda: sensor.execute(new_context()))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert tallyfy.requests == []


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


def test_every_run_that_is_not_named_rightly_is_told_of():
    sensor = wait_for(["a", {"name": "b"}, {"id": "c"}, ""])(timeout=0)
    end = attempt(lambda: sensor.execute(new_context()))
    assert "run_ids has 2 problems" in str(end.exception)
    assert "run_ids[2]" in str(end.exception)
    assert "run_ids[4]" in str(end.exception)


def test_it_tells_how_many_have_ended_and_only_when_that_changes(tallyfy, monkeypatch):
    run_ids = tallyfy.add_runs(3)
    sensor, told = wait_for(run_ids)(timeout=1000), []
    monkeypatch.setattr(type(sensor), "tell", property(lambda self: told.append))
    sensor.poke(new_context())
    sensor.poke(new_context())
    tallyfy.complete_run(run_ids[0])
    sensor.poke(new_context())
    assert told == ["0 of 3 runs are complete.", "1 of 3 runs are complete."]
