"""A question that is asked by a worker, and by a triggerer, that is killed in the middle."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_tallyfy.operators.tallyfy import TallyfyApprovalOperator

with DAG(
    dag_id="system_approval",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": 1, "deferrable": True, "poll_interval": 1},
    params={"user": Param(1001, type="integer")},
):
    TallyfyApprovalOperator(task_id="ask", subject="Go on?", assignees={"users": ["{{ params.user }}"]})
