"""
A distributed Airflow for all tests here, and an empty Tallyfy for each.

``make test-distributed`` runs them. They need Debian's packages ``postgresql`` and ``redis-server``.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox
from demo.local_airflow import ROOT
from tests.distributed.cluster import Cluster, DistributedAirflow
from tests.distributed.servers import PostgreSQL, Redis


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Look for secrets at the end, in what all tests have left."""
    items.sort(key=lambda item: item.path.name == "test_secrets.py")


@pytest.fixture(scope="session")
def _running() -> Iterator[Cluster]:
    signal.signal(signal.SIGTERM, lambda number, _: pytest.exit("terminated"))  # and all ends with the tests
    folder = Path(tempfile.mkdtemp(prefix="distributed-"))
    folder.chmod(0o755)  # pytest's own folders are closed to the user of the database
    dags = folder / "dags"
    shutil.copytree(Path(__file__).parent / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests" / "system" / "dags" / "system_bulk.py", dags)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        tallyfy = stack.enter_context(Sandbox())
        database = stack.enter_context(PostgreSQL(folder))
        broker = stack.enter_context(Redis(folder))
        airflow = DistributedAirflow(folder, dags, database, broker)
        with airflow:
            yield Cluster(airflow, database, broker, tallyfy, folder)
        assert airflow.living() == []


@pytest.fixture
def cluster(_running: Cluster) -> Iterator[Cluster]:
    """Give the test the running Airflow, every part of it alive, and an empty Tallyfy with the same credentials."""
    airflow, tallyfy = _running.airflow, _running.tallyfy
    for name in airflow.components.keys() - airflow.processes.keys():
        airflow.start_component(name)
    airflow.wait_until_healthy()
    airflow.ended.clear()
    tallyfy.reset(organization_id=tallyfy.organization_id, token=tallyfy.token)
    _running.connect("tallyfy_default", tallyfy.token)
    yield _running
    tallyfy.faults.clear()
    _running.note_secrets()
    _running.end_dag_runs()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests have counted beside what they assert."""
    reports = terminalreporter.stats.get("passed", [])
    for name, value in (counted for report in reports if report.when == "call" for counted in report.user_properties):
        terminalreporter.write_line(f"{name}: {value}")
