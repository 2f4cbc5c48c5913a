"""Running a DAG in this process, with Airflow's database but without its services."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

from airflow_provider_tallyfy.compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS


def prepare_database() -> None:
    """Make the tables that ``dag.test()`` needs."""
    from airflow.utils import db

    db.initdb()


def run_dag(dag: Any, **params: Any) -> Any:
    """Run every task of a DAG once, with these params, and return the DAG run."""
    if AIRFLOW_V_3_1_PLUS:  # older versions store what they need by themselves
        _store(dag)
    if AIRFLOW_V_3_0_PLUS:
        _share_task_api()
    # Airflow writes the params into the DAG, which stays in this process, and its next run would begin with them.
    declared = [(each, deepcopy(each.params)) for each in (dag, *dag.tasks)]
    try:
        return dag.test(run_conf=params)
    finally:
        for each, before in declared:
            each.params = before


@cache
def _share_task_api() -> None:
    """Build the API that the tasks call once: before Airflow 3.3 each task builds its own, which takes seconds."""
    from airflow.sdk.execution_time import supervisor

    supervisor.in_process_api_server = cache(supervisor.in_process_api_server)


def _store(dag: Any) -> None:
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.serialized_objects import LazyDeserializedDAG, SerializedDAG  # type: ignore[attr-defined]
    from airflow.utils.session import create_session

    with create_session() as session:
        if not session.get(DagBundleModel, "testing"):
            session.add(DagBundleModel(name="testing"))
            session.flush()
        stored = LazyDeserializedDAG.from_dag(dag)
        SerializedDAG.bulk_write_to_db("testing", None, [stored], session=session)
        SerializedDagModel.write_dag(stored, bundle_name="testing", session=session)
        session.commit()
