"""A step, a comment and a tag whose workers are killed by the system tests."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyCommentOperator,
    TallyfyCompleteTaskOperator,
    TallyfyTagRunOperator,
)

with DAG(
    dag_id="system_steps",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": 1, "run_id": "{{ params.run_id }}"},
    params={"run_id": Param("", type="string")},
):
    complete = TallyfyCompleteTaskOperator(
        task_id="complete", task_name="Import", answers={"Rows": "7"}, comment="Imported."
    )
    tell = TallyfyCommentOperator(task_id="tell", content="The import is done.")
    complete >> tell >> TallyfyTagRunOperator(task_id="tag", add="imported")
