"""
Wait for people in every way there is: for a task, for an answer, and for many runs at once.

**Try it** with `make airflow`:

1. Trigger this DAG. Its defaults are the runs *Onboarding - ACME Corp* and *Onboarding - Globex*.
2. `reviewed` is deferred. Follow its link *Open run in Tallyfy*, and press *Approve* at *Legal review*.
3. `answer` waits for the *Tax number* of *Collect documents*. Fill it in and press *Save*.
4. `all_complete` waits for both: open each in [the sandbox](http://127.0.0.1:8765), and press *Complete all tasks*.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_tallyfy.sensors.tallyfy import (
    TallyfyFormFieldSensor,
    TallyfyRunsStatusSensor,
    TallyfyTaskSensor,
)

WEEK = timedelta(weeks=1).total_seconds()

with DAG(
    dag_id="example_tallyfy_wait_for_people",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    render_template_as_native_obj=True,  # so that run_ids stays a list
    default_args={"deferrable": True, "poke_interval": 10, "timeout": WEEK},
    params={
        "run_ids": Param(
            ["13457c9c58c1da857daed3a574ffe86d", "c44bdfc975e78b1875c90175372678ee"],
            type="array",
            minItems=1,
            description="Runs of one template; the first is followed in detail.",
        ),
        "task": Param(
            "Legal review",
            type="string",
            description="Title of a task of that template.",
        ),
        "field": Param(
            "Tax number",
            type="string",
            description="Label of a form field of that template.",
        ),
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:
    # [START howto_sensor_tallyfy_task]
    reviewed = TallyfyTaskSensor(
        task_id="reviewed",
        run_id="{{ params.run_ids[0] }}",
        task_name="{{ params.task }}",  # its title, alias or id
    )
    # [END howto_sensor_tallyfy_task]

    # [START howto_sensor_tallyfy_form_field]
    answer = TallyfyFormFieldSensor(
        task_id="answer",
        run_id="{{ params.run_ids[0] }}",
        field="{{ params.field }}",  # values=["yes", "no"] waits for one of these
    )
    # [END howto_sensor_tallyfy_form_field]

    # [START howto_sensor_tallyfy_runs_status]
    all_complete = TallyfyRunsStatusSensor(
        task_id="all_complete",
        run_ids="{{ params.run_ids }}",
        wait_for="all",
        fail_fast=False,  # an archived run fails the task when the others are complete
    )
    # [END howto_sensor_tallyfy_runs_status]

    reviewed >> answer >> all_complete
