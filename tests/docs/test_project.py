"""The test project of the page "Test your DAGs" works as it is written, in a folder and an Airflow of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.docs.pages import ROOT


def test_the_test_project_passes_where_somebody_copied_it_to(tmp_path):
    shutil.copytree(ROOT / "tests" / "docs" / "project", tmp_path, dirs_exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout
