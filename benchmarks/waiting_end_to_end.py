"""
Two hundred waits on a real scheduler and triggerer: ``python -m benchmarks.waiting_end_to_end``.

All runs finish at once when everything waits. The row of ``HttpSensor`` needs ``apache-airflow-providers-http``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.waiting import PAGE, connections, control, process, table_of, write
from demo.local_airflow import LocalAirflow

ROWS = {
    "mapped": "`TallyfyRunStatusSensor`, mapped, without a result",
    "listed": "one `TallyfyRunsStatusSensor`",
    "http": "`HttpSensor(deferrable=True)`, mapped",
}


def measure(airflow: LocalAirflow, name: str, known: dict[str, Any], run_ids: list[str], counter: Path) -> list[str]:
    """Let a DAG wait, finish its runs, and tell what it took."""
    counter.write_text("")
    dag_run, begun = airflow.trigger(name, {"run_ids": run_ids}), time.time()
    waits = 1 if name == "listed" else len(run_ids)
    airflow.wait_for_task_states(
        name, dag_run, lambda tasks: sum(task["state"] == "deferred" for task in tasks) == waits, 600
    )
    waiting, processes = time.time() - begun, _lines(counter)
    for run_id in run_ids:
        control(known, "POST", f"/runs/{run_id}/complete")
    finished = time.time()
    state = airflow.wait_for_dag_run(name, dag_run, 600)
    row = [state, f"{waiting:.0f}", f"{time.time() - finished:.0f}", str(processes), str(_lines(counter) - processes)]
    print(name, row, file=sys.stderr)
    return row


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting_end_to_end", description=__doc__)
    parser.add_argument("--waits", type=int, default=200)
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    options = parser.parse_args()
    names = [name for name in ROWS if name != "http" or find_spec("airflow.providers.http")]
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    counter = folder / "processes"
    server = [sys.executable, "-m", "benchmarks.waiting_server", str(options.waits * len(names)), "100000"]
    with process(server, {}) as sandbox:
        known = json.loads(sandbox.stdout.readline())
        secrets = {
            name.removeprefix("AIRFLOW_CONN_").lower(): value
            for name, value in connections(known).items()
            if name.startswith("AIRFLOW_CONN_")
        }
        settings = {"BENCHMARK_PROCESSES": str(counter)}
        dags = Path(__file__).parent / "dags"
        with LocalAirflow(folder / "home", dags, secrets, settings) as airflow:
            airflow.wait_for_dags(names)
            rows = []
            for number, name in enumerate(names):
                run_ids = known["runs"][number * options.waits :][: options.waits]
                rows.append([ROWS[name], *measure(airflow, name, known, run_ids, counter)])
    columns = ("", "DAG run", "s until all wait", "s from finished to green", "workers to begin", "workers to end")
    text = (
        f"End to end, on a real scheduler (4 at a time) and triggerer: {options.waits} waits whose runs all finish at "
        f"once, a look every 5 s.\n\n{table_of(columns, rows)}\n\n"
        f"Measured with `python -m benchmarks.waiting_end_to_end`.\n"
    )
    print(text)
    if options.write:
        write("Waiting, end to end", text)


if __name__ == "__main__":
    main()
