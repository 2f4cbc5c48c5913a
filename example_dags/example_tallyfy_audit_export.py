"""
Every night, keep the audit trail and an export of every run that was finished in the last days.

**Try it** with `make airflow`:

1. In [the sandbox](http://127.0.0.1:8765) open *Onboarding - Globex* and press *Complete all tasks*.
2. Trigger this DAG. `folder` then has two files for each run that was completed in the last two days.
3. The file that ends with `.jsonl` says who did what, the one that ends with `.json` holds the whole run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyExportRunOperator,
    TallyfyRunActivityOperator,
)

with DAG(
    dag_id="example_tallyfy_audit_export",
    schedule="0 1 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={
        "folder": Param(
            "/tmp/tallyfy-audit",
            type="string",
            description="Folder or object store.",
        ),
        "days": Param(
            2,
            type="integer",
            minimum=1,
            description="Go back so far; more after nights without a run.",
        ),
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:

    @task
    def finished_runs(params: dict) -> list[str]:
        """Choose from all finished runs: Tallyfy has no filter for when they ended."""
        from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

        since = (datetime.now(UTC) - timedelta(days=params["days"])).isoformat()
        with TallyfyHook() as hook:
            runs = hook.list_runs(status="complete")
            return [run["id"] for run in runs if (run["completed_at"] or "") >= since]

    finished = finished_runs()

    # [START howto_operator_tallyfy_run_activity]
    audit = TallyfyRunActivityOperator.partial(
        task_id="audit",
        output_path="{{ params.folder }}/{{ task.run_id }}.jsonl",
        map_index_template="{{ task.run_id }}",
        max_active_tis_per_dagrun=4,
    ).expand(run_id=finished)
    # [END howto_operator_tallyfy_run_activity]

    # [START howto_operator_tallyfy_export_run]
    export = TallyfyExportRunOperator.partial(
        task_id="export",
        output_path="{{ params.folder }}/{{ task.run_id }}.json",
        map_index_template="{{ task.run_id }}",
        max_active_tis_per_dagrun=4,
    ).expand(run_id=finished)
    # [END howto_operator_tallyfy_export_run]
