"""
Launch a run for a new customer, wait until people have finished it, and go on as its form says.

**Try it** with `make airflow`:

1. Trigger this DAG. Its default is the template *Customer onboarding*.
2. When `onboard` is deferred, follow its link *Open run in Tallyfy* to the new run.
3. At *Collect documents* fill in a *Tax number* and press *Complete*, then *Complete all tasks*.
4. The DAG goes on to `note_result`, which gives the run a summary, and to `tag_run`, which tags it.
5. Trigger it for another `customer_id` and leave *Tax number* empty: `ask_for_tax_number` launches a project.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, TriggerRule, task

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyGetAnswersOperator,
    TallyfyLaunchProjectOperator,
    TallyfyLaunchRunOperator,
    TallyfyTagRunOperator,
    TallyfyUpdateRunOperator,
)

with DAG(
    dag_id="example_tallyfy_onboard_customer",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={
        "template_id": Param(
            "Customer onboarding",
            type="string",
            minLength=1,
            description="Template, by title or id.",
        ),
        "customer_id": Param(
            "4711",
            type="string",
            description="There is one run per customer, whatever happens.",
        ),
        "company": Param("ACME Corp", type="string", description="Name of the customer."),
        "contact": Param(
            "ada@example.com",
            type="string",
            format="email",
            description="Whom to write to.",
        ),
        "plan": Param(
            "Paid",
            type="string",
            enum=["Trial", "Paid"],
            description="What the customer has ordered.",
        ),
        "account_manager": Param(
            1001,
            type="integer",
            description="Tallyfy user who follows up, by number.",
        ),
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_tallyfy_launch_run]
    onboard = TallyfyLaunchRunOperator(
        task_id="onboard",
        template_id="{{ params.template_id }}",
        name="Onboarding - {{ params.company }}",
        kickoff={  # by label, alias or id, encoded by the template's field types
            "Company name": "{{ params.company }}",
            "Contact email": "{{ params.contact }}",
            "Go-live date": "{{ macros.ds_add(dag_run.start_date | ds, 30) }}",
            "Plan": "{{ params.plan }}",
        },
        launch_key="customer-{{ params.customer_id }}",
        wait_for_completion=True,
        deferrable=True,
        poll_interval=10,
        timeout=timedelta(days=30),
        retries=3,
    )
    # [END howto_operator_tallyfy_launch_run]

    # [START howto_operator_tallyfy_get_answers]
    answers = TallyfyGetAnswersOperator(
        task_id="answers",
        run_id=onboard.output["run_id"],
        fields=["Tax number"],  # by label, alias or id
    )

    @task.branch
    def has_tax_number(given: dict) -> str:
        """Branch on what people answered."""
        return "note_result" if given["Tax number"] else "ask_for_tax_number"

    # [END howto_operator_tallyfy_get_answers]

    # [START howto_operator_tallyfy_launch_project]
    ask_for_tax_number = TallyfyLaunchProjectOperator(
        task_id="ask_for_tax_number",
        title="Ask {{ params.company }} for its tax number",
        owners={"users": ["{{ params.account_manager }}"]},
        deadline=timedelta(days=3),
        summary="Write to {{ params.contact }}.",
        retries=3,
    )
    # [END howto_operator_tallyfy_launch_project]

    # [START howto_operator_tallyfy_update_run]
    note_result = TallyfyUpdateRunOperator(
        task_id="note_result",
        run_id=onboard.output["run_id"],
        changes={
            "summary": "Handed over to billing on {{ dag_run.start_date | ds }}.",
            "starred": True,
        },
        trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
    )
    # [END howto_operator_tallyfy_update_run]

    # [START howto_operator_tallyfy_tag_run]
    tag_run = TallyfyTagRunOperator(
        task_id="tag_run",
        run_id=onboard.output["run_id"],
        add=["priority"],  # titles or ids
        remove=["emea"],
    )
    # [END howto_operator_tallyfy_tag_run]

    note_result >> tag_run
    has_tax_number(answers.output["answers"]) >> [ask_for_tax_number, note_result]
