"""Events that the distributed tests count."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Asset
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import AssetWatcher

from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunEventTrigger

completed = TallyfyRunEventTrigger(events=["completed"], poll_interval=2)
done = Asset("distributed_completed", watchers=[AssetWatcher(name="completed", trigger=completed)])

with DAG("distributed_on_completion", schedule=[done], start_date=datetime(2026, 1, 1), catchup=False):
    EmptyOperator(task_id="heard")  # the events themselves stand in Airflow's database
