"""What a decision does to the tasks downstream, in a real Airflow and in every mode."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Param, TriggerRule, task

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.operators.tallyfy import TallyfyApprovalOperator
from tests.examples.test_tasks_in_a_dag import states, xcoms

both_modes = pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferrable"])


class Answered(TallyfyApprovalOperator):
    """A question that somebody answers between the first look of the task and the next one."""

    answer: Callable[[], None]

    def _wait(self, goal: Any, deadline: Any) -> Any:
        if self.deferrable:
            return super()._wait(goal, deadline)
        self.answer()
        return super()._wait(goal, deadline)

    def defer(self, **arguments: Any) -> Any:
        self.answer()
        super().defer(**arguments)


def a_dag(sandbox: Any, approved: bool | None, **arguments: Any) -> DAG:
    """Give a DAG with a question, two tasks after it, and one after those that runs whatever happens to them."""

    def answer() -> None:  # a function, since Airflow 3.0 copies the DAG with all that its tasks hold
        for run in sandbox.runs:
            if run["tasks"][0]["status"] != "completed":
                sandbox.complete_task(run["id"], run["tasks"][0]["id"], approved)

    with DAG("asking", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        asked = {"subject": "Go on?", "assignees": {"users": [sandbox.user["id"]]}, "poll_interval": 0.1}
        question = (Answered if approved is not None else TallyfyApprovalOperator)(
            task_id="question", **asked | arguments
        )
        question.answer = answer

        @task
        def work() -> None: ...

        @task
        def other() -> None: ...

        @task(trigger_rule=TriggerRule.ALL_DONE)
        def report() -> None: ...

        question >> [work(), other()] >> report()
    return dag


@pytest.mark.usefixtures("worlds")
@both_modes
@pytest.mark.parametrize(
    ("approved", "arguments", "others"),
    [
        (True, {}, {"work": "success", "other": "success", "report": "success"}),
        (False, {}, {"work": "skipped", "other": "skipped", "report": "success"}),
        (False, {"ignore_downstream_trigger_rules": True}, dict.fromkeys(["work", "other", "report"], "skipped")),
        (True, {"options_mapping": {"Approve": "work", "Reject": "other"}}, {"other": "skipped", "work": "success"}),
        (False, {"options_mapping": {"Approve": "work", "Reject": "other"}}, {"other": "success", "work": "skipped"}),
    ],
    ids=["approved", "rejected", "rejected with all downstream", "branch", "other branch"],
)
def test_a_decision_lets_tasks_run_or_skips_them(run_dag, tallyfy_sandbox, deferrable, approved, arguments, others):  # noqa: PLR0917
    dag_run = run_dag(a_dag(tallyfy_sandbox, approved, deferrable=deferrable, **arguments))
    assert states(dag_run) == {"question": "success", "report": "success"} | others
    [result] = xcoms(dag_run, "return_value")
    assert (result["approved"], result["chosen_options"]) == (approved, ["Approve" if approved else "Reject"])
    assert len(tallyfy_sandbox.runs) == 1


@both_modes
def test_a_rejection_can_fail_the_task(run_dag, tallyfy_sandbox, deferrable):
    dag_run = run_dag(a_dag(tallyfy_sandbox, False, deferrable=deferrable, fail_on_reject=True))
    assert states(dag_run)["question"] == "failed"
    assert states(dag_run)["work"] == "upstream_failed"


@both_modes
@pytest.mark.parametrize(("defaults", "state"), [("Approve", "success"), ("Reject", "skipped"), (None, "failed")])
def test_the_default_decides_what_runs(run_dag, tallyfy_sandbox, deferrable, defaults, state):
    arguments = {"deferrable": deferrable, "defaults": defaults, "response_timeout": 0}
    found = states(run_dag(a_dag(tallyfy_sandbox, None, **arguments)))
    assert found["work"] == (state if defaults else "upstream_failed")
    assert found["question"] == ("success" if defaults else "failed")


@pytest.mark.parametrize("arguments", [{}, {"options_mapping": {"Approve": "work", "Reject": "other"}}], ids=str)
def test_a_dry_run_lets_nothing_run_that_needs_an_approval(run_dag, tallyfy_sandbox, arguments):
    dag_run = run_dag(a_dag(tallyfy_sandbox, None, dry_run=True, **arguments))
    assert states(dag_run) == {"question": "success", "work": "skipped", "other": "skipped", "report": "success"}
    assert (xcoms(dag_run, "return_value")[0]["dry_run"], tallyfy_sandbox.runs) == (True, [])


@pytest.mark.parametrize("name", ["options", "multiple", "notifiers", "assigned_users", "params"])
def test_other_arguments_of_airflows_operators_are_refused_by_name(name):
    value = {"amount": Param(5, type="integer")} if name == "params" else ["x"]
    asked = {"task_id": "question", "subject": "Go on?", "assignees": {"users": [1]}}
    with DAG("asking", schedule=None, params={"version": Param("1", type="string")}):
        TallyfyApprovalOperator(**asked)  # the DAG's own params are for templates
        with pytest.raises(TallyfyValidationError, match=f"takes no {name}.\n"):
            TallyfyApprovalOperator(**asked | {"task_id": "again", name: value})


def test_questions_can_be_mapped(run_dag, tallyfy_sandbox):
    with DAG("mapped", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        assignees = {"users": [tallyfy_sandbox.user["id"]]}
        asked = TallyfyApprovalOperator.partial(
            task_id="ask", assignees=assignees, deferrable=False, response_timeout=0, defaults="Approve"
        )
        asked.expand(subject=["First?", "Second?"])
    dag_run = run_dag(dag)
    assert [ti.state for ti in dag_run.get_task_instances()] == ["success"] * 2
    assert sorted(run["name"] for run in tallyfy_sandbox.runs) == ["First?", "Second?"]
