"""
Restore many archived runs, wait until people have finished all of them, and archive what was restored.

**Try it** with `make airflow`:

1. Trigger this DAG. *Onboarding - Hooli* is active again. *Onboarding - Wonka* was finished, so it is complete again.
2. `wait` is deferred. In [the sandbox](http://127.0.0.1:8765) open *Onboarding - Hooli* and press *Complete all tasks*.
3. Within some seconds the DAG goes on, and `archive` archives both runs.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_tallyfy.operators.bulk import (
    TallyfyActivateRunsOperator,
    TallyfyArchiveRunsOperator,
)
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunsStatusSensor

with DAG(
    dag_id="example_tallyfy_restore_and_wait",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={
        "query": Param(
            "Onboarding",
            type="string",
            description="Restore archived runs with this in their name.",
        ),
        "folder": Param("/tmp/tallyfy", type="string", description="Where the reports go."),
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:
    restore = TallyfyActivateRunsOperator(
        task_id="restore",
        query="{{ params.query }}",
        report_path="{{ params.folder }}/{{ run_id }}/restore.jsonl",
    )
    wait = TallyfyRunsStatusSensor(
        task_id="wait",
        run_ids=restore.output["changed"],
        fields="id",  # so that the result of 1,300 runs is small enough for an XCom
        deferrable=True,
        poke_interval=10,
        timeout=timedelta(days=7).total_seconds(),
    )
    archive = TallyfyArchiveRunsOperator(
        task_id="archive",
        run_ids=restore.output["changed"],
        report_path="{{ params.folder }}/{{ run_id }}/archive.jsonl",
    )
    wait >> archive
