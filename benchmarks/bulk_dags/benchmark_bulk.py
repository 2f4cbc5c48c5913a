"""The same runs restored by one task of this package, and by a mapped task each of the HTTP provider."""

from __future__ import annotations

from airflow.providers.http.operators.http import HttpOperator
from airflow.sdk import DAG, Param, task

from airflow_provider_tallyfy.operators.bulk import TallyfyActivateRunsOperator

RUN_IDS = {"run_ids": Param([], type="array")}

with DAG("benchmark_bulk_operator", schedule=None, params=RUN_IDS):
    TallyfyActivateRunsOperator(task_id="restore", run_ids="{{ params.run_ids }}")

with DAG("benchmark_mapped_http", schedule=None, params=RUN_IDS, max_active_tasks=64):

    @task
    def endpoints(params):
        return [f"runs/{run_id}/activate" for run_id in params["run_ids"]]

    HttpOperator.partial(task_id="restore", http_conn_id="benchmark_http", method="PUT").expand(endpoint=endpoints())
