"""
``python -m demo``: three example DAGs on a real Airflow, against the sandbox, from start to end.

With ``--serve`` Airflow keeps running, with its UI, until it is interrupted.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import requests
from rich.console import Console
from rich.table import Table

from airflow_provider_tallyfy.sandbox import Sandbox
from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from demo.airflow_api import AirflowProblem
from demo.local_airflow import ROOT, LocalAirflow

_HOME = ROOT / ".demo" / "airflow"
_PREFIX = "example_tallyfy_"

console = Console(width=120, highlight=False)


@dataclass
class Episode:
    """
    One DAG run of the demonstration, and what it should bring about in Tallyfy.

    :param dag_id: the DAG.
    :param expected: status after it, by name of the run in Tallyfy.
    :param params: its params; ``None`` leaves it to the DAG's schedule to start it.
    :param waits: tasks that should wait in the triggerer.
    :param people: what people do as soon as these tasks were seen to wait.
    """

    dag_id: str
    expected: dict[str, str]
    params: dict[str, object] | None = None
    waits: frozenset[str] = frozenset()
    people: Callable[[], object] = lambda: None
    dag_run_id: str = ""
    deferred: set[str] = field(default_factory=set)


def tell(sandbox: Sandbox, airflow: LocalAirflow) -> list[str]:
    """
    Run the episodes and show what happened.

    :param sandbox: Tallyfy.
    :param airflow: Airflow, healthy.
    :return: what is not as expected.
    """
    before = statuses(sandbox)
    episodes = plan(sandbox)
    airflow.wait_for_dags(episode.dag_id for episode in episodes)
    for episode in episodes:
        if episode.params is None:
            episode.dag_run_id = airflow.wait_for_scheduled_run(episode.dag_id)
        else:
            episode.dag_run_id = airflow.trigger(episode.dag_id, episode.params)
    problems = [problem for episode in episodes for problem in play(episode, airflow)]
    after = statuses(sandbox)
    console.print(task_table(episodes, airflow))
    console.print(run_table(before, after))
    expected = {name: status for episode in episodes for name, status in episode.expected.items()}
    wanted = before | expected
    return problems + [
        f"{name} is {after[name]} instead of {status}" for name, status in wanted.items() if after[name] != status
    ]


def plan(sandbox: Sandbox) -> list[Episode]:
    """Choose the runs. People finish one of them while a task waits for it."""
    ids = {run["name"]: run["id"] for run in sandbox.runs}
    return [
        Episode(
            "example_tallyfy_restore_in_pipeline",
            {"Onboarding - Hooli": "archived, completed"},
            {"run_id": ids["Onboarding - Hooli"]},
            waits=frozenset({"wait_for_people"}),
            people=lambda: sandbox.complete_run(ids["Onboarding - Hooli"]),
        ),
        Episode(
            "example_tallyfy_restore_run",
            {"Vendor review - Fabrikam": "active"},
            {"run_id": ids["Vendor review - Fabrikam"]},
        ),
        Episode(
            "example_tallyfy_nightly_maintenance",
            {"Onboarding - Soylent": "archived, completed", "Vendor review - Northwind": "archived, completed"},
        ),
    ]


def play(episode: Episode, airflow: LocalAirflow) -> list[str]:
    """
    Follow an episode to its end.

    :param episode: already triggered.
    :param airflow: where.
    :return: what is not as expected, with the log of every failed task.
    """

    def watch() -> None:
        tasks = airflow.task_instances(episode.dag_id, episode.dag_run_id)
        deferred = {task["task_id"] for task in tasks if task["state"] == "deferred"}
        is_news = not episode.waits <= episode.deferred
        episode.deferred |= deferred
        if is_news and episode.waits <= episode.deferred:
            episode.people()

    state = airflow.wait_for_dag_run(episode.dag_id, episode.dag_run_id, watch=watch)
    problems = [] if state == "success" else [f"{episode.dag_id} ended as {state}"]
    problems += airflow.failures(episode.dag_id, episode.dag_run_id)
    missed = sorted(episode.waits - episode.deferred)
    return problems + [f"{task_id} did not wait in the triggerer" for task_id in missed]


def statuses(sandbox: Sandbox) -> dict[str, str]:
    """Ask Tallyfy for every run's status, by name."""
    headers = {
        "Authorization": f"Bearer {sandbox.token}",
        "Accept": "application/json",
        "X-Tallyfy-Client": "APIClient",
    }
    response = requests.get(
        f"{sandbox.base_url}/organizations/{sandbox.organization_id}/runs?archived=true&per_page=100&sort=created_at",
        headers=headers,
        timeout=10,
    )
    response.raise_for_status()
    return {run["name"].replace("\ufeff", ""): _status(run) for run in response.json()["data"]}


