"""Restores, waits and archives that the system tests run, besides the examples."""

from __future__ import annotations

import logging
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_tallyfy.operators.tallyfy import TallyfyActivateRunOperator, TallyfyArchiveRunOperator
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunStatusSensor

SETTINGS = {"schedule": None, "start_date": datetime(2026, 1, 1), "catchup": False}


def tell(context: dict) -> None:
    logging.getLogger(__name__).info("The callback was told of %s.", context["ti"].task_id)


RUN_ID = {"run_id": Param("", type=["string", "integer"])}

with DAG(dag_id="system_restore_many", params={"run_ids": Param([], type="array")}, **SETTINGS):
    from airflow.providers.common.compat.sdk import task

    @task
    def given(params: dict | None = None) -> list[str]:
        return params["run_ids"]

    restored = TallyfyActivateRunOperator.partial(task_id="restore", map_index_template="{{ task.run_id }}").expand(
        run_id=given()
    )
    TallyfyRunStatusSensor.partial(
        task_id="wait", target_status="active", deferrable=True, poke_interval=1, map_index_template="{{ task.run_id }}"
    ).expand(run_id=restored.output.map(lambda run: run["id"]))

# Airflow fails a task that resumes before the end of its first process is recorded. A retry mends that.
with DAG(dag_id="system_wait", params=RUN_ID, default_args={"retries": 3, "retry_delay": 1}, **SETTINGS):
    common = {"run_id": "{{ params.run_id }}", "poke_interval": 1, "timeout": 600}
    TallyfyRunStatusSensor(task_id="poke", mode="poke", **common)
    TallyfyRunStatusSensor(task_id="reschedule", mode="reschedule", **common | {"poke_interval": 15})
    TallyfyRunStatusSensor(task_id="deferred", deferrable=True, on_success_callback=tell, **common)
    TallyfyRunStatusSensor(
        task_id="deferred_to_the_end", deferrable=True, do_xcom_push=False, end_from_trigger=True, **common
    )
    TallyfyRunStatusSensor(task_id="timed_out", deferrable=True, **common | {"timeout": 12}, target_status="issue")
    TallyfyRunStatusSensor(
        task_id="timed_out_softly", deferrable=True, soft_fail=True, **common | {"timeout": 12}, target_status="issue"
    )

with DAG(dag_id="system_archive", params=RUN_ID, default_args={"retries": 3, "retry_delay": 1}, **SETTINGS):
    TallyfyArchiveRunOperator(task_id="archive", run_id="{{ params.run_id }}")
