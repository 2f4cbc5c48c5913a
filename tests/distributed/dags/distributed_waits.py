"""Waits that the distributed tests interrupt."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync

from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunStatusSensor

WAITS = 25
SETTINGS = {"schedule": None, "start_date": datetime(2026, 1, 1), "catchup": False}

# They begin in the triggerer, without a worker, so that hundreds are there soon. Every other one also ends there.
with DAG("distributed_waits", params={"run_ids": Param([], type="array")}, **SETTINGS):
    for number in range(WAITS):
        with_result = number % 2 == 0
        TallyfyRunStatusSensor(
            task_id=f"wait_{number}",
            run_id=f"{{{{ params.run_ids[{number}] }}}}",
            poke_interval=3,
            start_from_trigger=True,
            do_xcom_push=with_result,
            end_from_trigger=not with_result,
        )

# As many of Airflow's own, to compare with.
with DAG("distributed_peers", **SETTINGS):
    for number in range(WAITS):
        DateTimeSensorAsync(task_id=f"wait_{number}", target_time="2100-01-01T00:00:00+00:00", start_from_trigger=True)

with DAG("distributed_modes", params={"run_id": Param("", type="string")}, **SETTINGS):
    common = {"run_id": "{{ params.run_id }}", "poke_interval": 2}
    TallyfyRunStatusSensor(task_id="poke", mode="poke", tallyfy_conn_id="poke", **common)
    TallyfyRunStatusSensor(task_id="reschedule", mode="reschedule", tallyfy_conn_id="reschedule", **common)
    TallyfyRunStatusSensor(task_id="deferred", deferrable=True, tallyfy_conn_id="deferred", **common)
    TallyfyRunStatusSensor(
        task_id="deferred_to_the_end",
        tallyfy_conn_id="deferred_to_the_end",
        deferrable=True,
        do_xcom_push=False,
        end_from_trigger=True,
        **common,
    )
