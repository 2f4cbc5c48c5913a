"""
Restore 1,000 archived runs against a Tallyfy that takes 50 ms for each request, in several ways.

Run ``python -m benchmarks.bulk`` in an environment with this package and ``apache-airflow-providers-http``; it prints
Markdown. ``--runs`` sets how often each way is measured, ``--only`` picks some of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from benchmarks.sandbox_process import SandboxProcess

RUNS = 1000
LATENCY = 0.05
SAMPLE = 50
ALLOWED = 10  # requests per second, with 429 and Retry-After for more
DAGS = Path(__file__).parent / "bulk_dags"


@dataclass
class Row:
    """One way to do it, measured several times."""

    name: str
    concurrency: int
    requests: int = 0
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def limit(self) -> float:
        return self.requests * LATENCY / self.concurrency

    def cells(self) -> list[str]:
        least, median = min(self.seconds), statistics.median(self.seconds)
        processor = f"{statistics.median(self.processor):.1f}" if self.processor else ""
        ratio = f"{least / self.limit:.2f} / {median / self.limit:.2f}"
        return [self.name, str(self.requests), f"{least:.1f} / {median:.1f}", processor, ratio, self.note]


def print_table(head: list[str], rows: list[list[str]]) -> None:
    for cells in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(cells)} |", flush=True)
    print()


@contextmanager
def tallyfy(count: int, latency: float = LATENCY, limit: tuple[int, float] | None = None) -> Iterator[Any]:
    """Start a Tallyfy with archived runs, and see at the end that all were restored."""
    with SandboxProcess() as sandbox:
        ids = sandbox.add_archived_runs(count)
        sandbox.control("PUT", "/settings", {"latency": latency, "rate_limit": limit})
        yield sandbox, ids
        left = [run for run in sandbox.control("GET", "/state")["runs"] if run["archived_at"]]
        assert not left, f"{len(left)} runs are still archived"


# -- the bulk operator, in a process of its own --


def restore_here(ids_path: str, concurrency: int, trace: bool) -> None:
    """Restore the runs with the operator and print what it took; this is what the child process does."""
    import resource
    import tracemalloc

    import httpx  # noqa: F401 - a worker of Airflow has loaded it before the task begins

    from airflow_provider_tallyfy.operators.bulk import TallyfyActivateRunsOperator

    class TaskInstance:
        dag_id, task_id, run_id, map_index, try_number = "benchmark", "restore", "manual", -1, 1

        def xcom_push(self, key: str, value: Any) -> None:
            pass

    ids = json.loads(Path(ids_path).read_text())
    operator = TallyfyActivateRunsOperator(
        task_id="restore", run_ids=ids, max_concurrency=concurrency, report_path=f"{ids_path}.report"
    )
    if trace:
        tracemalloc.start()
    wall, processor = time.perf_counter(), time.process_time()
    counts = operator.execute({"ti": TaskInstance()})["counts"]  # type: ignore[typeddict-item]
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - wall,
                "processor": time.process_time() - processor,
                "peak": tracemalloc.get_traced_memory()[1] if trace else None,
                "resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "counts": counts,
            }
        )
    )


def restore_in_child(sandbox: SandboxProcess, ids: list[str], concurrency: int, trace: bool = False) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ids.json"
        path.write_text(json.dumps(ids))
        environment = {
            **os.environ,
            "AIRFLOW_HOME": folder,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
            "AIRFLOW_CONN_TALLYFY_DEFAULT": sandbox.connection,
            "PYTHONDONTWRITEBYTECODE": "",  # modules are compiled once, as after an installation with pip
        }
        child = [sys.executable, "-W", "ignore", "-m", "benchmarks.bulk", "--child", str(path), str(concurrency)]
        done = subprocess.run(
            [*child, *(["--trace"] if trace else [])], env=environment, capture_output=True, text=True, check=True
        )
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert measured["counts"]["changed"] == len(ids), measured
    return measured


def bulk_operator(concurrency: int, runs: int) -> Row:
    row = Row(f"`TallyfyActivateRunsOperator`, `max_concurrency={concurrency}`", concurrency)
    for _ in range(runs):
        with tallyfy(RUNS) as (sandbox, ids):
            measured = restore_in_child(sandbox, ids, concurrency)
            row.requests = sandbox.count_requests()
        row.seconds.append(measured["seconds"])
        row.processor.append(measured["processor"])
        print(row.name, measured, file=sys.stderr)
    return row


def sequential(runs: int) -> Row:
    row = Row("`requests` in a loop, one session", 1, requests=RUNS)
    for _ in range(runs):
        with tallyfy(RUNS) as (sandbox, ids), requests.Session() as session:
            session.headers.update({"Authorization": f"Bearer {sandbox.token}", "X-Tallyfy-Client": "APIClient"})
            began, processor = time.perf_counter(), time.process_time()
            for run_id in ids:
                url = f"{sandbox.base_url}/organizations/{sandbox.organization_id}/runs/{run_id}/activate"
                session.put(url, timeout=30).raise_for_status()
            row.seconds.append(time.perf_counter() - began)
            row.processor.append(time.process_time() - processor)
    return row


# -- under a real Airflow --


def under_airflow(runs: int) -> list[Row]:
    from demo.local_airflow import LocalAirflow

    ours = Row(
        "`TallyfyActivateRunsOperator`, a task of a real Airflow", 8, note="whole DAG run, worker start included"
    )
    mapped = Row(
        f"`HttpOperator.partial().expand()`, the same Airflow, {SAMPLE} mapped tasks",
        4,
        requests=SAMPLE,
        note="whole DAG run; parallelism 4",
    )
    with tempfile.TemporaryDirectory() as folder, SandboxProcess() as sandbox:
        sandbox.control("PUT", "/settings", {"latency": LATENCY})
        connections = {"tallyfy_default": sandbox.connection, "benchmark_http": http_connection(sandbox)}
        with LocalAirflow(Path(folder) / "home", DAGS, connections) as airflow:
            airflow.wait_for_dags(["benchmark_bulk_operator", "benchmark_mapped_http"])
            for _ in range(runs):
                ids = sandbox.add_archived_runs(RUNS)
                ours.seconds.append(dag_run_seconds(airflow, "benchmark_bulk_operator", ids))
                ours.requests = sandbox.count_requests()
                ids = sandbox.add_archived_runs(SAMPLE)
                mapped.seconds.append(dag_run_seconds(airflow, "benchmark_mapped_http", ids))
    scaled = Row(f"the same, scaled to {RUNS} mapped tasks (not measured)", 4, requests=RUNS)
    scaled.seconds = [seconds * RUNS / SAMPLE for seconds in mapped.seconds]
    return [ours, mapped, scaled]


def http_connection(sandbox: SandboxProcess) -> str:
    headers = {"Authorization": f"Bearer {sandbox.token}", "X-Tallyfy-Client": "APIClient"}
    host = f"{sandbox.base_url}/organizations/{sandbox.organization_id}"
    return json.dumps({"conn_type": "http", "host": host, "extra": headers})


def dag_run_seconds(airflow: Any, dag_id: str, ids: list[str]) -> float:
    from datetime import datetime
    from urllib.parse import quote

    run_id = airflow.trigger(dag_id, {"run_ids": ids})
    state = airflow.wait_for_dag_run(dag_id, run_id, seconds=600)
    assert state == "success", airflow.task_log(dag_id, run_id, "restore")
    run = airflow.get(f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")
    begin, end = (datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
    return (end - begin).total_seconds()


# -- tables --


def speed(runs: int) -> None:
    rows = [bulk_operator(8, runs), bulk_operator(32, runs), sequential(runs), *under_airflow(runs)]
    head = ["way", "requests", "seconds (least / median)", "CPU s of the client", "times the limit", "note"]
    print_table(head, [row.cells() for row in rows])
    ours = min(rows[0].seconds)
    for row in (rows[2], rows[-1]):
        print(f"- {row.name}: {min(row.seconds) / ours:.1f} times the {ours:.1f} s of {rows[0].name}")
    print()


def memory(runs: int) -> None:
    rows = []
    for count in (1000, 10_000):
        with tallyfy(count, latency=0.0) as (sandbox, ids):
            measured = restore_in_child(sandbox, ids, 8, trace=True)
        own = len(json.dumps(ids)) / 1e6
        rows.append([f"{count:,}", f"{measured['peak'] / 1e6:.1f}", f"{own:.1f}", f"{measured['resident'] / 1e6:.0f}"])
    print_table(["runs", "peak of Python objects, MB", "the ids alone as JSON, MB", "resident, MB"], rows)


def limited(runs: int) -> None:
    rows = []
    for _ in range(runs):
        with tallyfy(RUNS, limit=(ALLOWED, 1.0)) as (sandbox, ids):
            measured = restore_in_child(sandbox, ids, 8)
            sent = sandbox.count_requests()
        passed = RUNS + RUNS // 100
        rate = passed / measured["seconds"]
        failed = str(measured["counts"]["failed"] + measured["counts"]["unknown"])
        rows.append([f"{measured['seconds']:.1f}", f"{rate:.2f}", f"{rate / ALLOWED:.0%}", str(sent - passed), failed])
    print_table(["seconds", "requests/s let pass", "of what is allowed", "requests declined (429)", "failures"], rows)


TABLES: dict[str, tuple[str, Callable[[int], None]]] = {
    "speed": (f"{RUNS} archived runs, {LATENCY * 1000:.0f} ms for each request", speed),
    "memory": ("Memory against the number of runs", memory),
    "limited": (f"{RUNS} archived runs, {ALLOWED} requests/s allowed, 429 with Retry-After for more", limited),
}


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--runs", type=int, default=3, help="how often to measure each way (default: %(default)s)")
    command.add_argument("--only", choices=TABLES, nargs="*", default=list(TABLES))
    command.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    command.add_argument("--trace", action="store_true", help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.child:
        restore_here(options.child[0], int(options.child[1]), options.trace)
        return
    for name in options.only:
        title, table = TABLES[name]
        print(f"### {title}\n\n{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}\n")
        table(options.runs)


if __name__ == "__main__":
    main()
