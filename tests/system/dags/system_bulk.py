"""Bulk work that is interrupted by the system tests, and its undo."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_tallyfy.operators.bulk import (
    TallyfyActivateRunsOperator,
    TallyfyArchiveRunsOperator,
    TallyfyLaunchRunsOperator,
)

with DAG(
    dag_id="system_bulk_archive",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": 1},
    params={"report": Param("", type="string")},
):
    archive = TallyfyArchiveRunsOperator(task_id="archive", query="Onboarding", report_path="{{ params.report }}")
    TallyfyActivateRunsOperator(task_id="undo", run_ids=archive.output["changed"])

with DAG(
    dag_id="system_bulk_launch",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": 1},
    params={"template_id": Param("", type="string"), "rows": Param([], type="array")},
):
    TallyfyLaunchRunsOperator(task_id="launch", template_id="{{ params.template_id }}", rows="{{ params.rows }}")
