"""Restore a run, wait until people have completed it, and archive it."""

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
)
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunStatusSensor

with DAG(
    "onboarding",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    params={"run_id": Param("", type="string")},
) as dag:
    restore = TallyfyActivateRunOperator(
        task_id="restore",
        run_id="{{ params.run_id }}",
    )
    wait = TallyfyRunStatusSensor(
        task_id="wait",
        run_id=restore.output["run_id"],
        target_status="complete",
        deferrable=True,
    )
    archive = TallyfyArchiveRunOperator(
        task_id="archive",
        run_id=restore.output["run_id"],
    )
    restore >> wait >> archive
