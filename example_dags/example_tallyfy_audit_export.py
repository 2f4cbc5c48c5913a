"""Every night, keep the audit trail and an export of every finished run."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyExportRunOperator,
    TallyfyListRunsOperator,
    TallyfyRunActivityOperator,
)

with DAG(
    dag_id="example_tallyfy_audit_export",
    schedule="0 1 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={
        "folder": Param("/tmp/tallyfy-audit", type="string", description="Folder or object store URL."),  # noqa: S108
        "since": Param("2026-01-01", type="string", description="Keep the audit trail from this moment on."),
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:
    finished = TallyfyListRunsOperator(task_id="list_finished_runs", status="complete", limit=1000, fields="id")

    # [START howto_operator_tallyfy_run_activity]
    audit = TallyfyRunActivityOperator.partial(
        task_id="audit",
        since="{{ params.since }}",
        output_path="{{ params.folder }}/{{ task.run_id }}.jsonl",
        map_index_template="{{ task.run_id }}",
        max_active_tis_per_dagrun=4,
    ).expand(run_id=finished.output)
    # [END howto_operator_tallyfy_run_activity]

    # [START howto_operator_tallyfy_export_run]
    export = TallyfyExportRunOperator.partial(
        task_id="export",
        output_path="{{ params.folder }}/{{ task.run_id }}.json",
        map_index_template="{{ task.run_id }}",
        max_active_tis_per_dagrun=4,
    ).expand(run_id=finished.output)
    # [END howto_operator_tallyfy_export_run]
