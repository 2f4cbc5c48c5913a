"""Run DAGs in this process with ``dag.test()``, against the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from tests import dag_runs

RunDag = Callable[..., Any]


@pytest.fixture(scope="session")
def _airflow_database() -> None:
    dag_runs.prepare_database()


@pytest.fixture
def run_dag(_airflow_database: None) -> RunDag:
    """Return a function that runs a DAG with params and gives the finished DAG run."""
    return dag_runs.run_dag


@pytest.fixture
def example(run_dag: RunDag) -> RunDag:
    """Return a function that runs an example DAG by the name of its module."""
    return lambda name, **params: run_dag(import_module(f"example_dags.{name}").dag, **params)
