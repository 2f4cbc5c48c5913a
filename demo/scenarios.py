"""Three example DAGs on a real Airflow, and what each should bring about in Tallyfy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import requests
from rich.console import Console
from rich.table import Table

from airflow_provider_tallyfy.sandbox import Sandbox
from demo.local_airflow import LocalAirflow

_PREFIX = "example_tallyfy_"

console = Console(width=120, highlight=False)


class Expected(NamedTuple):
    """The status of a run after the scenarios, and why."""

    status: str
    reason: str


@dataclass
class Scenario:
    """
    One DAG run, and what it should bring about in Tallyfy.

    :param dag_id: the DAG.
    :param expected: what should become of runs, by their name.
    :param params: of the DAG run; ``None`` if the DAG's schedule starts it.
    :param expected_to_wait: tasks that should wait in the triggerer.
    :param person: what a person does in Tallyfy once these tasks wait.
    :param dag_run_id: the DAG run, once it has started.
    :param deferred: tasks that were seen waiting in the triggerer.
    """

    dag_id: str
    expected: dict[str, Expected]
    params: dict[str, object] | None = None
    expected_to_wait: frozenset[str] = frozenset()
    person: Callable[[], object] = lambda: None
    dag_run_id: str = ""
    deferred: set[str] = field(default_factory=set)


def choose_scenarios(sandbox: Sandbox) -> list[Scenario]:
    """Choose DAGs and runs. A person completes one of the runs while a task waits for it."""
    ids = {run["name"]: run["id"] for run in sandbox.runs}
    return [
        Scenario(
            "example_tallyfy_restore_in_pipeline",
            {"Onboarding - Hooli": Expected("archived, completed", "restored, completed by a person, archived")},
            {"run_id": ids["Onboarding - Hooli"]},
            expected_to_wait=frozenset({"wait_for_people"}),
            person=lambda: sandbox.complete_run(ids["Onboarding - Hooli"]),
        ),
        Scenario(
            "example_tallyfy_restore_run",
            {"Vendor review - Fabrikam": Expected("active", "restored")},
            {"run_id": ids["Vendor review - Fabrikam"]},
        ),
        Scenario(
            "example_tallyfy_nightly_maintenance",
            {
                "Onboarding - Soylent": Expected("archived, completed", "completed more than 90 days ago"),
                "Vendor review - Northwind": Expected("archived, completed", "completed more than 90 days ago"),
                "Onboarding - Umbrella": Expected("complete", "completed 2 days ago, so it stays"),
            },
        ),
    ]


def run_scenarios(sandbox: Sandbox, airflow: LocalAirflow) -> list[str]:
    """
    Run the scenarios, print what happened, and return what is not as expected.

    :param sandbox: Tallyfy.
    :param airflow: Airflow, healthy.
    """
    before = run_statuses(sandbox)
    scenarios = choose_scenarios(sandbox)
    airflow.wait_for_dags(scenario.dag_id for scenario in scenarios)
    for scenario in scenarios:
        if scenario.params is None:
            scenario.dag_run_id = airflow.wait_for_scheduled_run(scenario.dag_id)
        else:
            scenario.dag_run_id = airflow.trigger(scenario.dag_id, scenario.params)
    problems = [problem for scenario in scenarios for problem in _wait_for_end(scenario, airflow)]
    after = run_statuses(sandbox)
    expected = {name: each for scenario in scenarios for name, each in scenario.expected.items()}
    console.print(_task_table(scenarios, airflow))
    console.print(_run_table(before, after, expected))
    for name, status in before.items():
        should_be = expected[name].status if name in expected else status
        if after[name] != should_be:
            problems.append(f"{name} is {after[name]} instead of {should_be}")
    return problems


def _wait_for_end(scenario: Scenario, airflow: LocalAirflow) -> list[str]:
    """Wait until a DAG run has ended; return what is not as expected, with the log of every failed task."""

    def look() -> None:
        tasks = airflow.task_instances(scenario.dag_id, scenario.dag_run_id)
        waited = scenario.expected_to_wait <= scenario.deferred
        scenario.deferred |= {task["task_id"] for task in tasks if task["state"] == "deferred"}
        if not waited and scenario.expected_to_wait <= scenario.deferred:
            scenario.person()

    state = airflow.wait_for_dag_run(scenario.dag_id, scenario.dag_run_id, watch=look)
    problems = [] if state == "success" else [f"{scenario.dag_id} ended as {state}"]
    problems += airflow.failures(scenario.dag_id, scenario.dag_run_id)
    not_seen = sorted(scenario.expected_to_wait - scenario.deferred)
    return problems + [f"{task_id} did not wait in the triggerer" for task_id in not_seen]


def run_statuses(sandbox: Sandbox) -> dict[str, str]:
    """Ask Tallyfy for the status of every run, by name."""
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
    completed = ", completed" if run["completed_at"] and run["status"] == "archived" else ""
    return f"{run['status']}{completed}"


def _task_table(scenarios: Sequence[Scenario], airflow: LocalAirflow) -> Table:
    table = Table(f"DAG {_PREFIX}...", "task", "state", "waited in the triggerer", "seconds", title="What Airflow did")
    for scenario in scenarios:
        tasks = airflow.task_instances(scenario.dag_id, scenario.dag_run_id)
        for task in sorted(tasks, key=lambda task: (task["start_date"] or task["end_date"] or "", task["map_index"])):
            label = f" ({task['rendered_map_index'][:8]}...)" if task["map_index"] >= 0 else ""
            waited = "yes" if task["task_id"] in scenario.deferred else ""
            dag = scenario.dag_id.removeprefix(_PREFIX)
            table.add_row(dag, f"{task['task_id']}{label}", task["state"], waited, f"{task['duration'] or 0:.1f}")
        table.add_section()
    return table


def _run_table(before: dict[str, str], after: dict[str, str], expected: dict[str, Expected]) -> Table:
    table = Table("run", "before", "after", "why", title="What Tallyfy says")
    for name, status in before.items():
        now = after[name] if after[name] == status else f"[bold]{after[name]}[/bold]"
        table.add_row(name, status, now, expected[name].reason if name in expected else "")
    return table
