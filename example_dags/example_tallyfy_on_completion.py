"""
Start when people have completed a run, instead of waiting for it; needs Airflow 3.

**Try it** with `make airflow`:

1. Unpause this DAG, and give the triggerer some seconds to look at the runs for the first time.
2. In [the sandbox](http://127.0.0.1:8765) open *Onboarding - Globex* and press *Complete all tasks*.
3. Within some seconds a DAG run starts, and archives that run.
"""

from __future__ import annotations

from datetime import datetime
from itertools import chain

from airflow.providers.common.compat.sdk import DAG, Asset, task

from airflow_provider_tallyfy.operators.tallyfy import TallyfyArchiveRunOperator
from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunEventTrigger

try:
    from airflow.sdk import AssetWatcher
except ImportError:  # Airflow 2 has no asset watchers, so there this file has no DAG
    AssetWatcher = None

if AssetWatcher is not None:
    # [START howto_trigger_tallyfy_run_event]
    onboarding_completed = Asset(
        "tallyfy_onboarding_completed",
        watchers=[
            AssetWatcher(
                name="tallyfy",
                trigger=TallyfyRunEventTrigger(
                    events=["completed"],
                    query="Onboarding",
                    poll_interval=10,
                ),
            )
        ],
    )

    with DAG(
        dag_id="example_tallyfy_on_completion",
        schedule=[onboarding_completed],
        start_date=datetime(2026, 1, 1),
        catchup=False,
        tags=["example", "tallyfy"],
        doc_md=__doc__,
    ) as dag:

        @task
        def completed_runs(triggering_asset_events: dict) -> list[str]:
            """Give the runs whose completion started this DAG run; it may be several."""
            events = chain.from_iterable(triggering_asset_events.values())
            return sorted({event.extra["payload"]["run"]["id"] for event in events})

        TallyfyArchiveRunOperator.partial(
            task_id="archive",
            map_index_template="{{ task.run_id }}",
        ).expand(run_id=completed_runs())
    # [END howto_trigger_tallyfy_run_event]
