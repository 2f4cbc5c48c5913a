"""Set up Airflow for the tests before anything imports it."""

from __future__ import annotations

import os
import tempfile
from importlib.metadata import version
from typing import Any

import pytest
from hypothesis import settings

_HOME = tempfile.TemporaryDirectory(prefix="airflow-home-")

os.environ |= {
    "AIRFLOW_HOME": _HOME.name,
    "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__OPENLINEAGE__DISABLED": "True",  # the tests of lineage tell of their own Airflow
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME.name}/airflow.db",
}
if version("apache-airflow").startswith("2."):
    os.environ["AIRFLOW__CORE__EXECUTOR"] = "SequentialExecutor"  # the only one with which Airflow 2 accepts SQLite

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

pytest_plugins = ["airflow_provider_tallyfy.sandbox.pytest_plugin"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses ``worlds`` once for each way in which the sandbox answers open questions."""
    if "worlds" in metafunc.fixturenames:
        metafunc.parametrize("tallyfy_sandbox", ["lenient", "strict"], indirect=True)


@pytest.fixture
def worlds(tallyfy_sandbox: Any) -> Any:
    """Return the sandbox in each of its behaviors in turn."""
    return tallyfy_sandbox
