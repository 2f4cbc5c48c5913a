"""Asking people: one question, whatever happens to the task, and a result only if somebody decided."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_tallyfy.operators.tallyfy import TallyfyApprovalOperator
from airflow_provider_tallyfy.sandbox import Behavior
from tests.airflow_driver import End, attempt, only_event, rebuilt
from tests.contract.operators.launching import launches
from tests.task_contexts import FakeTaskStateStore, context_of

both_modes = pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferrable"])
ANSWERS = {
    "lenient": Behavior.lenient(),
    "strict": Behavior.strict(),
    "lists hide decisions": Behavior(listed_tasks_show_decisions=False),
    "false before": Behavior(decision_before="false"),
    "rejected": Behavior(rejected_task="rejected"),
}
STEPS = [
    {"title": "Prepare", "form_fields": [{"label": "Budget", "field_type": "text"}]},
    {"title": "Legal review", "task_type": "approval"},
    "File",
]


@pytest.fixture(params=ANSWERS)
def switched(tallyfy, request):
    """Give the sandbox in both worlds, and with each open question about approvals answered the other way."""
    tallyfy.behavior = ANSWERS[request.param]
    return tallyfy


@pytest.fixture
def people(tallyfy) -> list[int]:
    return [tallyfy.user["id"], tallyfy.add_user("sam@sandbox.example", "Sam Member")["id"]]


def question(tallyfy, **arguments: Any) -> TallyfyApprovalOperator:
    assignees = {} if "template_id" in arguments else {"assignees": {"users": [tallyfy.user["id"]]}}
    return TallyfyApprovalOperator(
        **{"task_id": "task", "subject": "Deploy?", "deferrable": False} | assignees | arguments
    )


def decide(tallyfy, approved: bool | None = True, person: int = 0) -> None:
    """Let one of the assignees decide, at a moment of their own."""
    [run] = [run for run in tallyfy.runs if run["archived_at"] is None]
    tallyfy.advance(1)
    tallyfy.complete_task(run["id"], run["tasks"][person]["id"], approved)


def change_task(tallyfy, **fields: Any) -> None:
    with tallyfy.lock:
        [run] = tallyfy.store.runs.values()
        run.tasks[0].update(fields)


@pytest.fixture
def ask(tallyfy, monkeypatch):
    """Return a function that asks, lets people act while the task waits, and gives the task's end."""
    acts: list[Any] = []
    real = __import__("time")

    def sleep(seconds: float) -> None:
        if acts:
            acts.pop(0)()

    monkeypatch.setattr("airflow_provider_tallyfy.operators._launch.time", SimpleNamespace(sleep=sleep, time=real.time))

    def asked(act: Any, context: dict[str, Any] | None = None, **arguments: Any) -> End:
        context = context or context_of()
        acts[:] = [act]
        try:
            return attempt(lambda: question(tallyfy, **arguments).execute(context))
        except TaskDeferred as deferred:
            acts.pop()()
            event = only_event(rebuilt(deferred.trigger))
            # A fresh operator in another process, as after a real deferral.
            return attempt(lambda: question(tallyfy, **arguments).execute_complete(context, event.payload))

    return asked


@both_modes
@pytest.mark.parametrize("approved", [True, False])
def test_the_result_is_the_decision(switched, tallyfy, ask, deferrable, approved):
    end = ask(lambda: decide(tallyfy, approved), deferrable=deferrable)
    [run] = tallyfy.runs
    assert end.result == {
        "chosen_options": ["Approve" if approved else "Reject"],
        "params_input": {},
        "responded_at": f"{run['tasks'][0]['completed_at'][:19]}Z",
        "responded_by_user": {"id": str(tallyfy.user["id"]), "name": tallyfy.user["full_name"]},
        "approved": approved,
        "run_id": run["id"],
        "url": tallyfy.run_url(run["id"]),
    }
    assert (run["name"], run["tasks"][0]["title"], run["tasks"][0]["task_type"]) == ("Deploy?", "Deploy?", "approval")
    assert (launches(tallyfy), run["archived_at"]) == (1, None)


@both_modes
def test_nothing_is_decided_before_somebody_decides(switched, tallyfy, ask, deferrable):
    end = ask(lambda: None, deferrable=deferrable, response_timeout=0)
    assert (end.state, end.error) == ("failed", "AirflowSensorTimeout")
    assert [run["archived_at"] for run in tallyfy.runs] == [None]


