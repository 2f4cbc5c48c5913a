"""The demo ends as it should, on a real scheduler and triggerer; what one plays with is still there the next day."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from demo.airflow_api import AirflowApi
from demo.local_airflow import ROOT, free_port
from demo.scenarios import run_scenarios

#: ``python -m demo``, with its folders below another one.
_DEMO = "import pathlib, sys, demo.__main__ as demo; demo.ROOT = pathlib.Path(sys.argv.pop(1)); sys.exit(demo.main())"
_LAST_LINE = "To begin anew"
_DAG = "example_tallyfy_restore_run"
#: Run "Vendor review - Fabrikam" of the seed, which is archived.
_RUN = "8096fb4e743ef28a61c13788b4f32893"


@contextmanager
def demo(folder: Path, *options: str, until: str) -> Iterator[list[str]]:
    """Start the demo, give what it prints until some words, and end it as a service manager would."""
    command = [sys.executable, "-c", _DEMO, str(folder), *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        printed = []
        try:
            for line in process.stdout:
                printed.append(line.rstrip())
                if until in line:
                    break
            assert until in printed[-1], printed
            yield printed
        finally:
            process.terminate()
            process.stdout.read()
    assert process.returncode == 128 + 15


def test_the_examples_do_in_tallyfy_what_the_demonstration_promises(system, capsys):
    system.tallyfy.load(DEFAULT)
    assert run_scenarios(system.tallyfy, system.airflow) == []
    assert "wait_for_people" in capsys.readouterr().out


def test_an_airflow_to_play_with_goes_on_after_a_restart(tmp_path):
    port, tallyfy_port = free_port(), free_port()
    options = ("--serve", "--port", str(port), "--tallyfy-port", str(tallyfy_port))
    airflow = AirflowApi(f"http://127.0.0.1:{port}")
    archived = f"run           {_RUN}  Vendor review - Fabrikam, archived"
    with demo(tmp_path, *options, until=_LAST_LINE) as first:
        assert archived in first
        airflow.wait_for_dags([_DAG])
        dag_run = airflow.trigger(_DAG, {"run_id": _RUN})
        assert airflow.wait_for_dag_run(_DAG, dag_run) == "success"
        with demo(tmp_path, until="Airflow in .demo/demo-"):  # a demonstration beside it has another folder
            pass
    with demo(tmp_path, *options, until=_LAST_LINE) as again:
        restored = archived.removesuffix(", archived")
        assert again == [restored if line == archived else line for line in first]
        assert airflow.dag_run_state(_DAG, dag_run) == "success"
        assert airflow.get("/connections/tallyfy_default")["port"] == tallyfy_port
    airflow.close()
