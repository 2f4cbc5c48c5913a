"""Run DAGs in this process with ``dag.test()``, against the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from airflow_provider_tallyfy.compat import airflow_version

RunDag = Callable[..., Any]


@pytest.fixture(scope="session")
def _airflow_database() -> None:
    from airflow.utils import db

    db.initdb()


@pytest.fixture
def run_dag(_airflow_database: None) -> RunDag:
    """Return a function that runs a DAG with params and gives the finished DAG run."""

    def run(dag: Any, **params: Any) -> Any:
        if not airflow_version.startswith("2."):
            _register(dag)
        return dag.test(run_conf=params)

    return run


@pytest.fixture
def example(run_dag: RunDag) -> RunDag:
    """Return a function that runs an example DAG by the name of its module."""
    return lambda name, **params: run_dag(import_module(f"example_dags.{name}").dag, **params)


def _register(dag: Any) -> None:
    """Airflow 3.2 and newer create runs only of DAGs that are serialized in a bundle."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    with create_session() as session:
        if not session.get(DagBundleModel, "testing"):
            session.add(DagBundleModel(name="testing"))
            session.flush()
        lazy = LazyDeserializedDAG.from_dag(dag)
        SerializedDAG.bulk_write_to_db("testing", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="testing", session=session)
        session.commit()
