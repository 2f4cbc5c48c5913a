"""Bulk jobs on a worker that is killed in the middle: everything is done, and done once."""

from __future__ import annotations

import os
import signal
from collections import Counter

import pytest

RUNS = 1000
ROWS = 200


def kill(cluster, victim: str, dag_id: str, dag_run: str) -> None:
    """Kill what runs the only running task of a DAG run, or the triggerers, which should not matter to it."""
    airflow = cluster.airflow
    [task] = [task for task in airflow.task_instances(dag_id, dag_run) if task["state"] == "running"]
    if victim == "task":
        os.kill(task["pid"], signal.SIGKILL)
        return
    for name in [task["unixname"]] if victim == "worker" else ["triggerer-1", "triggerer-2"]:
        airflow.kill_component(name)
        airflow.start_component(name)


def done_to_runs(tallyfy) -> Counter[tuple[str, str]]:
    rows = (row for row in tallyfy.store.activity if row["type"] == "Process")
    return Counter((row["run_id"], row["verb"]) for row in rows if row["verb"] != "created")


@pytest.mark.parametrize(("victim", "tries"), [("task", 2), ("worker", 2), ("triggerer", 1)])
def test_every_run_is_archived_once_and_the_undo_restores_exactly_those(cluster, victim, tries):
    airflow, tallyfy = cluster.airflow, cluster.tallyfy
    live = tallyfy.add_runs(RUNS, name="Onboarding")
    before = tallyfy.add_runs(5, name="Onboarding", archived=True)
    begun = done_to_runs(tallyfy)
    hang = tallyfy.faults.add("hang", method="DELETE", after=RUNS // 3, times=None, applied=True)
    airflow.wait_for_dags(["system_bulk_archive"])
    dag_run = airflow.trigger("system_bulk_archive")
    airflow.wait_for("all requests at a time hang", lambda: hang.hits == 8)
    kill(cluster, victim, "system_bulk_archive", dag_run)
    tallyfy.faults.clear()
    assert airflow.wait_for_dag_run("system_bulk_archive", dag_run) == "success"
    tasks = {task["task_id"]: task["try_number"] for task in airflow.task_instances("system_bulk_archive", dag_run)}
    assert tasks == {"archive": tries, "undo": 1}
    assert sorted(airflow.xcom("system_bulk_archive", dag_run, "archive", key="changed")) == sorted(live)
    once = {(run_id, verb): 1 for run_id in live for verb in ("archived", "unarchived")}
    assert done_to_runs(tallyfy) - begun == once
    assert {run["id"] for run in tallyfy.runs if run["archived_at"]} == set(before)
    deletes = Counter(request.path for request in tallyfy.requests if request.method == "DELETE")
    assert set(deletes.values()) == {1}, "nothing was even sent twice"


@pytest.mark.parametrize(("victim", "tries"), [("task", 2), ("worker", 2), ("triggerer", 1)])
def test_every_row_is_launched_once(cluster, victim, tries):
    airflow, tallyfy = cluster.airflow, cluster.tallyfy
    template = tallyfy.add_template("Onboarding", kickoff=[{"label": "Company", "field_type": "text"}])
    rows = [{"Company": f"Company {number}", "name": f"Run {number}"} for number in range(ROWS)]
    hang = tallyfy.faults.add("hang", method="POST", path="/runs$", after=ROWS // 4, times=None, applied=True)
    airflow.wait_for_dags(["system_bulk_launch"])
    dag_run = airflow.trigger("system_bulk_launch", {"template_id": template["id"], "rows": rows})
    airflow.wait_for("all requests at a time hang", lambda: hang.hits == 8)
    kill(cluster, victim, "system_bulk_launch", dag_run)
    tallyfy.faults.clear()
    assert airflow.wait_for_dag_run("system_bulk_launch", dag_run) == "success"
    [task] = airflow.task_instances("system_bulk_launch", dag_run)
    assert task["try_number"] == tries
    assert Counter(run["name"] for run in tallyfy.runs) == {row["name"]: 1 for row in rows}
    changed = airflow.xcom("system_bulk_launch", dag_run, "launch", key="changed")
    assert sorted(changed) == sorted(run["id"] for run in tallyfy.runs)
