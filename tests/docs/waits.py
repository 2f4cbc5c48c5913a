"""Every way to wait for people, for the page "Choose your wait"."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_tallyfy.operators.tallyfy import TallyfyLaunchRunOperator
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunsStatusSensor, TallyfyRunStatusSensor

with DAG(
    dag_id="choose_your_wait",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    params={"run_ids": Param([], type="array")},
) as dag:
    # [START wait_deferrable]
    TallyfyRunStatusSensor(
        task_id="wait",
        run_id="{{ params.run_ids[0] }}",
        target_status="complete",
        deferrable=True,
        retries=2,
    )
    # [END wait_deferrable]

    # [START wait_list]
    TallyfyRunsStatusSensor(
        task_id="wait_for_all",
        run_ids="{{ params.run_ids }}",
        target_status="complete",
        deferrable=True,
        retries=2,
    )
    # [END wait_list]

    # [START wait_launch]
    TallyfyLaunchRunOperator(
        task_id="launch_and_wait",
        template_id="Vendor review",
        kickoff={"Vendor": "ACME"},
        wait_for_completion=True,
        deferrable=True,
        retries=2,
    )
    # [END wait_launch]

    # [START wait_poke]
    TallyfyRunStatusSensor(
        task_id="wait_on_a_worker",
        run_id="{{ params.run_ids[0] }}",
        target_status="complete",
        mode="poke",
        poke_interval=5,
        timeout=120,
    )
    # [END wait_poke]

    # [START wait_reschedule]
    TallyfyRunStatusSensor(
        task_id="wait_without_triggerer",
        run_id="{{ params.run_ids[0] }}",
        target_status="complete",
        mode="reschedule",
        poke_interval=600,
    )
    # [END wait_reschedule]
