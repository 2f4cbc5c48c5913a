"""Both entrances as processes of their own, with a connection that exists only in Airflow's database."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import airflow
import pytest

from tests.contract.bulk.observing import archived

pytestmark = pytest.mark.system

AIRFLOW = [str(Path(sys.executable).with_name("airflow"))]
MODULE = [sys.executable, "-m", "airflow_provider_tallyfy"]
TAKES_COMMANDS = tuple(map(int, airflow.__version__.split(".")[:2])) >= (3, 2)
ENTRANCES = [
    pytest.param(MODULE, id="python -m"),
    pytest.param(
        [*AIRFLOW, "tallyfy"],
        id="airflow tallyfy",
        marks=pytest.mark.skipif(not TAKES_COMMANDS, reason="Airflow < 3.2 takes no commands of providers"),
    ),
]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The home of an Airflow with a database."""
    home: Path = tmp_path_factory.mktemp("airflow")
    subprocess.run([*AIRFLOW, "db", "migrate"], env=environment(home), capture_output=True, check=True, timeout=180)
    return home


def environment(home: Path) -> dict[str, str]:
    """Set Airflow up for a process, and not as the tests have set it up for themselves."""
    kept = {name: value for name, value in os.environ.items() if "AIRFLOW" not in name}
    executor = {} if TAKES_COMMANDS else {"AIRFLOW__CORE__EXECUTOR": "SequentialExecutor"}
    return kept | executor | {"AIRFLOW_HOME": str(home), "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"}


@pytest.fixture
def run(home, tallyfy) -> Run:
    """Run a process to which the connection ``tallyfy_default`` is known from the database alone."""
    python = (
        "import sys, json\n"
        "from airflow.models import Connection\n"
        "from airflow.utils.session import create_session\n"
        "with create_session() as session:\n"
        "    session.query(Connection).delete()\n"
        "    session.add(Connection(conn_id='tallyfy_default', **json.loads(sys.argv[1])))\n"
    )
    connection = tallyfy.connection()
    connection["extra"] = json.dumps(connection["extra"])
    stored = [sys.executable, "-c", python, json.dumps(connection)]
    subprocess.run(stored, env=environment(home), capture_output=True, check=True, timeout=120)

    def run(*command: str, **options) -> subprocess.CompletedProcess[str]:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
        return subprocess.run(command, env=environment(home), text=True, check=False, timeout=120, **streams)

    return run


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_connection_of_the_database_is_found_and_data_alone_is_printed(tallyfy, run, entrance):
    ids = tallyfy.add_runs(2)
    tallyfy.faults.add(status=429, retry_after=0.1)

    listed = run(*entrance, "runs", "list", "-o", "json")
    missing = run(*entrance, "runs", "get", "0" * 32)
    wrong = run(*entrance, "runs", "get")

    assert [row["id"] for row in json.loads(listed.stdout)] == ids, listed.stderr
    assert "Trying again" in listed.stderr
    assert (listed.returncode, missing.returncode, wrong.returncode) == (0, 5, 2)
    assert missing.stdout == ""
    assert "Tallyfy answered 404" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_on_a_terminal_it_asks_and_shows_a_bar_and_prints_data_to_the_pipe(tallyfy, run):
    ids = tallyfy.add_runs(3)
    ours, its = pty.openpty()
    os.write(ours, b"y\n")
    try:
        ended = run(*MODULE, "runs", "archive", *ids, "-o", "json", stdin=its, stderr=its)
        shown = os.read(ours, 100_000).decode()
    finally:
        os.close(ours)
        os.close(its)
    assert {row["id"]: row["state"] for row in json.loads(ended.stdout)} == dict.fromkeys(ids, "changed")
    assert archived(tallyfy) == set(ids)
    assert "Archive 3 run(s)" in shown
    assert "100%" in shown


def test_a_reader_that_has_enough_gets_no_traceback(tallyfy, run):
    tallyfy.add_runs(3)
    unread, its = os.pipe()
    os.close(unread)
    try:
        ended = run(*MODULE, "runs", "list", stdout=its)
    finally:
        os.close(its)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "BrokenPipe" not in ended.stderr
