"""
Restore many runs at once, with a report, and take all of it back if that was not what was meant.

**Try it** with `make airflow`:

1. Trigger this DAG. *Onboarding - Hooli* and *Onboarding - Wonka* are no longer archived.
2. Open both in [the sandbox](http://127.0.0.1:8765), and press *Archive run*.
3. Trigger it with `at_most` = 1. Two runs come back, so `check` fails and `undo` archives both again.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_tallyfy.operators.bulk import (
    TallyfyActivateRunsOperator,
    TallyfyArchiveRunsOperator,
)

with DAG(
    dag_id="example_tallyfy_bulk_restore",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={
        "query": Param(
            "Onboarding",
            type="string",
            description="Restore archived runs with this in their name.",
        ),
        "at_most": Param(
            100,
            type="integer",
            description="If more than this come back, archive them again.",
        ),
        "folder": Param("/tmp/tallyfy", type="string", description="Where the reports go."),
    },
    # so that run_ids below is a list, or the reference to the report of many
    render_template_as_native_obj=True,
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_tallyfy_activate_runs]
    restore = TallyfyActivateRunsOperator(
        task_id="restore",
        query="{{ params.query }}",
        max_failures="10%",
        report_path="{{ params.folder }}/{{ run_id }}/restore.jsonl",
    )
    # [END howto_operator_tallyfy_activate_runs]

    @task
    def check(counts: dict[str, int], params: dict | None = None) -> None:
        """Check the result, as a person would check the report."""
        if params and counts["changed"] > params["at_most"]:
            raise ValueError(f"{counts['changed']} runs came back: too many")

    checked = check(restore.output["counts"])

    # [START howto_operator_tallyfy_archive_runs]
    undo = TallyfyArchiveRunsOperator(
        task_id="undo",
        # A restore that failed half-way has pushed this; one that never
        # began has not.
        run_ids="{{ ti.xcom_pull('restore', key='changed') or [] }}",
        report_path="{{ params.folder }}/{{ run_id }}/undo.jsonl",
        trigger_rule="one_failed",
    )
    # [END howto_operator_tallyfy_archive_runs]

    [restore, checked] >> undo

    @task
    def go_on() -> None:
        """
        Stand in for the work with the restored runs.

        As a last task it fails the DAG run if a task before it did.
        """

    checked >> go_on()
