from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
)
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunStatusSensor

with DAG(
    "review",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    params={"run_id": ""},
    default_args={"retries": 2},
):
    restore = TallyfyActivateRunOperator(task_id="restore", run_id="{{ params.run_id }}")
    finished = TallyfyRunStatusSensor(
        task_id="wait_for_people",
        run_id=restore.output["run_id"],
        target_status="complete",
        deferrable=True,  # wait without a worker
    )
    archive = TallyfyArchiveRunOperator(task_id="archive", run_id=finished.output["run_id"])
