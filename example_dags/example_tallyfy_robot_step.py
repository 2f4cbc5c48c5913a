"""
Do a step of a process that a machine does: wait for its turn, work, write the result into the step, complete it.

**Try it** with `make airflow`:

1. Trigger this DAG. Its default is the run *Onboarding - ACME Corp*.
2. `turn` is deferred. Follow its link *Open run in Tallyfy*, and press *Complete* at *Send welcome pack*.
3. `complete` writes the *Tax number* into *Collect documents* and completes it. The run's page shows the comments.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyCommentOperator,
    TallyfyCompleteTaskOperator,
)
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyTaskSensor

RUN_ID, STEP = "{{ params.tallyfy_run_id }}", "{{ params.step }}"

with DAG(
    dag_id="example_tallyfy_robot_step",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={
        "tallyfy_run_id": Param(
            "13457c9c58c1da857daed3a574ffe86d",
            type="string",
            minLength=1,
            description="The run, from its address.",
        ),
        "step": Param(
            "Collect documents",
            type="string",
            description="Title of the step that the machine does.",
        ),
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:
    # [START howto_robot_step]
    turn = TallyfyTaskSensor(
        task_id="turn",
        run_id=RUN_ID,
        task_name=STEP,
        target="turn",  # all tasks before it are done
        deferrable=True,
        poke_interval=10,
        timeout=timedelta(days=30).total_seconds(),
    )

    @task
    def work() -> str:
        """Stand in for the pipeline."""
        return "DE 123456789"

    # [START howto_operator_tallyfy_complete_task]
    complete = TallyfyCompleteTaskOperator(
        task_id="complete",
        run_id=RUN_ID,
        task_name=STEP,
        # by label, alias or id
        answers={"Tax number": "{{ ti.xcom_pull(task_ids='work') }}"},
        comment="Done by {{ dag.dag_id }}.",
        retries=3,
    )
    # [END howto_operator_tallyfy_complete_task]
    # [END howto_robot_step]

    # [START howto_operator_tallyfy_comment]
    tell = TallyfyCommentOperator(
        task_id="tell",
        run_id=RUN_ID,
        content="The machine's step is done.",  # task_name="..." comments on a task
        retries=3,
    )
    # [END howto_operator_tallyfy_comment]

    turn >> work() >> complete >> tell
