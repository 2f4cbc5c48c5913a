"""
Launch a run for each new order, once per order, however often the DAG runs.

**Try it** with `make airflow`:

1. Trigger this DAG. Its default is the template *Customer onboarding*.
2. [The sandbox](http://127.0.0.1:8765) lists two new runs, *ACME* and *Globex*, with their kick-off form filled in.
3. Trigger it again. No run is added, since both orders have theirs: the task's log says so.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_tallyfy.operators.bulk import TallyfyLaunchRunsOperator

with DAG(
    dag_id="example_tallyfy_bulk_launch",
    schedule=None,  # such as "@hourly", once template_id is set
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={
        "template_id": Param(
            "ae0f8868dd2081c2a10f6afa79f72044",
            type="string",
            minLength=1,
            description="Template with the kick-off fields below.",
        )
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:

    @task
    def new_orders() -> list[dict[str, str]]:
        """
        Stand in for a query of the shop.

        There is a column for each kick-off field, and for the run's key and name.
        """
        return [
            {
                "order": "A-1001",
                "name": "ACME",
                "Company name": "ACME Corp",
                "Contact email": "a@acme.example",
            },
            {
                "order": "A-1002",
                "name": "Globex",
                "Company name": "Globex",
                "Contact email": "b@globex.example",
            },
        ]

    # [START howto_operator_tallyfy_launch_runs]
    TallyfyLaunchRunsOperator(
        task_id="launch",
        template_id="{{ params.template_id }}",
        rows=new_orders(),  # or the path of a CSV file
        key_column="order",
        body={"summary": "Launched by {{ dag.dag_id }}"},
    )
    # [END howto_operator_tallyfy_launch_runs]
