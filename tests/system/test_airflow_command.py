"""What Airflow's command line says about the provider."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system


def airflow(*arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("airflow")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_shows_the_provider():
    shown = airflow("providers", "get", "airflow-provider-tallyfy", "--full", "--output", "json")
    assert '"airflow-provider-tallyfy"' in shown
    assert "airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook" in shown


@pytest.mark.parametrize(
    ("listing", "entry"),
    [
        ("hooks", "airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook"),
        ("links", "airflow_provider_tallyfy.links.tallyfy.TallyfyRunLink"),
    ],
)
def test_the_command_lists_hook_and_link(listing, entry):
    assert entry in airflow("providers", listing, "--output", "json")
