"""
``python -m demo``: three example DAGs on a real Airflow, against the sandbox, from start to end.

With ``--serve`` Airflow and the sandbox keep running, with their pages, until they are interrupted.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sys
import time
from importlib.metadata import version
from pathlib import Path

from airflow_provider_tallyfy.sandbox import Sandbox
from airflow_provider_tallyfy.sandbox.seeds import DEFAULT, SeedError
from demo.airflow_api import AirflowProblem
from demo.local_airflow import ROOT, LocalAirflow
from demo.scenarios import console, run_scenarios

_CONNECTION = "tallyfy_default"
_EXAMPLES = ROOT / "example_dags"


def demonstrate() -> list[str]:
    """Run the scenarios on an Airflow and a sandbox of their own; return what is not as expected."""
    started = time.monotonic()
    with Sandbox(seed=DEFAULT) as sandbox:
        connections = {_CONNECTION: sandbox.connection_json()}
        home = _home("demo")
        console.print(f"Starting the sandbox ({sandbox.url}) and Airflow in {home.relative_to(ROOT)} ...")
        with LocalAirflow(home, _EXAMPLES, connections) as airflow:
            console.print(f"Airflow {airflow.version} is healthy after {time.monotonic() - started:.0f} s.\n")
            problems = run_scenarios(sandbox, airflow)
    if not problems:
        console.print(f"All as expected, {time.monotonic() - started:.0f} s after the start. Everything is stopped.")
    return problems


def serve(port: int, tallyfy_port: int) -> list[str]:
    """
    Keep Airflow and a sandbox running until interrupted; both go on from where they were stopped last.

    :param port: of Airflow.
    :param tallyfy_port: of the sandbox.
    """
    _require_free(port, "--port")
    _require_free(tallyfy_port, "--tallyfy-port")
    home = _home("airflow")
    with Sandbox(seed=DEFAULT, port=tallyfy_port, saved=home / "sandbox.json") as sandbox:
        console.print(f"Starting the sandbox and Airflow in {home.relative_to(ROOT)} ...")
        with LocalAirflow(home, _EXAMPLES, {}, port=port, keep=True) as airflow:
            put_connection(airflow, sandbox)
            console.print(f"""
Airflow    {airflow.url} (no login)
Tallyfy    {sandbox.url} (the sandbox: its runs, and everything that people do with them)

In Airflow the connection {_CONNECTION} leads to the sandbox. Each example DAG says how to try it. Ids for its params:
""")
            for run in sandbox.runs:
                if not run["completed_at"]:
                    archived = ", archived" if run["archived_at"] else ""
                    console.print(f"run           {run['id']}  {run['name']}{archived}", markup=False)
            for template in sandbox.store.templates.values():
                if not template["archived_at"]:
                    console.print(f"template      {template['id']}  {template['title']}", markup=False)
            console.print(f"organization  {sandbox.organization_id}\n")
            console.print("Stop with Ctrl-C. The next start goes on from where this one stops.")
            console.print(f"To begin anew, delete {home.relative_to(ROOT)}.")
            signal.pause()
    return []


def put_connection(airflow: LocalAirflow, sandbox: Sandbox) -> None:
    """
    Store the connection to the sandbox in Airflow's database, where the UI shows it.

    :param airflow: Airflow, healthy.
    :param sandbox: Tallyfy.
    """
    connection = sandbox.connection()
    # With a port, for the Test button of Airflow 3.3.
    extra = json.dumps(connection["extra"])
    body = connection | {"connection_id": _CONNECTION, "port": sandbox.port, "extra": extra}
    stored = airflow.get("/connections", limit=100)["connections"]
    if _CONNECTION in {each["connection_id"] for each in stored}:
        airflow.patch(f"/connections/{_CONNECTION}", body)
    else:
        airflow.post("/connections", body)


def _require_free(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            problem = f"Port {port} cannot be used: {error.strerror}."
            advice = f"Stop what listens there (another `make airflow`?), or choose another with {option}."
            raise AirflowProblem(f"{problem}\n{advice}") from None


def _home(name: str) -> Path:
    """Return a folder for each use and for each Airflow, whose databases differ."""
    return ROOT / ".demo" / f"{name}-{'.'.join(version('apache-airflow').split('.')[:2])}"


def main() -> int:
    """Start everything, run the scenarios or wait, and stop everything."""
    options = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    options.add_argument("--serve", action="store_true", help="keep Airflow and the sandbox running, with their pages")
    options.add_argument("--port", type=int, default=8080, help="of Airflow with --serve (default: %(default)s)")
    options.add_argument("--tallyfy-port", type=int, default=8765, help="of the sandbox (default: %(default)s)")
    arguments = options.parse_args()
    # However it is ended, it ends what it started; a shell's background job would ignore SIGINT otherwise.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        problems = serve(arguments.port, arguments.tallyfy_port) if arguments.serve else demonstrate()
    except (AirflowProblem, SeedError) as failure:
        sys.exit(str(failure))
    for problem in problems:
        console.print(f"NOT AS EXPECTED: {problem}", markup=False)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
