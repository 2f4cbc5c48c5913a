"""
Restore an archived run, wait until it is active, and hand it on.

**Try it** with `make airflow`:

1. Trigger this DAG. Its default is the archived run *Vendor review - Fabrikam*.
2. Follow the link *Open run in Tallyfy* of the task `restore`: the run is active.
3. Press *Archive run* there, and trigger the DAG again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyGetRunOperator,
)
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunStatusSensor

with DAG(
    dag_id="example_tallyfy_restore_run",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={
        "run_id": Param(
            "8096fb4e743ef28a61c13788b4f32893",
            type="string",
            minLength=1,
            description="Run to restore, by id.",
        )
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_tallyfy_activate_run]
    restore = TallyfyActivateRunOperator(task_id="restore", run_id="{{ params.run_id }}")
    # [END howto_operator_tallyfy_activate_run]

    # [START howto_sensor_tallyfy_run_status]
    wait_until_active = TallyfyRunStatusSensor(
        task_id="wait_until_active",
        run_id=restore.output["run_id"],
        target_status="active",
        # A run that was finished before it was archived comes back finished.
        failure_status=["complete", "archived"],
        deferrable=True,
        poke_interval=10,
        timeout=timedelta(hours=1).total_seconds(),
    )
    # [END howto_sensor_tallyfy_run_status]

    # [START howto_operator_tallyfy_get_run]
    read = TallyfyGetRunOperator(task_id="read", run_id=wait_until_active.output["run_id"])
    # [END howto_operator_tallyfy_get_run]

    @task
    def hand_on(run: dict) -> str:
        """Stand in for what comes next, with the small dict that every operator returns."""
        return f"{run['name']} is {run['status']}: {run['url']}"

    hand_on(read.output)
