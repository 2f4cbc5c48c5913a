"""A DAG does a step of the process once, whatever happens to its task, and says what keeps it from doing so."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyResponseError, TallyfyValidationError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import TallyfyCommentOperator, TallyfyCompleteTaskOperator
from airflow_provider_tallyfy.sandbox import Behavior
from tests.airflow_driver import attempt
from tests.task_contexts import FakeTaskStateStore, context_of

STEPS = [
    "Prepare",
    {
        "title": "Import",
        "alias": "import",
        "form_fields": [
            {"label": "Rows", "required": True},
            {"label": "Result", "field_type": "radio", "options": ["Good", "Bad"]},
            {"label": "Notes"},
        ],
    },
    {"title": "Approve", "task_type": "approval"},
    {"title": "Review", "alias": "review-1"},
    {"title": "Review", "alias": "review-2"},
]
ANSWERS = {"Rows": 7, "result": "good"}


@pytest.fixture
def run(tallyfy) -> dict[str, Any]:
    return tallyfy.add_run(tallyfy.add_template("Onboarding", steps=STEPS)["id"], name="Acme")


@pytest.fixture
def hook(tallyfy):
    with TallyfyHook() as hook:
        yield hook


def complete(run: dict[str, Any], context: Any = None, **arguments: Any) -> Any:
    arguments = {"task_name": "Import", **arguments}
    operator = TallyfyCompleteTaskOperator(task_id="complete", run_id=run["id"], **arguments)
    return operator.execute(context or context_of())


def step(tallyfy, run: dict[str, Any], place: int = 1) -> dict[str, Any]:
    return tallyfy.store.find(run["id"]).tasks[place]


def answers(tallyfy, run: dict[str, Any]) -> dict[str, Any]:
    task = step(tallyfy, run)
    return {field["label"]: task["taskdata"].get(field["id"]) for field in task["form_fields"]}


def writes(tallyfy) -> list[str]:
    return [request.method for request in tallyfy.requests if request.method != "GET"]


def completions(tallyfy) -> int:
    return [webhook["event"] for webhook in tallyfy.webhooks].count("task.completed")


def refusal(act: Any) -> str:
    end = attempt(act)
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    return str(end.exception)


@pytest.mark.usefixtures("worlds")
def test_a_step_is_filled_in_and_completed(tallyfy, run):
    context = context_of()
    result = complete(run, context, answers=ANSWERS, comment="7 rows imported.")
    task = step(tallyfy, run)
    assert result == {
        "id": task["id"],
        "title": "Import",
        "alias": "import",
        "status": "completed",
        "is_done": True,
        "completed_at": result["completed_at"],
        "deadline": None,
        "changed": True,
        "run_id": run["id"],
        "url": tallyfy.run_url(run["id"]),
    }
    assert answers(tallyfy, run) == {"Rows": "7", "Result": "Good", "Notes": None}
    [comment] = tallyfy.run(run["id"])["threads"]
    assert comment["content"].startswith("7 rows imported.\n[airflow:")
    assert comment["task_id"] == task["id"]
    assert context["ti"].pushed["run_id"] == run["id"]
    assert writes(tallyfy) == ["PUT", "POST", "POST"]


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("name", ["import", " IMPORT "])
def test_a_step_is_named_by_alias_or_title(tallyfy, run, name):
    assert complete(run, task_name=name, answers=ANSWERS)["title"] == "Import"


@pytest.mark.usefixtures("worlds")
def test_what_people_filled_in_before_stays_and_counts(tallyfy, run):
    task = step(tallyfy, run)
    rows, _, notes = (field["id"] for field in task["form_fields"])
    task["taskdata"] = {rows: "7", notes: "ours"}
    complete(run, answers={"Result": "Good"})
    assert answers(tallyfy, run) == {"Rows": "7", "Result": "Good", "Notes": "ours"}


@pytest.mark.usefixtures("worlds")
def test_a_second_try_changes_nothing_and_completes_nothing_again(tallyfy, run):
    store = FakeTaskStateStore()
    first = complete(run, context_of(store=store), answers=ANSWERS, comment="Done.")
    sent = writes(tallyfy)
    second = complete(run, context_of(2, store=store), answers=ANSWERS, comment="Done.")
    other = complete(run, context_of(run_id="tomorrow"), answers=ANSWERS)
    assert (first["changed"], second["changed"], other["changed"]) == (True, True, False)
    assert writes(tallyfy) == sent
    assert completions(tallyfy) == 1
    assert len(tallyfy.run(run["id"])["threads"]) == 1


LOST = {
    "the connection breaks": {"kind": "reset"},
    "500": {"status": 500},
    "a page": {"status": 200, "body": "html"},
    "no task": {"status": 200, "body": "null"},
}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_lost_answer_is_looked_up_and_nothing_is_done_twice(tallyfy, run, method, fault):
    tallyfy.faults.add(method=method, applied=True, **LOST[fault])
    tries = [attempt(lambda number=number: complete(run, context_of(number), answers=ANSWERS)) for number in (1, 2)]
    assert tries[-1].state == "success"
    assert completions(tallyfy) == 1
    assert answers(tallyfy, run)["Rows"] == "7"


@pytest.mark.usefixtures("worlds")
def test_a_completion_that_never_arrived_is_made_by_the_next_try(tallyfy, run):
    tallyfy.faults.add("status", method="POST", status=500)
    first = attempt(lambda: complete(run, answers=ANSWERS))
    assert (first.state, first.error) == ("up_for_retry", "TallyfyUnknownOutcomeError")
    assert complete(run, context_of(2), answers=ANSWERS)["changed"]
    assert completions(tallyfy) == 1


@pytest.mark.usefixtures("worlds")
def test_a_comment_that_got_lost_after_the_completion_is_written_by_the_next_try(tallyfy, run):
    tallyfy.faults.add("status", method="POST", path="/comment", status=500)
    first = attempt(lambda: complete(run, answers=ANSWERS, comment="Done."))
    assert (first.state, first.error) == ("up_for_retry", "TallyfyUnknownOutcomeError")
    complete(run, context_of(2), answers=ANSWERS, comment="Done.")
    assert (completions(tallyfy), len(tallyfy.run(run["id"])["threads"])) == (1, 1)


@pytest.mark.usefixtures("worlds")
def test_answers_that_do_not_fit_are_all_named_before_anything_is_sent(tallyfy, run):
    text = refusal(lambda: complete(run, answers={"Resultat": "Good", "Result": "Great"}))
    assert "The values for the form of task 'Import' of run" in text
    assert "Resultat: there is no such field; did you mean 'Result'?" in text
    assert "Result: there is no option 'Great'" in text
    assert "Rows: it is required" in text
    assert writes(tallyfy) == []


@pytest.mark.usefixtures("worlds")
def test_a_misspelt_step_and_an_ambiguous_one_are_named_with_candidates(tallyfy, run):
    assert "Did you mean 'Import'?" in refusal(lambda: complete(run, task_name="Imprt"))
    assert "It has 'Prepare', 'Import', 'Approve', 'Review', 'Review'." in refusal(lambda: complete(run, task_name="x"))
    assert "review-1, review-2" in refusal(lambda: complete(run, task_name="Review"))


@pytest.mark.usefixtures("worlds")
def test_a_step_that_was_done_with_other_answers_is_left_alone(tallyfy, run):
    complete(run, answers=ANSWERS)
    sent = writes(tallyfy)
    text = refusal(lambda: complete(run, answers={"Rows": 8, "Result": "Good"}))
    assert "is completed already, with other answers.\nDifferent: 'Rows'.\nNothing was sent." in text
    assert writes(tallyfy) == sent
    assert complete(run)["changed"] is False


@pytest.mark.usefixtures("worlds")
def test_a_decision_is_asked_for_and_only_where_there_is_one_to_make(tallyfy, run):
    assert "Give is_approved" in refusal(lambda: complete(run, task_name="Approve"))
    assert "Leave is_approved out" in refusal(lambda: complete(run, task_name="Prepare", is_approved=True))
    assert writes(tallyfy) == []
    assert complete(run, task_name="Approve", is_approved="false")["changed"]
    assert step(tallyfy, run, 2)["is_approved"] is False
    assert complete(run, task_name="Approve", is_approved=False)["changed"] is False
    assert "'the decision'" in refusal(lambda: complete(run, task_name="Approve", is_approved=True))


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("shown", [None, False, "false"])
def test_an_approval_that_a_rule_skipped_was_neither_approved_nor_rejected(tallyfy, run, shown):
    with tallyfy.lock:
        task = tallyfy.store.runs[run["id"]].tasks[2]
        task.update(status="auto-skipped", is_approved=shown)
    assert "'the decision'" in refusal(lambda: complete(run, task_name="Approve", is_approved=False))
    assert writes(tallyfy) == []


@pytest.mark.usefixtures("worlds")
def test_required_fields_that_nobody_filled_in_are_named_by_tallyfy(tallyfy, run):
    assert "Rows is required" in refusal(lambda: complete(run))
    assert completions(tallyfy) == 0


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("where", ["task", "run"])
def test_an_open_problem_keeps_a_step_open(tallyfy, run, hook, where):
    hook.add_comment(run["id"], "Broken.", problem=True, task_id=step(tallyfy, run)["id"] if where == "task" else None)
    tallyfy.clear_requests()
    assert "somebody reported a problem" in refusal(lambda: complete(run, answers=ANSWERS))
    assert writes(tallyfy) == []


@pytest.mark.usefixtures("worlds")
def test_a_step_of_an_archived_run_says_so(tallyfy, run, hook):
    tallyfy.archive_run(run["id"])
    for act in (
        lambda: complete(run, answers=ANSWERS),
        lambda: hook.reopen_task(run["id"], "Import"),
        lambda: hook.assign_task(run["id"], "Import", users=[1]),
    ):
        assert "is archived.\nNothing was sent.\nRestore it first." in refusal(act)
    assert writes(tallyfy) == []


@pytest.mark.parametrize("arguments", [{"answers": {}}, {"answers": "None"}, {"comment": " "}, {"is_approved": "?"}])
def test_what_a_template_rendered_for_nothing_is_refused(tallyfy, run, arguments):
    refusal(lambda: complete(run, **arguments))
    assert tallyfy.requests == []


@pytest.mark.usefixtures("worlds")
def test_a_rehearsal_names_the_requests_and_sends_none(tallyfy, run):
    plan = complete(run, answers=ANSWERS, comment="Done.", dry_run=True)
    assert [request["method"] for request in plan["requests"]] == ["PUT", "POST", "POST"]
    assert plan["requests"][2]["body"]["content"].startswith("Done.")
    assert writes(tallyfy) == []


def test_a_read_only_connection_completes_nothing(tallyfy, run, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(read_only=True))
    end = attempt(lambda: complete(run, answers=ANSWERS))
    assert (end.state, end.error) == ("failed", "TallyfyConfigurationError")
    assert writes(tallyfy) == []


def test_answers_that_tallyfy_drops_without_an_error_fail_the_task(tallyfy, run, monkeypatch):
    tallyfy.faults.add("status", method="PUT", status=200, body={"data": tallyfy.run(run["id"])["tasks"][1]})
    end = attempt(lambda: complete(run, answers=ANSWERS))
    assert (end.state, end.error) == ("up_for_retry", "TallyfyResponseError")
    assert completions(tallyfy) == 0


# -- comments -------------------------------------------------------------------------------------------


def comment(run: dict[str, Any], context: Any = None, **arguments: Any) -> Any:
    arguments = {"content": "Exported.", **arguments}
    operator = TallyfyCommentOperator(task_id="comment", run_id=run["id"], **arguments)
    return operator.execute(context or context_of())


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("name", [{}, {"task_name": "Import"}], ids=["run", "task"])
def test_a_task_comments_once_over_all_its_tries_and_each_task_instance_anew(tallyfy, run, name):
    first = comment(run, **name)
    again = comment(run, context_of(2), **name)
    assert (first["changed"], again["changed"]) == (True, False)
    assert first.keys() == {"id", "run_id", "task_id", "created_at", "url", "changed"}
    assert comment(run, context_of(map_index=1), **name)["changed"]
    assert comment(run, context_of(run_id="tomorrow"), **name)["changed"]
    assert len(tallyfy.run(run["id"])["threads"]) == 3


@pytest.mark.usefixtures("worlds")
def test_a_rehearsed_comment_is_not_written(tallyfy, run):
    assert comment(run, dry_run=True)["requests"][0]["body"]["content"].startswith("Exported.\n[airflow:")
    assert "Did you mean 'Import'?" in refusal(lambda: comment(run, task_name="Imprt"))
    assert writes(tallyfy) == []


# -- reopening and assigning ------------------------------------------------------------------------------


@pytest.mark.usefixtures("worlds")
def test_a_task_is_reopened_once(tallyfy, run, hook):
    complete(run, task_name="Prepare")
    assert hook.reopen_task(run["id"], "Prepare")["changed"]
    assert hook.reopen_task(run["id"], "Prepare")["changed"] is False
    assert step(tallyfy, run, 0)["status"] != "completed"
    complete(run, task_name="Prepare")
    tallyfy.faults.add("reset", method="DELETE", applied=True)
    assert hook.reopen_task(run["id"], "Prepare")["is_done"] is False


@pytest.mark.usefixtures("worlds")
def test_assigning_adds_or_replaces_and_never_empties_another_kind(tallyfy, run, hook):
    task = step(tallyfy, run)
    task["owners"] = {"users": [1], "guests": ["g@x.example"], "groups": ["a" * 32]}
    assert hook.assign_task(run["id"], "Import", users=["2", 1])["changed"]
    assert task["owners"] == {"users": [1, 2], "guests": ["g@x.example"], "groups": ["a" * 32]}
    assert hook.assign_task(run["id"], "Import", users=[2])["changed"] is False
    assert hook.assign_task(run["id"], "Import", guests=["h@x.example"], replace=True)["changed"]
    assert task["owners"] == {"users": [1, 2], "guests": ["h@x.example"], "groups": ["a" * 32]}
    assert hook.assign_task(run["id"], "Import", groups=[], replace=True)["changed"]
    assert task["owners"] == {"users": [1, 2], "guests": ["h@x.example"], "groups": []}
    with pytest.raises(TallyfyValidationError, match="whom to assign"):
        hook.assign_task(run["id"], "Import")


@pytest.mark.parametrize("owners", [None, {"users": [1]}], ids=str)
def test_nobody_is_assigned_where_it_is_not_shown_who_is_now(tallyfy, run, hook, owners):
    step(tallyfy, run)["owners"] = owners
    with pytest.raises(TallyfyResponseError, match="Nothing was sent"):
        hook.assign_task(run["id"], "Import", users=[2])
    assert writes(tallyfy) == []


@pytest.mark.parametrize("merges", [True, False])
def test_other_answers_survive_whether_or_not_tallyfy_merges_them(tallyfy, run, merges):
    tallyfy.behavior = Behavior.lenient().changed({"taskdata_merges": merges})
    task = step(tallyfy, run)
    task["taskdata"] = {task["form_fields"][2]["id"]: "ours"}
    complete(run, answers=ANSWERS)
    assert answers(tallyfy, run) == {"Rows": "7", "Result": "Good", "Notes": "ours"}
