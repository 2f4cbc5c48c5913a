"""
Launch a run for each line of a CSV file, wait until people have finished all of them, and collect their answers.

**Try it** with `make airflow`:

1. Trigger this DAG. Its defaults are the template *Customer onboarding* and two lines of `orders.csv`.
2. `wait` is deferred. [The sandbox](http://127.0.0.1:8765) lists two new runs.
3. In each fill in the *Tax number* of *Collect documents*, press *Save*, then *Complete all tasks*.
4. Within a quarter of a minute the DAG goes on. The log of `collect` names the table with the answers.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_tallyfy.operators.bulk import TallyfyLaunchRunsOperator
from airflow_provider_tallyfy.operators.tallyfy import TallyfyGetAnswersOperator
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunsStatusSensor

ORDERS = str(Path(__file__).with_name("orders.csv"))

with DAG(
    dag_id="example_tallyfy_collect_answers",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={
        "template_id": Param(
            "ae0f8868dd2081c2a10f6afa79f72044",
            type="string",
            minLength=1,
            description="Template, by id.",
        ),
        "orders": Param(
            ORDERS,
            type="string",
            minLength=1,
            description="CSV file: kick-off fields, and Order.",
        ),
        "folder": Param("/tmp/tallyfy", type="string", description="Where the answers go."),
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:
    # [START howto_collect_answers]
    launch = TallyfyLaunchRunsOperator(
        task_id="launch",
        template_id="{{ params.template_id }}",
        rows="{{ params.orders }}",
        key_column="Order",
        retries=3,
    )
    wait = TallyfyRunsStatusSensor(
        task_id="wait",
        run_ids=launch.output["runs"],
        deferrable=True,
        poke_interval=10,
        timeout=timedelta(days=30).total_seconds(),
    )
    collect = TallyfyGetAnswersOperator(
        task_id="collect",
        run_ids=launch.output["runs"],
        output_path="{{ params.folder }}/{{ run_id }}/answers.csv",
    )

    @task
    def count_answers(answers: dict) -> int:
        """Stand in for the analysis, which may be ``pandas.read_csv(answers["path"])``."""
        import csv

        with open(answers["path"], newline="", encoding="utf-8") as file:
            return sum(1 for _ in csv.DictReader(file))

    wait >> collect
    count_answers(collect.output)
    # [END howto_collect_answers]
