"""
Archive the runs that were finished some time ago with a task for each, which Airflow shows and retries alone.

**Try it** with `make airflow`:

1. In [the sandbox](http://127.0.0.1:8765) open *Onboarding - Globex* and press *Complete all tasks*.
2. Trigger this DAG with `days` = 0, which takes every complete run.
3. Each mapped task `archive` leads to its run: *Open run in Tallyfy*. *Restore run* brings it back.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyArchiveRunOperator,
    TallyfyListRunsOperator,
)

with DAG(
    dag_id="example_tallyfy_archive_each_run",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={
        "days": Param(
            90,
            type="integer",
            minimum=0,
            description="Archive what was finished this long ago.",
        )
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_tallyfy_list_runs]
    finished = TallyfyListRunsOperator(
        task_id="list_finished_runs",
        status="complete",
        older_than="{{ params.days }}d",
        limit=1000,  # Airflow maps over 1024 items at most
        fields="id",
    )
    # [END howto_operator_tallyfy_list_runs]

    # [START howto_operator_tallyfy_archive_run]
    archive = TallyfyArchiveRunOperator.partial(
        task_id="archive",
        map_index_template="{{ run_name | default(task.run_id) }}",
        max_active_tis_per_dagrun=4,
    ).expand(run_id=finished.output)
    # [END howto_operator_tallyfy_archive_run]

    @task(trigger_rule="none_failed")
    def summarize(archived: list[dict]) -> dict[str, int]:
        """Count what was archived; without finished runs that is nothing."""
        runs = list(archived or [])
        return {
            "archived": sum(run["changed"] for run in runs),
            "already_archived": sum(not run["changed"] for run in runs),
        }

    summarize(archive.output)