def _status(run: dict[str, object]) -> str:
    finished = ", completed" if run["completed_at"] and run["status"] == "archived" else ""
    return f"{run['status']}{finished}"


def task_table(episodes: Sequence[Episode], airflow: LocalAirflow) -> Table:
    """Lay out what every task did."""
    table = Table(f"DAG {_PREFIX}...", "task", "state", "waited in the triggerer", "seconds", title="What Airflow did")
    for episode in episodes:
        tasks = airflow.task_instances(episode.dag_id, episode.dag_run_id)
        for task in sorted(tasks, key=lambda task: (task["start_date"] or task["end_date"] or "", task["map_index"])):
            label = f" ({task['rendered_map_index'][:8]}...)" if task["map_index"] >= 0 else ""
            waited = "yes" if task["task_id"] in episode.deferred else ""
            dag = episode.dag_id.removeprefix(_PREFIX)
            table.add_row(dag, f"{task['task_id']}{label}", task["state"], waited, f"{task['duration'] or 0:.1f}")
        table.add_section()
    return table


def run_table(before: dict[str, str], after: dict[str, str]) -> Table:
    """Lay out what became of every run."""
    table = Table("run", "before", "after", title="What Tallyfy says")
    for name, status in before.items():
        changed = after[name] != status
        table.add_row(name, status, f"[bold]{after[name]}[/bold]" if changed else after[name])
    return table


def serve(sandbox: Sandbox, airflow: LocalAirflow) -> None:
    """Say where everything is, and wait to be interrupted."""
    console.print(f"Airflow   {airflow.url} (no login)")
    console.print(f"Tallyfy   {sandbox.url}/_sandbox/state (the sandbox; connection tallyfy_default leads there)")
    for run in sandbox.runs:
        if run["archived_at"] and not run["completed_at"]:
            console.print(f"Restore   run_id {run['id']} ({run['name']}) with example_tallyfy_restore_run")
    console.print("Stop with Ctrl-C.")
    signal.pause()


def main() -> int:
    """Start everything, tell the story or serve, stop everything."""
    options = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    options.add_argument("--serve", action="store_true", help="keep Airflow running, with its UI")
    options.add_argument("--port", type=int, help="of Airflow; by default 8080 with --serve and a free one without")
    arguments = options.parse_args()
    # However it is ended, it ends what it started; a shell's background job would ignore SIGINT otherwise.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    started = time.monotonic()
    port = arguments.port or (8080 if arguments.serve else None)
    with Sandbox(seed=DEFAULT) as sandbox:
        connections = {"tallyfy_default": sandbox.connection_json()}
        console.print(f"Starting the sandbox ({sandbox.url}) and Airflow in {_HOME.relative_to(ROOT)} ...")
        try:
            with LocalAirflow(_HOME, ROOT / "example_dags", connections, port=port) as airflow:
                if arguments.serve:
                    serve(sandbox, airflow)
                    return 0
                console.print(f"Airflow {airflow.version} is healthy after {time.monotonic() - started:.0f} s.\n")
                problems = tell(sandbox, airflow)
        except AirflowProblem as failure:
            problems = [str(failure)]
    for problem in problems:
        console.print(f"NOT AS EXPECTED: {problem}", markup=False)
    if not problems:
        console.print(f"All as expected, {time.monotonic() - started:.0f} s after the start. Everything is stopped.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