@both_modes
@pytest.mark.parametrize("defaults", ["Approve", "Reject", ["Reject"]], ids=str)
def test_the_default_counts_if_nobody_decides_in_time(switched, tallyfy, ask, deferrable, defaults):
    end = ask(lambda: None, deferrable=deferrable, response_timeout=timedelta(0), defaults=defaults)
    approved = defaults == "Approve"
    assert (end.result["approved"], end.result["responded_by_user"]) == (approved, None)
    assert end.result["chosen_options"] == ["Approve" if approved else "Reject"]
    assert [bool(run["archived_at"]) for run in tallyfy.runs] == [True]


@pytest.mark.usefixtures("worlds")
@both_modes
def test_a_decision_in_the_last_moment_counts_more_than_the_default(tallyfy, ask, deferrable):
    with pytest.raises(TaskDeferred):
        question(tallyfy, deferrable=True).execute(context_of())
    decide(tallyfy)
    end = ask(lambda: None, context_of(2), deferrable=deferrable, response_timeout=0, defaults="Reject")
    assert end.result["approved"] is True


@both_modes
@pytest.mark.parametrize(
    ("shown", "error"),
    [
        (
            {"status": "completed", "completed_at": "2026-01-01T10:00:00.000Z", "is_approved": None},
            "TallyfyResponseError",
        ),
        ({"status": "completed", "is_approved": True}, "TallyfyResponseError"),
        (
            {"status": "completed", "completed_at": "2026-01-01T10:00:00.000Z", "is_approved": "no"},
            "TallyfyResponseError",
        ),
        ({"status": "auto-skipped", "completed_at": "2026-01-01T10:00:00.000Z"}, "AirflowFailException"),
        ({"status": "skipped", "is_approved": True}, "AirflowFailException"),
    ],
    ids=["null", "without a moment", "no decision", "hidden", "skipped"],
)
def test_what_is_no_decision_never_ends_well(  # noqa: PLR0917
    switched, tallyfy, ask, deferrable, shown, error
):
    end = ask(lambda: change_task(tallyfy, **shown), deferrable=deferrable)
    assert end.error == error
    assert tallyfy.runs[0]["id"] in str(end.exception)


@pytest.mark.usefixtures("worlds")
def test_a_task_without_a_decision_is_read_by_itself_once(tallyfy, ask):
    ask(lambda: decide(tallyfy, None))
    task = tallyfy.runs[0]["tasks"][0]["id"]
    assert sum(request.path.endswith(task) for request in tallyfy.requests) == 1


@both_modes
@pytest.mark.parametrize("meaning", ["Approve", "Reject"])
def test_a_skipped_approval_means_what_the_dag_says(switched, tallyfy, ask, deferrable, meaning):
    end = ask(lambda: change_task(tallyfy, status="auto-skipped"), deferrable=deferrable, on_skipped=meaning)
    assert (end.result["chosen_options"], end.result["responded_by_user"]) == ([meaning], None)
    assert end.result["responded_at"] is None


@both_modes
@pytest.mark.parametrize("approved", [True, False])
def test_the_first_decision_of_any_counts_and_leaves_no_dead_question(  # noqa: PLR0917
    switched, tallyfy, ask, people, deferrable, approved
):
    end = ask(lambda: decide(tallyfy, approved, 1), deferrable=deferrable, assignees={"users": people})
    assert end.result["approved"] is approved
    [run] = tallyfy.runs
    assert (len(run["tasks"]), bool(run["archived_at"])) == (2, True)


@pytest.mark.usefixtures("worlds")
@both_modes
def test_of_two_decisions_between_looks_the_earlier_one_counts(tallyfy, ask, people, deferrable):
    def both() -> None:
        decide(tallyfy, True, 1)
        decide(tallyfy, False, 0)

    end = ask(both, deferrable=deferrable, assignees={"users": people})
    assert end.result["approved"] is True


@both_modes
@pytest.mark.parametrize(
    ("decisions", "approved"),
    [([True, True], True), ([True, False], False), ([False], False), ([True], None)],
    ids=str,
)
def test_all_must_approve_and_any_rejection_rejects(  # noqa: PLR0917
    switched, tallyfy, ask, people, deferrable, decisions, approved
):
    def act() -> None:
        for person, decision in enumerate(decisions):
            decide(tallyfy, decision, person)

    arguments = {"quorum": "all", "assignees": {"users": people}, "response_timeout": 5 if approved is not None else 0}
    end = ask(act, deferrable=deferrable, **arguments)
    if approved is None:
        assert end.error == "AirflowSensorTimeout"
    else:
        assert end.result["approved"] is approved


@pytest.mark.usefixtures("worlds")
def test_all_includes_assignees_whose_tasks_are_not_shown_yet(tallyfy, ask, people):
    def act() -> None:
        with tallyfy.lock:
            [run] = tallyfy.store.runs.values()
            del run.tasks[1]
        decide(tallyfy)

    end = ask(act, quorum="all", assignees={"users": people})
    assert end.error == "AirflowFailException"
    assert "1 of 2 decisions" in str(end.exception)


