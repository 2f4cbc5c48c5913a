"""
Restore a run, extract its form, wait for people to finish the run, and archive it again if it was archived.

**Try it** with `make airflow`:

1. Trigger this DAG. Its default is the archived run *Onboarding - Hooli*.
2. When `wait_for_people` is deferred, follow its link *Open run in Tallyfy* to the restored run.
3. Press *Complete all tasks* there.
4. Within some seconds the DAG goes on, and `archive_again` archives the run.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
)
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunStatusSensor

RUN_ID = "{{ params.run_id }}"

with DAG(
    dag_id="example_tallyfy_restore_in_pipeline",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={
        "run_id": Param(
            "c27460eb5b3c719bb613fb83cc4e5427",
            type="string",
            minLength=1,
            description="Run to work on, by id.",
        )
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:
    restore = TallyfyActivateRunOperator(task_id="restore", run_id=RUN_ID)

    # [START howto_hook_tallyfy_task]
    @task(multiple_outputs=False)  # or "-> dict" would make an XCom of each answer
    def extract(tallyfy_run_id: str) -> dict:
        """Read what people have filled in, by label."""
        from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

        with TallyfyHook() as hook:
            return hook.get_form_values(tallyfy_run_id)

    # [END howto_hook_tallyfy_task]

    wait_for_people = TallyfyRunStatusSensor(
        task_id="wait_for_people",
        run_id=RUN_ID,
        deferrable=True,
        poke_interval=10,
        timeout=timedelta(days=7).total_seconds(),
    )

    @task
    def load(form: dict, run: dict) -> str:
        """Stand in for the pipeline's next step."""
        return f"{len(form)} answers in {run['name']}, finished at {run['completed_at']}"

    # [START howto_teardown]
    # A teardown runs even if a task in between failed, as long as its setup succeeded. With
    # `undo` it archives the run only if `restore` restored it: a run that was live before
    # stays live. If the teardown fails, so does the DAG run. `load` is no task before it,
    # because Airflow judges a DAG run by its last tasks only.
    archive_again = TallyfyArchiveRunOperator(
        task_id="archive_again",
        undo=restore.output,
    ).as_teardown(setups=restore, on_failure_fail_dagrun=True)
    # [END howto_teardown]

    form = extract(restore.output["run_id"])
    form >> wait_for_people >> [load(form, wait_for_people.output), archive_again]
