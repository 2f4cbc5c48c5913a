"""Launches that are interrupted, repeated and cleared by the system tests."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_tallyfy.operators.tallyfy import TallyfyLaunchRunOperator

with DAG(
    dag_id="system_launch",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    default_args={"retries": 3, "retry_delay": 1},
    params={"template_id": Param("", type="string"), "relaunch": Param(False, type="boolean")},
):
    launch = {"template_id": "{{ params.template_id }}", "name": "Onboarding"}
    TallyfyLaunchRunOperator(task_id="launch", **launch)
    TallyfyLaunchRunOperator(task_id="launch_again_when_cleared", relaunch_on_clear=True, **launch)
