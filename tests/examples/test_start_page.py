"""The Start page: what it shows is what happens."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import conf

from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from example_dags import review
from tests.examples.test_maintenance_examples import task_states

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "start.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)


def block(beginning: str) -> str:
    """Return the only block of the page with a line that begins so."""
    [found] = [text for text in BLOCKS if any(line.startswith(beginning) for line in text.splitlines())]
    return found


@pytest.fixture
def run_id() -> str:
    """Return the id that the page says to enter."""
    [shown] = re.findall(r"enter `(\w{32})`", PAGE)
    return shown


def test_the_dag_waits_for_the_person_and_archives_the_run(run_dag, person, meanwhile, monkeypatch, run_id):
    monkeypatch.setattr(review.finished, "poke_interval", 0.1)
    name = "Onboarding - Hooli"
    assert run_id in {run["id"] for run in DEFAULT["runs"] if run["name"] == name}
    assert f"*{name}*" in PAGE

    def complete():
        person.wait_until(lambda statuses: statuses[name] == "active")
        person.press_on(name, "Complete all tasks")

    meanwhile(complete)
    states = task_states(run_dag(review.finished.dag, run_id=run_id))
    assert states == dict.fromkeys(("restore", "wait_for_people", "archive"), "success")
    assert person.statuses()[name] == "archived"


def test_the_command_line_triggers_the_same(run_id):
    assert block("airflow dags trigger").split() == (
        f"""airflow dags unpause review airflow dags trigger review --conf '{{"run_id": "{run_id}"}}'""".split()
    )


@pytest.mark.skipif(airflow_version.startswith("2."), reason="step 3 is for the Airflow that pip brings")
def test_airflow_knows_the_settings():
    names = re.findall(r"AIRFLOW__(\w+?)__(\w+)=", block("airflow standalone"))
    options = {name: section["options"] for name, section in conf.configuration_description.items()}
    assert len(names) == 4
    assert [option for section, option in names if option.lower() not in options[section.lower()]] == []


@pytest.fixture
def shell(tmp_path):
    """Return a function that starts commands in the folder of the page, with an Airflow of their own."""
    names = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    names |= {"PATH": path, "AIRFLOW_HOME": str(tmp_path / "airflow"), "PYTHONWARNINGS": "ignore"}

    def start(lines: str) -> subprocess.Popen[str]:
        return subprocess.Popen(["bash", "-ec", lines], cwd=tmp_path, env=names, stdout=subprocess.PIPE, text=True)

    return start


@pytest.mark.system
def test_the_sandbox_prints_the_command_that_connects_airflow_to_it(shell):
    [serve] = re.findall(r"^python -m .*", block("python -m"), re.MULTILINE)
    [older] = re.findall(r"Before Airflow 3.2 .* is `(.*)`", PAGE)
    check = older if airflow_version < "3.2" else block("airflow tallyfy check")
    with shell(f"exec {serve} --port 0") as sandbox:
        connect = next(line for line in sandbox.stdout if line.startswith("airflow connections add tallyfy_default "))
        said = shell("\n".join(["airflow db migrate", connect, check])).communicate()[0]
        sandbox.send_signal(signal.SIGINT)
    expected = re.escape(re.findall("It says `(.*)`", PAGE)[0]).replace(re.escape("..."), r"\w{32}")
    assert re.search(expected, said), said
