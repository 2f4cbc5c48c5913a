"""One real Airflow for all system tests, and a Tallyfy for each."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox
from demo.airflow_api import AIRFLOW_2
from demo.local_airflow import ROOT, LocalAirflow

# A killed worker is noticed within seconds instead of minutes, and a lost answer soon becomes a task retry.
_SETTINGS = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
}
_RETRY_BUDGET = 2
_ALSO_ON_AIRFLOW_2 = ("test_airflow_command", "test_demo", "test_a_missing_run", "test_one_task_waits_for_a_list")
_DAG_FOLDERS = (ROOT / "example_dags", Path(__file__).parent / "dags")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the system tests, and leave out what Airflow 2 cannot do on SQLite, where it runs one task at a time."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.system)
            if AIRFLOW_2 and not any(name in item.nodeid for name in _ALSO_ON_AIRFLOW_2):
                item.add_marker(pytest.mark.skip(reason="Airflow 2 runs one task at a time on SQLite"))


@dataclass(frozen=True)
class System:
    """
    A running Airflow and the Tallyfy that its connection ``tallyfy_default`` leads to.

    :param airflow: scheduler, triggerer, DAG processor and API server.
    :param tallyfy: empty at the start of every test.
    """

    airflow: LocalAirflow
    tallyfy: Sandbox


@pytest.fixture(scope="session")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("airflow")
    for dags in _DAG_FOLDERS:
        shutil.copytree(dags, folder / "dags", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    with Sandbox() as tallyfy:
        connections = {"tallyfy_default": tallyfy.connection_json(retry_budget=_RETRY_BUDGET)}
        with LocalAirflow(folder / "home", folder / "dags", connections, _SETTINGS) as airflow:
            yield System(airflow, tallyfy)


@pytest.fixture
def system(_running: System) -> Iterator[System]:
    """Return the running Airflow and an empty Tallyfy with the same credentials in every test."""
    tallyfy = _running.tallyfy
    tallyfy.reset(organization_id=tallyfy.organization_id, token=tallyfy.token)
    yield _running
    tallyfy.faults.clear()