@pytest.mark.usefixtures("worlds")
@both_modes
@pytest.mark.parametrize("store", [None, FakeTaskStateStore()], ids=["marker", "task state"])
def test_every_try_asks_the_same_question(tallyfy, ask, deferrable, store):
    with pytest.raises(TaskDeferred):
        question(tallyfy, deferrable=True).execute(context_of(store=store))
    end = ask(lambda: decide(tallyfy), context_of(2, store=store), deferrable=deferrable)
    assert end.result["approved"] is True
    assert launches(tallyfy) == 1


@both_modes
@pytest.mark.parametrize("arguments", [{}, {"quorum": "all"}, {"defaults": "Reject", "response_timeout": 0}], ids=str)
def test_a_try_after_the_decision_gives_the_same_result(  # noqa: PLR0917
    switched, tallyfy, ask, people, deferrable, arguments
):
    arguments |= {"assignees": {"users": people}, "deferrable": deferrable}
    first = ask(lambda: None if "defaults" in arguments else decide(tallyfy, False), **arguments)
    archived = [bool(run["archived_at"]) for run in tallyfy.runs]
    again = ask(lambda: None, context_of(2), **arguments)
    moment = {"responded_at": None} if "defaults" in arguments else {}
    assert again.result | moment == first.result | moment
    assert (launches(tallyfy), [bool(run["archived_at"]) for run in tallyfy.runs]) == (1, archived) == (1, [True])


@pytest.mark.usefixtures("worlds")
def test_a_cleared_task_asks_anew_only_if_it_is_to(tallyfy, ask):
    for asked, arguments in enumerate(({}, {"relaunch_on_clear": True}), 1):
        context = context_of(2, max_tries=1)
        with pytest.raises(TaskDeferred):
            question(tallyfy, deferrable=True, **arguments).execute(context_of())
        with pytest.raises(TaskDeferred):
            question(tallyfy, deferrable=True, **arguments).execute(context)
        assert launches(tallyfy) == asked


@pytest.mark.usefixtures("worlds")
@both_modes
def test_a_question_that_somebody_archives_fails(tallyfy, ask, deferrable):
    end = ask(lambda: tallyfy.archive_run(tallyfy.runs[0]["id"]), deferrable=deferrable)
    assert (end.state, end.error) == ("failed", "AirflowFailException")
    assert [bool(run["archived_at"]) for run in tallyfy.runs] == [True]


@pytest.mark.usefixtures("worlds")
def test_a_decision_stands_though_its_question_cannot_be_archived(tallyfy, ask, people, logged):
    tallyfy.faults.add("status", method="DELETE", status=403, times=None)
    end = ask(lambda: decide(tallyfy), assignees={"users": people})
    assert end.result["approved"] is True
    assert "could not be archived" in logged()


@pytest.mark.usefixtures("worlds")
def test_a_guest_who_decides_is_named_by_the_address(tallyfy, ask):
    def act() -> None:
        decide(tallyfy)
        change_task(tallyfy, completer_id=None, completer_guest_id="g@x.example")

    end = ask(act, assignees={"guests": ["g@x.example"]})
    assert end.result["responded_by_user"] == {"id": "g@x.example", "name": "g@x.example"}


@pytest.mark.usefixtures("worlds")
def test_a_person_whom_tallyfy_does_not_show_is_named_by_the_number(tallyfy, ask):
    def act() -> None:
        decide(tallyfy)
        change_task(tallyfy, completer_id=77)

    end = ask(act)
    assert end.result["responded_by_user"] == {"id": "77", "name": "77"}


@both_modes
@pytest.mark.parametrize("approval_task", ["Legal review", " legal  review "])
def test_a_template_asks_with_its_form_and_goes_on_afterwards(switched, tallyfy, ask, deferrable, approval_task):
    template = tallyfy.add_template("Contract", kickoff=[{"label": "Customer", "required": True}], steps=STEPS)

    def act() -> None:
        [run] = tallyfy.store.runs.values()
        with tallyfy.lock:
            run.tasks[0]["taskdata"][run.tasks[0]["form_fields"][0]["id"]] = "5000"
        decide(tallyfy, False, 1)

    arguments = {"template_id": template["id"], "kickoff": {"Customer": "ACME"}, "approval_task": approval_task}
    end = ask(act, deferrable=deferrable, **arguments)
    assert end.result["approved"] is False
    assert end.result["params_input"] == {"Customer": "ACME", "Budget": "5000"}
    [run] = tallyfy.runs
    assert (run["name"], run["archived_at"], run["status"]) == ("Deploy?", None, "active")
    again = ask(lambda: None, context_of(2), deferrable=deferrable, **arguments)
    assert (again.result, launches(tallyfy)) == (end.result, 1)


