"""
Tell people in Tallyfy that a DAG failed: report a problem on the run that it works for, and launch a review.

**Try it** with `make airflow`:

1. Trigger this DAG. `load` fails, because `rows` is 0 by default.
2. The log of `load` has the address of the run *Vendor review - Contoso*. Its page shows the problem.
3. There is a new run for those who look into it: `Review of`, and the vendor.
4. Trigger the DAG with 5 `rows`. Nobody is told anything.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_tallyfy.notifications.tallyfy import TallyfyNotifier

# [START howto_notifier_tallyfy]
report = TallyfyNotifier(
    run_id="{{ params.tallyfy_run_id }}",
    problem=True,  # without it, a comment
    content="{{ ti.task_id }} of {{ dag.dag_id }} failed in try {{ ti.try_number }}.",
)
review = TallyfyNotifier(
    template_id="{{ params.template_id }}",
    name="Review of {{ params.vendor }}",
    kickoff={"Vendor": "{{ params.vendor }}"},
    content="{{ dag.dag_id }} failed. The log of {{ ti.task_id }} says why.",
)

with DAG(
    dag_id="example_tallyfy_tell_people",
    # Called once for each failed task, after its last try.
    default_args={"on_failure_callback": [report, review]},
    # [END howto_notifier_tallyfy]
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    params={
        "tallyfy_run_id": Param(
            "326326281e75d4101d5ea51732e48289",
            type="string",
            minLength=1,
            description="The run, from its address.",
        ),
        "template_id": Param(
            "f45cd28a12b2936e43e2ac8a0dc01b2f",
            type="string",
            minLength=1,
            description="The template of the review.",
        ),
        "vendor": Param("Contoso", type="string", description="Whose rows are loaded."),
        "rows": Param(0, type="integer", minimum=0, description="How many rows there are."),
    },
    tags=["example", "tallyfy"],
    doc_md=__doc__,
) as dag:

    @task
    def load(params: Any = None) -> int:
        """Stand in for the pipeline."""
        if not params["rows"]:
            raise ValueError("There are no rows.")
        return params["rows"]

    load()
