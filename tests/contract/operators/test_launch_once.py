"""Whatever happens to the task that launches a run, there is exactly one run."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.flows import LaunchKey
from airflow_provider_tallyfy.api.models.run import RunChange
from airflow_provider_tallyfy.operators.tallyfy import TallyfyLaunchRunOperator, TallyfyUpdateRunOperator
from airflow_provider_tallyfy.sandbox import Behavior
from tests.airflow_driver import attempt, eventually
from tests.contract.operators.launching import asked, both_kinds, launches, live_runs, project, template_run
from tests.task_contexts import FakeDagRun, FakeTaskStateStore, context_of

#: Single switches of the behavior that a launch might wrongly depend on.
SINGLE_BEHAVIORS = [
    Behavior(archived_visible_to_get=False),
    Behavior(archived_status="stored"),
    Behavior(default_sort="-created_at"),
    Behavior(list_lag=1),
    Behavior(list_lag=2),
    Behavior(milliseconds=False),
    Behavior(q="words"),
    Behavior(links="missing"),
    Behavior(project_summary="tasks"),
]


@pytest.mark.usefixtures("worlds")
def test_a_launch_pushes_its_result_and_the_id_and_address_of_the_run(tallyfy):
    context = context_of()
    result = template_run(tallyfy, summary="For Acme.").execute(context)
    [run] = tallyfy.runs
    url = tallyfy.run_url(run["id"])
    assert result == {
        "id": run["id"],
        "name": "Acme",
        "status": "active",
        "archived_at": None,
        "completed_at": None,
        "url": url,
        "changed": True,
    }
    assert context["ti"].pushed == {"run_id": run["id"], "run_url": url, "changed": True}
    assert run["summary"].startswith("For Acme.\n[airflow:")


def test_a_first_launch_costs_three_requests_besides_the_launch(tallyfy):
    template_run(tallyfy).execute(context_of())
    assert asked(tallyfy) == ["GET runs", "GET template", "POST runs", "GET runs"]


def test_the_first_launch_of_a_project_costs_a_look_at_it_as_well(tallyfy):
    result = project(tallyfy).execute(context_of())
    assert asked(tallyfy) == ["GET runs", "POST tasks", f"GET {result['id']}", "GET runs"]


def test_a_first_launch_waits_only_for_a_lagging_list(tallyfy, pauses):
    template_run(tallyfy).execute(context_of())
    assert pauses == []
    tallyfy.behavior = Behavior(list_lag=1)
    template_run(tallyfy).execute(context_of(map_index=1))
    assert pauses == [1.0]


LOST_ANSWERS = {
    "the connection breaks after the write": {"kind": "reset", "applied": True},
    "the answer is cut off": {"kind": "truncated"},
    "500 after the write": {"status": 500, "applied": True},
    "503 after the write": {"status": 503, "applied": True, "body": "html"},
    "a page instead of JSON": {"status": 200, "applied": True, "body": "html"},
    "an empty answer": {"status": 201, "applied": True, "body": "empty"},
    "an answer without a run": {"status": 201, "applied": True, "body": "null"},
}


@pytest.mark.usefixtures("worlds")
@both_kinds
@pytest.mark.parametrize("fault", LOST_ANSWERS)
def test_a_launch_whose_answer_is_lost_is_found_and_adopted(tallyfy, launcher, fault):
    tallyfy.faults.add(method="POST", **LOST_ANSWERS[fault])
    result = launcher(tallyfy).execute(context_of())
    assert live_runs(tallyfy) == [result["id"]]
    assert result["changed"] is True
    assert launches(tallyfy) == 1


@pytest.mark.usefixtures("worlds")
@both_kinds
def test_a_run_from_before_is_not_claimed_even_if_answers_are_lost(tallyfy, launcher):
    first = launcher(tallyfy, launch_key="4711").execute(context_of())
    tallyfy.faults.add("reset", method="POST", applied=True)
    second = launcher(tallyfy, launch_key="4711").execute(context_of(run_id="tomorrow"))
    assert (second["id"], second["changed"]) == (first["id"], False)
    assert launches(tallyfy) == 1


@pytest.mark.usefixtures("worlds")
@both_kinds
def test_a_retry_claims_its_own_launch_although_the_answer_was_lost(tallyfy, launcher, monkeypatch):
    logged: list[str] = []
    operator = launcher(tallyfy)
    monkeypatch.setattr(operator.log, "info", lambda message, *facts: logged.append(message % facts))
    tallyfy.faults.add("reset", method="POST", applied=True)
    result = operator.execute(context_of(try_number=2))
    assert (live_runs(tallyfy), result["changed"]) == ([result["id"]], True)
    assert logged[-1].startswith("Launched run")


@pytest.mark.usefixtures("worlds")
@both_kinds
def test_a_launch_that_failed_before_the_write_is_launched_by_the_next_try(tallyfy, launcher):
    tallyfy.faults.add("status", method="POST", status=503)
    first = attempt(lambda: launcher(tallyfy).execute(context_of()))
    assert (first.state, first.error) == ("up_for_retry", "TallyfyUnknownOutcomeError")
    assert "A retry looks again" in str(first.exception)
    assert live_runs(tallyfy) == []
    second = launcher(tallyfy).execute(context_of(try_number=2))
    assert live_runs(tallyfy) == [second["id"]]
    assert second["changed"] is True


@pytest.mark.usefixtures("worlds")
@both_kinds
def test_a_refused_launch_is_neither_looked_for_nor_repeated(tallyfy, launcher):
    tallyfy.faults.add("status", method="POST", status=422)
    end = attempt(lambda: launcher(tallyfy).execute(context_of()))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert launches(tallyfy) == 1
    assert asked(tallyfy)[-1].startswith("POST ")


@pytest.mark.usefixtures("worlds")
@both_kinds
def test_a_worker_killed_after_the_write_leaves_its_run_to_the_next_try(tallyfy, launcher):
    launcher(tallyfy).execute(context_of())  # its result is lost
    again = launcher(tallyfy).execute(context_of(try_number=2))
    assert live_runs(tallyfy) == [again["id"]]
    assert again["changed"] is False
    assert launches(tallyfy) == 1


@both_kinds
@pytest.mark.parametrize("tallyfy_sandbox", SINGLE_BEHAVIORS, indirect=True, ids=str)
def test_a_retry_does_not_launch_again_in_any_single_behavior(tallyfy, launcher):
    tallyfy.faults.add("reset", method="POST", applied=True)
    attempt(lambda: launcher(tallyfy).execute(context_of()))
    again = launcher(tallyfy).execute(context_of(try_number=2))
    assert live_runs(tallyfy) == [again["id"]]


@pytest.mark.usefixtures("worlds")
@both_kinds
def test_a_cleared_task_adopts_its_run(tallyfy, launcher):
    first = launcher(tallyfy).execute(context_of())
    cleared = launcher(tallyfy).execute(context_of(try_number=2, max_tries=1))
    assert (cleared["id"], cleared["changed"]) == (first["id"], False)


@both_kinds
def test_the_text_false_launches_no_other_run_when_cleared(tallyfy, launcher):
    first = launcher(tallyfy, relaunch_on_clear="false").execute(context_of())
    cleared = launcher(tallyfy, relaunch_on_clear="false").execute(context_of(try_number=2, max_tries=1))
    assert cleared["id"] == first["id"]


@pytest.mark.usefixtures("worlds")
@both_kinds
def test_relaunch_on_clear_launches_another_run_once(tallyfy, launcher):
    first = launcher(tallyfy, relaunch_on_clear=True).execute(context_of())
    second = launcher(tallyfy, relaunch_on_clear=True).execute(context_of(try_number=2, max_tries=1))
    retried = launcher(tallyfy, relaunch_on_clear=True).execute(context_of(try_number=3, max_tries=1))
    assert live_runs(tallyfy) == [first["id"], second["id"]]
    assert (second["changed"], retried["id"], retried["changed"]) == (True, second["id"], False)


@pytest.mark.usefixtures("worlds")
@both_kinds
def test_clearing_another_task_between_two_tries_launches_nothing_again(tallyfy, launcher):
    tallyfy.faults.add("reset", method="POST", applied=True)
    tallyfy.faults.add("status", method="GET", status=403, path=r"/runs\?", times=None)
    attempt(lambda: launcher(tallyfy, relaunch_on_clear=True, retries=1).execute(context_of(max_tries=1)))
    tallyfy.faults.clear()
    elsewhere = FakeDagRun(clear_number=1)
    again = context_of(try_number=2, max_tries=1, dag_run=elsewhere)
    adopted = launcher(tallyfy, relaunch_on_clear=True, retries=1).execute(again)
    assert live_runs(tallyfy) == [adopted["id"]]


@pytest.mark.usefixtures("worlds")
def test_a_cleared_launch_with_a_key_launches_again_beside_other_dag_runs(tallyfy):
    def launched(**ti):
        context = context_of(**ti)
        return template_run(tallyfy, launch_key="4711", relaunch_on_clear=True).execute(context)["id"]

    first, elsewhere = launched(run_id="one"), launched(run_id="two")
    cleared = [launched(run_id=run_id, try_number=2, max_tries=1) for run_id in ("one", "two")]
    assert elsewhere == first
    assert live_runs(tallyfy) == [first, *cleared]


@pytest.mark.usefixtures("worlds")
def test_an_archived_run_is_adopted_too(tallyfy):
    first = template_run(tallyfy).execute(context_of())
    tallyfy.archive_run(first["id"])
    again = template_run(tallyfy).execute(context_of(try_number=2))
    assert (again["id"], again["status"], again["changed"]) == (first["id"], "archived", False)


@pytest.mark.usefixtures("worlds")
def test_a_run_that_was_deleted_for_good_is_launched_again(tallyfy):
    store = FakeTaskStateStore()
    first = template_run(tallyfy).execute(context_of(store=store))
    tallyfy.delete_run(first["id"])
    again = template_run(tallyfy).execute(context_of(try_number=2, store=store))
    assert again["changed"] is True
    assert live_runs(tallyfy) == [again["id"]]


@pytest.mark.usefixtures("worlds")
def test_a_run_whose_summary_an_update_rewrote_is_still_found(tallyfy):
    first = template_run(tallyfy).execute(context_of())
    TallyfyUpdateRunOperator(task_id="update", run_id=first["id"], changes={"summary": "New"}).execute(context_of())
    assert tallyfy.run(first["id"])["summary"].startswith("New\n[airflow:")
    again = template_run(tallyfy).execute(context_of(try_number=2))
    assert again["id"] == first["id"]


@pytest.mark.usefixtures("worlds")
@both_kinds
def test_the_task_state_finds_a_run_whose_marker_people_removed(tallyfy, launcher):
    store = FakeTaskStateStore()
    first = launcher(tallyfy).execute(context_of(store=store))
    tallyfy.update_run(first["id"], summary="mine now")
    tallyfy.clear_requests()
    again = launcher(tallyfy).execute(context_of(try_number=2, store=store))
    assert (again["id"], again["changed"]) == (first["id"], False)
    assert asked(tallyfy) == [f"GET {first['id']}"]


@pytest.mark.usefixtures("worlds")
def test_the_task_state_of_before_a_clear_does_not_keep_a_task_from_launching_again(tallyfy):
    store = FakeTaskStateStore()
    first = template_run(tallyfy, relaunch_on_clear=True).execute(context_of(store=store))
    again = context_of(try_number=2, store=store, max_tries=1)
    second = template_run(tallyfy, relaunch_on_clear=True).execute(again)
    assert live_runs(tallyfy) == [first["id"], second["id"]]
    assert sorted(store.values.values()) == sorted([first["id"], second["id"]])


@pytest.mark.usefixtures("worlds")
@both_kinds
def test_two_tries_at_the_same_time_leave_one_run(tallyfy, launcher):
    keys = [LaunchKey("key", pages=1), LaunchKey("key")]
    changes: list[RunChange] = []

    def launch(operator: Any, key: LaunchKey) -> None:
        with operator.hook as hook:
            changes.append(hook.execute(operator._launch(hook.organization_id, key)))

    # Both launches are sent before either is answered.
    hang = tallyfy.faults.add("hang", method="POST", times=2)
    tries = [threading.Thread(target=launch, args=(launcher(tallyfy), key)) for key in keys]
    for each in tries:
        each.start()
    assert eventually(lambda: hang.hits == 2)
    tallyfy.faults.clear()
    for each in tries:
        each.join(timeout=20)
    assert launches(tallyfy) == 2
    assert live_runs(tallyfy) == [changes[0].run.id]
    assert changes[0].run.id == changes[1].run.id
    assert sorted(change.changed for change in changes) == [False, True]


@pytest.mark.usefixtures("worlds")
def test_a_try_whose_confirmation_failed_leaves_its_run_to_the_next(tallyfy):
    tallyfy.faults.add("status", method="GET", path="/runs", status=403)
    first = attempt(lambda: template_run(tallyfy).execute(context_of()))
    assert first.state == "failed"
    again = template_run(tallyfy).execute(context_of(try_number=2))
    assert live_runs(tallyfy) == [again["id"]]


def test_a_launch_that_no_retry_would_find_is_logged(tallyfy, monkeypatch):
    logged: list[str] = []
    operator = template_run(tallyfy)
    monkeypatch.setattr(operator.log, "warning", lambda message, *facts: logged.append(message % facts))
    operator.execute(context_of())
    assert logged == []
    run = tallyfy.runs[0] | {"summary": "replaced by the template"}
    tallyfy.faults.add("status", method="POST", status=201, body={"data": run})
    operator.execute(context_of(map_index=1))
    assert logged[0].startswith("Tallyfy did not keep [airflow:")


@pytest.mark.usefixtures("worlds")
def test_mapped_tasks_and_other_dag_runs_launch_runs_of_their_own(tallyfy):
    contexts = [context_of(2), context_of(2, map_index=0), context_of(2, map_index=1), context_of(2, run_id="tomorrow")]
    results = [template_run(tallyfy).execute(context) for context in contexts]
    assert live_runs(tallyfy) == [result["id"] for result in results]


@pytest.mark.usefixtures("worlds")
def test_a_changed_task_launches_what_it_says_now(tallyfy):
    store, other = FakeTaskStateStore(), tallyfy.add_template("Offboarding")["id"]
    template_run(tallyfy).execute(context_of(store=store))
    changed = [template_run(tallyfy, template_id=other), project(tallyfy)]
    for operator in changed:
        assert operator.execute(context_of(try_number=2, store=store))["changed"] is True
    assert len(live_runs(tallyfy)) == 3


@pytest.mark.usefixtures("worlds")
def test_a_template_by_name_and_by_id_is_the_same_launch_also_after_it_was_renamed(tallyfy):
    template = tallyfy.add_template("Customer onboarding")

    def launch(template_id: str) -> dict[str, Any]:
        task = TallyfyLaunchRunOperator(task_id="launch", template_id=template_id)
        return task.execute(context_of(try_number=2))

    first = launch("customer onboarding")
    tallyfy.store.templates[template["id"]]["title"] = "Onboarding of customers"
    assert [launch(name)["id"] for name in (template["id"], "Onboarding of customers")] == [first["id"]] * 2
    with pytest.raises(TallyfyValidationError, match="Did you mean 'Onboarding of customers'"):
        launch("Onboarding customers")
    assert len(tallyfy.runs) == 1
