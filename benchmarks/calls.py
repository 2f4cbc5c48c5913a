"""
What the hook adds to a request: the same reads with ``TallyfyHook`` and with a bare ``requests.Session``.

Run ``python -m benchmarks.calls``; it prints Markdown. The server is the sandbox in a process of its own, on loopback.
``--rounds`` sets how often ``--calls`` reads are timed in each way; the two ways take turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable

import requests

from benchmarks.sandbox_process import SandboxProcess


def timed(act: Callable[[], object], calls: int) -> tuple[float, float]:
    """Give the CPU and the wall seconds of some calls."""
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(calls):
        act()
    return time.process_time() - processor, time.perf_counter() - wall


def compare(rounds: int, calls: int) -> None:
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

    with SandboxProcess() as sandbox, TallyfyHook() as hook, requests.Session() as session:
        (run_id,) = sandbox.add_archived_runs(1)
        os.environ["AIRFLOW_CONN_TALLYFY_DEFAULT"] = sandbox.connection
        session.headers.update({"Authorization": f"Bearer {sandbox.token}", "X-Tallyfy-Client": "APIClient"})
        url = f"{sandbox.base_url}/organizations/{sandbox.organization_id}/runs/{run_id}"

        def with_session() -> object:
            response = session.get(url, timeout=30)
            response.raise_for_status()
            return response.json()["data"]

        ways = {"`requests.Session`, bare": with_session, "`TallyfyHook.get_run`": lambda: hook.get_run(run_id)}
        for act in ways.values():
            timed(act, calls // 10 + 1)  # connects
        measured: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, act in ways.items():
                measured[way].append(timed(act, calls))
    medians = {
        way: [statistics.median(values) / calls for values in zip(*rows, strict=True)] for way, rows in measured.items()
    }
    bare = medians["`requests.Session`, bare"]
    print(f"{calls} reads of a run, {rounds} rounds; {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}\n")
    print("| way | CPU ms a call | times bare | ms a call | times bare |\n| --- | ---: | ---: | ---: | ---: |")
    for way, (processor, wall) in medians.items():
        cells = f"{processor * 1000:.2f} | {processor / bare[0]:.2f} | {wall * 1000:.2f} | {wall / bare[1]:.2f}"
        print(f"| {way} | {cells} |")


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--rounds", type=int, default=9, help="how often to time each way (default: %(default)s)")
    command.add_argument("--calls", type=int, default=300, help="reads in each round (default: %(default)s)")
    options = command.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        compare(options.rounds, options.calls)


if __name__ == "__main__":
    main()
