"""Waits that the system tests interrupt, begin without a worker, or end with a DAG that starts."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Asset, Param, task

from airflow_provider_tallyfy.compat import AIRFLOW_V_3_0_PLUS, TASKS_START_IN_TRIGGERER
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunsStatusSensor, TallyfyRunStatusSensor
from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunEventTrigger

SETTINGS = {"schedule": None, "start_date": datetime(2026, 1, 1), "catchup": False}
RUN_IDS = {"run_ids": Param([], type="array")}

with DAG(dag_id="system_many_waits", params=RUN_IDS, max_active_tasks=200, **SETTINGS):

    @task
    def given(params: dict | None = None) -> list[str]:
        return params["run_ids"]

    # As the documentation recommends: a scheduler that lags may fail a deferral, and a retry looks again.
    TallyfyRunStatusSensor.partial(
        task_id="wait", deferrable=True, poke_interval=2, retries=3, retry_delay=timedelta(seconds=1)
    ).expand(run_id=given())

with DAG(dag_id="system_wait_for_list", params=RUN_IDS, render_template_as_native_obj=True, **SETTINGS):
    TallyfyRunsStatusSensor(task_id="wait", run_ids="{{ params.run_ids }}", deferrable=True, poke_interval=2)

if TASKS_START_IN_TRIGGERER:
    with DAG(dag_id="system_wait_without_worker", params={"run_id": Param("", type="string")}, **SETTINGS):
        TallyfyRunStatusSensor(
            task_id="wait", run_id="{{ params.run_id }}", start_from_trigger=True, poke_interval=1, timeout=120
        )
        TallyfyRunStatusSensor(
            task_id="wait_to_the_end",
            run_id="{{ params.run_id }}",
            start_from_trigger=True,
            do_xcom_push=False,
            end_from_trigger=True,
            poke_interval=1,
            timeout=120,
        )

if AIRFLOW_V_3_0_PLUS:
    from airflow.sdk import AssetWatcher

    completed = TallyfyRunEventTrigger(events=["completed"], poll_interval=2)
    done = Asset("system_tallyfy_completed", watchers=[AssetWatcher(name="completed", trigger=completed)])

    with DAG(dag_id="system_on_completion", schedule=[done], start_date=datetime(2026, 1, 1), catchup=False):

        @task
        def heard(triggering_asset_events: dict | None = None) -> list[dict]:
            return [event.extra["payload"] for events in triggering_asset_events.values() for event in events]

        heard()
