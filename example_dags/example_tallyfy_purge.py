"""
Once a month, delete for good what was archived long ago, with a snapshot of each run, after a rehearsal.

**Try it** with `make airflow`:

1. Trigger this DAG with `days` = 30. Nothing is deleted; each task `delete` logs what it would delete.
2. Trigger it again without `dry_run`: *Onboarding - Wonka* and *Vendor review - Tyrell* are gone from [the sandbox](http://127.0.0.1:8765).
3. The folder `snapshots` has a file for each of them.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyDeleteRunOperator,
    TallyfyListRunsOperator,
)

with DAG(
    dag_id="example_tallyfy_purge",
    schedule="0 3 1 * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={
        "days": Param(
            90,
            type="integer",
            minimum=30,
            description="Delete what was archived this long ago.",
        ),
        "dry_run": Param(
            True,
            type="boolean",
            description="Say what would be deleted, and delete nothing.",
        ),
        "snapshots": Param(
            "/tmp/tallyfy-snapshots",
            type="string",
            description="Folder or object store URL.",
        ),
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_tallyfy_list_archived_runs]
    expired = TallyfyListRunsOperator(
        task_id="list_expired_runs",
        archived="only",
        older_than="{{ params.days }}d",
        limit=100,  # the next month goes on
        fields="id",
    )
    # [END howto_operator_tallyfy_list_archived_runs]

    # [START howto_operator_tallyfy_delete_run]
    @task
    def with_both_keys(run_ids: list[str], snapshots: str) -> list[dict[str, str]]:
        """Name every run twice: what is deleted is what was listed, by id."""
        return [
            {
                "run_id": run_id,
                "confirm": run_id,
                "snapshot_path": f"{snapshots}/{run_id}.json",
            }
            for run_id in run_ids
        ]

    delete = TallyfyDeleteRunOperator.partial(
        task_id="delete",
        dry_run="{{ params.dry_run }}",
        map_index_template="{{ task.run_id }}",
        max_active_tis_per_dagrun=4,
        retries=2,
    ).expand_kwargs(with_both_keys(expired.output, "{{ params.snapshots }}"))
    # [END howto_operator_tallyfy_delete_run]
