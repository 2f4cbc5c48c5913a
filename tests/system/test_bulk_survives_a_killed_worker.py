"""A bulk job whose worker is killed in the middle, under a real scheduler: every item is done exactly once."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter

import pytest

from airflow_provider_tallyfy.compat import AIRFLOW_V_3_3_PLUS


def running_task(airflow, dag_id: str, dag_run: str, task_id: str) -> dict:
    [task] = [task for task in airflow.task_instances(dag_id, dag_run) if task["task_id"] == task_id]
    assert task["state"] == "running"
    return task


def kill_worker(airflow, dag_id: str, dag_run: str, task_id: str) -> None:
    """Kill the worker process of a running task, as the kernel does when memory runs out."""
    os.kill(running_task(airflow, dag_id, dag_run, task_id)["pid"], signal.SIGKILL)


def done_to_runs(tallyfy) -> Counter[tuple[str, str]]:
    rows = (row for row in tallyfy.store.activity if row["type"] == "Process")
    return Counter((row["run_id"], row["verb"]) for row in rows if row["verb"] != "created")


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="older Airflow does not keep what a killed try was about to change")
def test_every_run_is_archived_once_and_the_undo_restores_exactly_those(system):
    airflow, tallyfy = system.airflow, system.tallyfy
    live = tallyfy.add_runs(60, name="Onboarding")
    before = tallyfy.add_runs(5, name="Onboarding", archived=True)
    begun = done_to_runs(tallyfy)
    hang = tallyfy.faults.add("hang", method="DELETE", after=20, times=None, applied=True)
    airflow.wait_for_dags(["system_bulk_archive"])
    dag_run = airflow.trigger("system_bulk_archive")
    airflow.wait_for("all requests at a time hang", lambda: hang.hits == 8)
    kill_worker(airflow, "system_bulk_archive", dag_run, "archive")
    tallyfy.faults.clear()
    assert airflow.wait_for_dag_run("system_bulk_archive", dag_run) == "success"
    tries = {task["task_id"]: task["try_number"] for task in airflow.task_instances("system_bulk_archive", dag_run)}
    assert tries == {"archive": 2, "undo": 1}
    assert sorted(airflow.xcom("system_bulk_archive", dag_run, "archive", key="changed")) == sorted(live)
    once = {(run_id, verb): 1 for run_id in live for verb in ("archived", "unarchived")}
    assert done_to_runs(tallyfy) - begun == once
    assert {run["id"] for run in tallyfy.runs if run["archived_at"]} == set(before)
    deletes = Counter(request.path for request in tallyfy.requests if request.method == "DELETE")
    assert set(deletes.values()) == {1}, "nothing was even sent twice"


@pytest.mark.parametrize("applied", [True, False])
def test_every_row_is_launched_once(system, applied):
    airflow, tallyfy = system.airflow, system.tallyfy
    kickoff = [{"label": "Company", "field_type": "text"}]
    template = tallyfy.add_template("Onboarding", kickoff=kickoff)
    rows = [{"Company": f"Company {number}", "name": f"Run {number}"} for number in range(30)]
    hang = tallyfy.faults.add("hang", method="POST", path="/runs$", after=10, times=None, applied=applied)
    airflow.wait_for_dags(["system_bulk_launch"])
    dag_run = airflow.trigger("system_bulk_launch", {"template_id": template["id"], "rows": rows})
    airflow.wait_for("all requests at a time hang", lambda: hang.hits == 8)
    kill_worker(airflow, "system_bulk_launch", dag_run, "launch")
    tallyfy.faults.clear()
    assert airflow.wait_for_dag_run("system_bulk_launch", dag_run) == "success"
    [task] = airflow.task_instances("system_bulk_launch", dag_run)
    assert task["try_number"] == 2
    assert Counter(run["name"] for run in tallyfy.runs) == {row["name"]: 1 for row in rows}
    if AIRFLOW_V_3_3_PLUS:
        changed = airflow.xcom("system_bulk_launch", dag_run, "launch", key="changed")
        assert set(changed) == {run["id"] for run in tallyfy.runs}


def test_a_task_that_is_marked_failed_stops_and_writes_its_report(system, tmp_path):
    airflow, tallyfy = system.airflow, system.tallyfy
    tallyfy.add_runs(60, name="Onboarding")
    path = tmp_path / "report.jsonl"
    hang = tallyfy.faults.add("hang", method="DELETE", after=20, times=None, applied=True)
    airflow.wait_for_dags(["system_bulk_archive"])
    dag_run = airflow.trigger("system_bulk_archive", {"report": str(path)})
    airflow.wait_for("all requests at a time hang", lambda: hang.hits == 8)
    pid = running_task(airflow, "system_bulk_archive", dag_run, "archive")["pid"]
    task_path = f"/dags/system_bulk_archive/dagRuns/{dag_run}/taskInstances/archive"
    airflow.patch(task_path, {"new_state": "failed"})
    airflow.wait_for("the worker has ended", lambda: not os.path.exists(f"/proc/{pid}"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert Counter(line["state"] for line in lines) == {"changed": 20, "unknown": 8, "skipped": 32}
    assert sum(request.method == "DELETE" for request in tallyfy.requests) == 28
