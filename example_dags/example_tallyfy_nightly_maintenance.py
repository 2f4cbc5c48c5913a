"""
Every night, archive the runs that were finished some time ago: one task for all of them, with a report.

**Try it** with `make airflow`:

1. Unpause this DAG: it runs for the last night. *Onboarding - Soylent* and *Vendor review - Northwind* are archived.
2. In [the sandbox](http://127.0.0.1:8765) open *Onboarding - Globex* and press *Complete all tasks*.
3. Trigger this DAG with `days` = 0. It archives that run as well, and *Onboarding - Umbrella*.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_tallyfy.operators.bulk import TallyfyArchiveRunsOperator

with DAG(
    dag_id="example_tallyfy_nightly_maintenance",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={
        "days": Param(
            90,
            type="integer",
            minimum=0,
            description="Archive what was finished this long ago.",
        ),
        "folder": Param("/tmp/tallyfy", type="string", description="Where the reports go."),
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:
    # [START nightly_maintenance]
    TallyfyArchiveRunsOperator(
        task_id="archive",
        status="complete",
        older_than="{{ params.days }}d",
        report_path="{{ params.folder }}/{{ run_id }}/archived.jsonl",
    )
    # [END nightly_maintenance]
