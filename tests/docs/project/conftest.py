"""Give the tests a Tallyfy, and an Airflow of their own."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

# Airflow reads these when it is imported, so they come first.
HOME = tempfile.TemporaryDirectory(prefix="airflow-")
os.environ["AIRFLOW_HOME"] = HOME.name
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(Path(__file__).parent / "dags")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

pytest_plugins = ["airflow_provider_tallyfy.sandbox.pytest_plugin"]


@pytest.fixture(scope="session", autouse=True)
def airflow_database():
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True)
