"""The commands that the documentation shows, run as it shows them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import pytest

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from tests.contract.bulk.observing import archived

pytestmark = pytest.mark.system

LIST = """
# [START command_line_list]
airflow tallyfy runs list --status complete --older-than 30d
airflow tallyfy runs list --query Acme -o json
airflow tallyfy runs list --fields id -o csv > runs.csv
# [END command_line_list]
"""
LOOK_UP = """
# [START command_line_look_up]
airflow tallyfy runs list --query Acme
airflow tallyfy templates list --query onboarding
airflow tallyfy tags list
# [END command_line_look_up]
"""
CHANGE = """
# [START command_line_change]
airflow tallyfy runs archive --status complete --older-than 30d --dry-run
airflow tallyfy runs archive --status complete --older-than 30d --yes -o csv > archived.csv
# take it back:
grep ,changed, archived.csv | cut -d , -f 1 | airflow tallyfy runs activate - --yes
# [END command_line_change]
"""


@pytest.fixture
def shell(tallyfy, tmp_path):
    """Run lines of a shell; ``airflow tallyfy`` is the module, which every supported Airflow has."""
    module = f"{shlex.quote(sys.executable)} -m airflow_provider_tallyfy"
    environment = {name: value for name, value in os.environ.items() if name != "AIRFLOW__CORE__UNIT_TEST_MODE"}

    def run(lines: str) -> str:
        script = "set -eu\n" + lines.replace("airflow tallyfy", module)
        done = subprocess.run(
            ["sh", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_runs_are_listed_as_documented(tallyfy, shell, tmp_path):
    tallyfy.add_run(name="Acme", status="complete", created_at="50 days ago", completed_at="40 days ago")
    out = shell(LIST)
    ids = [row["id"] for row in TallyfyHook().list_runs()]
    assert out.count(ids[0]) > 1
    assert json.loads(out[out.index("\n[\n") :])[0]["id"] == ids[0]
    assert (tmp_path / "runs.csv").read_text() == f"id\n{ids[0]}\n"


def test_ids_are_looked_up_as_documented(tallyfy, shell):
    things = [tallyfy.add_template("Onboarding"), tallyfy.add_tag("Audit"), tallyfy.add_run("Onboarding", name="Acme")]
    out = shell(LOOK_UP)
    assert [thing["id"] for thing in things if thing["id"] not in out] == []


def test_runs_are_archived_and_taken_back_as_documented(tallyfy, shell, tmp_path):
    fields = {"status": "complete", "created_at": "50 days ago", "completed_at": "40 days ago"}
    ids = {tallyfy.add_run(**fields)["id"] for _ in range(2)}
    tallyfy.add_run(archived=True)
    before = archived(tallyfy)

    out = shell(CHANGE)

    assert all(f"would archive run {run_id}" in out for run_id in ids)
    assert {line.split(",")[0] for line in (tmp_path / "archived.csv").read_text().splitlines()[1:]} == ids
    assert archived(tallyfy) == before
