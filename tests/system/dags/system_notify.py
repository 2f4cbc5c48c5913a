"""A task and a DAG run that fail, and a deadline that is missed; the notifier tells of each."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, task

from airflow_provider_tallyfy.compat import AIRFLOW_V_3_1_PLUS
from airflow_provider_tallyfy.notifications.tallyfy import TallyfyNotifier

SETTINGS = {"schedule": None, "start_date": datetime(2026, 1, 1), "catchup": False}
PARAMS = {"run_id": Param("", type="string")}


def tell(words: str) -> TallyfyNotifier:
    return TallyfyNotifier(run_id="{{ params.run_id }}", content=words)


with DAG(
    "system_notify",
    **SETTINGS,
    params=PARAMS,
    on_failure_callback=tell("The DAG run failed."),
    default_args={
        "retries": 1,
        "retry_delay": 1,
        "on_retry_callback": tell("Try {{ ti.try_number }} failed."),
        "on_failure_callback": tell("All tries failed."),
    },
):

    @task
    def fail() -> None:
        raise ValueError("This is for the callbacks.")

    fail()

if AIRFLOW_V_3_1_PLUS:
    from airflow.sdk.definitions.deadline import (  # type: ignore[attr-defined]
        AsyncCallback,
        DeadlineAlert,
        DeadlineReference,
    )

    # [START howto_notifier_deadline]
    late = {"run_id": "{{ dag_run.conf.run_id }}", "content": "{{ dag_run.dag_id }} is late."}
    with DAG(
        "system_deadline",
        deadline=DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=timedelta(seconds=5),
            callback=AsyncCallback(TallyfyNotifier, late),
        ),
        # [END howto_notifier_deadline]
        **SETTINGS,
        params=PARAMS,
    ):

        @task
        def be_late() -> None:
            time.sleep(600)

        be_late()
