"""
Deploy only if somebody approves, and keep or roll back as they decide afterwards.

**Try it** with `make airflow`:

1. Trigger this DAG. It asks the user 1001, who is you on the sandbox's pages.
2. When `approve` is deferred, follow its link *Open run in Tallyfy* to the question.
3. Press *Approve* at its task. The DAG goes on to `deploy`, and `verify` asks again.
4. Follow the link of `verify` and press *Reject*: `roll_back` runs and `announce` is skipped.
5. Trigger the DAG again, and press *Reject* at the first question: everything after it is skipped.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_tallyfy.operators.tallyfy import TallyfyApprovalOperator

with DAG(
    dag_id="example_tallyfy_approval_gate",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"deferrable": True, "poll_interval": 10, "retries": 3},
    params={
        "version": Param("2.0", type="string", description="What to deploy."),
        "approver": Param(
            1001,
            type="integer",
            description="Tallyfy user who decides, by number.",
        ),
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_tallyfy_approval]
    approve = TallyfyApprovalOperator(
        task_id="approve",
        subject="Deploy version {{ params.version }}?",
        body="All tests have passed.",
        assignees={"users": ["{{ params.approver }}"]},
        response_timeout=timedelta(days=1),
        defaults="Reject",  # if nobody decides in time
    )
    # [END howto_operator_tallyfy_approval]

    @task
    def deploy() -> None:
        """Put the version into production."""

    # [START howto_operator_tallyfy_approval_branch]
    verify = TallyfyApprovalOperator(
        task_id="verify",
        subject="Is version {{ params.version }} as it should be?",
        assignees={"users": ["{{ params.approver }}"]},
        options_mapping={"Approve": "announce", "Reject": "roll_back"},
    )
    # [END howto_operator_tallyfy_approval_branch]

    @task
    def announce() -> None:
        """Tell the customers."""

    @task
    def roll_back() -> None:
        """Put the version before into production again."""

    approve >> deploy() >> verify >> [announce(), roll_back()]