@both_modes
def test_people_and_the_template_go_by_name(tallyfy, ask, people, deferrable):
    end = ask(lambda: decide(tallyfy), deferrable=deferrable, assignees={"users": ["sam@sandbox.example"]})
    [run] = tallyfy.runs
    assert (end.result["approved"], run["tasks"][0]["owners"]["users"]) == (True, [people[1]])

    template = tallyfy.add_template("Release", steps=STEPS)["id"]
    by_name = {"template_id": "release", "approval_task": "Legal review"}
    plan = question(tallyfy, **by_name, dry_run=True).execute(context_of())
    assert plan["requests"][-1]["body"]["checklist_id"] == template
    assert (launches(tallyfy), len(tallyfy.runs)) == (1, 1)


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("approval_task", ["Legal revue", "Prepare"])
def test_a_template_without_that_approval_is_refused_before_anybody_is_asked(tallyfy, approval_task):
    template = tallyfy.add_template("Contract", steps=STEPS)
    end = attempt(
        lambda: question(tallyfy, template_id=template["id"], approval_task=approval_task).execute(context_of())
    )
    assert (end.error, launches(tallyfy)) == ("TallyfyValidationError", 0)
    assert "It has 'Legal review'." in str(end.exception)


@pytest.mark.parametrize("shown", [{}, {"task_type": None}], ids=str)
def test_a_step_may_be_an_approval_if_its_kind_is_not_shown(tallyfy, shown):
    template = tallyfy.add_template("Contract", steps=STEPS)
    with tallyfy.lock:
        step = tallyfy.store.templates[template["id"]]["steps"][1]
        del step["task_type"]
        step.update(shown)
    asked = question(tallyfy, template_id=template["id"], approval_task="Legal review", dry_run=True)
    assert asked.execute(context_of())["requests"][-1]["body"]["checklist_id"] == template["id"]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"subject": " "}, "subject"),
        ({"body": 5.5j}, "body"),
        ({"assignees": {}}, "assignees"),
        ({"assignees": None}, "assignees"),
        ({"assignees": {"users": ["Ann"]}}, "assignees"),
        ({"quorum": "most"}, "quorum"),
        ({"approval_task": "x"}, "approval_task"),
        ({"kickoff": {"a": 1}}, "kickoff"),
        ({"template_id": "a" * 32}, "approval_task"),
        ({"template_id": None, "approval_task": "x"}, "approval_task"),
        ({"template_id": "a" * 32, "approval_task": "x", "assignees": {"users": [1]}}, "assignees"),
        ({"template_id": "a" * 32, "approval_task": "x", "quorum": "all"}, "quorum"),
        ({"on_skipped": "approve"}, "on_skipped"),
        ({"defaults": "Maybe"}, "defaults"),
        ({"defaults": ["Approve", "Reject"]}, "defaults"),
        ({"defaults": []}, "defaults"),
        ({"response_timeout": -1}, "response_timeout"),
        ({"response_timeout": "5"}, "response_timeout"),
        ({"fail_on_reject": "perhaps"}, "fail_on_reject"),
        ({"ignore_downstream_trigger_rules": None}, "ignore_downstream_trigger_rules"),
        ({"options_mapping": {}}, "options_mapping"),
        ({"options_mapping": {"Maybe": "a"}}, "options_mapping"),
        ({"options_mapping": {"Approve": 5}}, "options_mapping"),
        ({"options_mapping": {"Approve": "a"}, "fail_on_reject": True}, "options_mapping"),
        ({"options_mapping": {"Approve": "a"}, "ignore_downstream_trigger_rules": True}, "options_mapping"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"deferrable": "perhaps"}, "deferrable"),
    ],
    ids=str,
)
def test_invalid_arguments_are_refused_by_name_before_anybody_is_asked(tallyfy, arguments, name):
    end = attempt(lambda: question(tallyfy, **arguments).execute(context_of()))
    assert (end.state, end.error, tallyfy.runs) == ("failed", "TallyfyValidationError", [])
    assert name in end.exception.fields
    assert "Nobody was asked." in str(end.exception)


def test_nobody_is_asked_by_a_dry_run_or_a_read_only_connection(tallyfy, monkeypatch):
    planned = question(tallyfy, dry_run=True, body="Version 5").execute(context_of())
    assert [request["path"].rpartition("/")[2] for request in planned["requests"]] == ["tasks"]
    assert (planned["dry_run"], tallyfy.runs) == (True, [])
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(read_only=True))
    end = attempt(lambda: question(tallyfy).execute(context_of()))
    assert (end.error, tallyfy.runs) == ("TallyfyConfigurationError", [])
