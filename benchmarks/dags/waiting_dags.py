"""Two hundred waits for runs that finish at once, in three ways."""

from __future__ import annotations

import inspect
import os
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunsStatusSensor, TallyfyRunStatusSensor

if any("task_runner" in frame.filename for frame in inspect.stack(0)):
    with open(os.environ["BENCHMARK_PROCESSES"], "a") as worker_processes:  # each worker process reads this file once
        worker_processes.write("1\n")

SETTINGS = {
    "schedule": None,
    "start_date": datetime(2026, 1, 1),
    "catchup": False,
    "max_active_tasks": 500,
    "params": {"run_ids": Param([], type="array")},
}


@task
def given(params: dict | None = None) -> list[str]:
    return params["run_ids"]


with DAG(dag_id="mapped", **SETTINGS):
    TallyfyRunStatusSensor.partial(
        task_id="wait", deferrable=True, poke_interval=5, do_xcom_push=False, end_from_trigger=True
    ).expand(run_id=given())

with DAG(dag_id="listed", render_template_as_native_obj=True, **SETTINGS):
    TallyfyRunsStatusSensor(
        task_id="wait", run_ids="{{ params.run_ids }}", fields="id", deferrable=True, poke_interval=5
    )

try:
    from airflow.providers.http.sensors.http import HttpSensor
except ImportError:
    pass
else:
    with DAG(dag_id="http", **SETTINGS):
        HttpSensor.partial(
            task_id="wait", http_conn_id="peer_http", deferrable=True, poke_interval=5, do_xcom_push=False
        ).expand(endpoint=given().map(lambda run_id: f"done/{run_id}"))
