"""
Delete for good what was archived long ago: a dry run unless somebody says otherwise.

**Try it** with `make airflow`:

1. Copy the organization's id from the foot of [the sandbox](http://127.0.0.1:8765), and trigger this DAG with it.
2. The log of `purge` says what it would delete: *Vendor review - Tyrell*, archived 200 days ago.
3. Trigger it again without `dry_run`. The run is gone, and `folder` has its snapshot.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_tallyfy.operators.bulk import TallyfyDeleteRunsOperator

with DAG(
    dag_id="example_tallyfy_bulk_purge",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={
        "organization_id": Param(
            type="string",
            minLength=1,
            description="Organization to delete from, by id: it has no default.",
        ),
        "days": Param(
            90,
            type="integer",
            minimum=30,
            description="Delete what was archived this long ago.",
        ),
        "dry_run": Param(
            True,
            type="boolean",
            description="Only say what would be deleted.",
        ),
        "folder": Param(
            "/tmp/tallyfy",
            type="string",
            description="Where report and snapshots go.",
        ),
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_tallyfy_delete_runs]
    TallyfyDeleteRunsOperator(
        task_id="purge",
        older_than="{{ params.days }}d",
        max_runs=500,
        confirm="{{ params.organization_id }}",
        snapshot_dir="{{ params.folder }}/snapshots",
        report_path="{{ params.folder }}/{{ run_id }}/purge.jsonl",
        dry_run="{{ params.dry_run }}",
    )
    # [END howto_operator_tallyfy_delete_runs]
