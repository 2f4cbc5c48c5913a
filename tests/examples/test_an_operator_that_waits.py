"""An operator of a user's own that waits with a trigger; the documentation quotes it."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat import sdk

# [START howto_trigger_in_an_operator]
from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunStatusTrigger


class RemindAndWait(BaseOperator):
    """Remind people of a run, and wait until they have completed it."""

    template_fields = ("tallyfy_run_id",)

    def __init__(self, *, tallyfy_run_id: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.tallyfy_run_id = tallyfy_run_id

    def execute(self, context):
        ti = context["ti"]
        with TallyfyHook() as hook:
            hook.add_comment(
                self.tallyfy_run_id,
                "Please complete this today.",
                comment_key=f"{ti.dag_id}/{ti.run_id}",
            )
        trigger = TallyfyRunStatusTrigger(
            run_id=self.tallyfy_run_id,
            target_status=["complete"],
            failure_status=["archived", "problem"],
            organization_id=None,
            tallyfy_conn_id="tallyfy_default",
            poll_interval=60,
        )
        self.defer(trigger=trigger, method_name="execute_complete")

    def execute_complete(self, context, event):
        if event["outcome"] != "reached":
            raise AirflowFailException(event["message"])
        return event["result"]


# [END howto_trigger_in_an_operator]


@pytest.fixture
def run(tallyfy_sandbox):
    return tallyfy_sandbox.add_run()


@pytest.fixture
def wait(run_dag, run):
    """Return a function that runs a DAG with the operator."""
    with sdk.DAG("remind", schedule=None) as dag:
        RemindAndWait(task_id="wait", tallyfy_run_id=run["id"])
    return lambda: run_dag(dag)


def test_it_returns_the_run_that_people_completed(tallyfy_sandbox, run, wait):
    tallyfy_sandbox.complete_run(run["id"])
    [task] = wait().get_task_instances()
    assert task.xcom_pull(task_ids="wait")["status"] == "complete"


def test_it_fails_if_people_report_a_problem(tallyfy_sandbox, run, wait):
    tallyfy_sandbox.add_problem(run["id"])
    dag_run = wait()
    assert str(dag_run.state) == "failed"
    methods = [request.method for request in tallyfy_sandbox.requests]
    assert "GET" in methods[methods.index("POST") :]  # it looked at the run after it had commented
