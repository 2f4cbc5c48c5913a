"""Whatever is killed, and whenever, people are asked once, and their decision counts."""

from __future__ import annotations

import pytest

from tests.system.test_killed_workers import kill_the_only_running_task, writes

DAG_ID = "system_approval"


def ask(system) -> str:
    system.airflow.wait_for_dags([DAG_ID])
    return system.airflow.trigger(DAG_ID, {"user": system.tallyfy.user["id"]})


def decide(tallyfy, *, approved: bool) -> None:
    [run] = tallyfy.runs
    tallyfy.complete_task(run["id"], "Go on?", approved)


@pytest.mark.parametrize("applied", [True, False])
def test_a_worker_killed_while_it_asks_leaves_one_question(system, applied):
    airflow, tallyfy = system.airflow, system.tallyfy
    hang = tallyfy.faults.add("hang", method="POST", path="/tasks", applied=applied)
    dag_run = ask(system)
    airflow.wait_for("the question was sent", lambda: hang.hits == 1)
    airflow.wait_for_task_states(DAG_ID, dag_run, lambda tasks: tasks[0]["state"] == "running")
    kill_the_only_running_task(airflow, DAG_ID, dag_run)
    airflow.wait_for_task_states(DAG_ID, dag_run, lambda tasks: tasks[0]["state"] == "deferred")
    decide(tallyfy, approved=True)
    assert airflow.wait_for_dag_run(DAG_ID, dag_run) == "success"
    [task] = airflow.task_instances(DAG_ID, dag_run)
    result = airflow.xcom(DAG_ID, dag_run, "ask")
    assert (task["try_number"], result["approved"], result["run_id"]) == (2, True, tallyfy.runs[0]["id"])
    assert len(tallyfy.runs) == 1
    assert writes(tallyfy, "POST") == (1 if applied else 2)


def test_a_killed_triggerer_and_a_clear_ask_nobody_again(system):
    airflow, tallyfy = system.airflow, system.tallyfy
    dag_run = ask(system)
    airflow.wait_for_task_states(DAG_ID, dag_run, lambda tasks: tasks[0]["state"] == "deferred")
    airflow.kill_component("triggerer")
    decide(tallyfy, approved=False)
    airflow.start_component("triggerer")
    assert airflow.wait_for_dag_run(DAG_ID, dag_run) == "success"
    first = airflow.xcom(DAG_ID, dag_run, "ask")
    airflow.clear(DAG_ID, dag_run, "ask")
    airflow.wait_for_task_states(DAG_ID, dag_run, lambda tasks: tasks[0]["try_number"] > 1)
    assert airflow.wait_for_dag_run(DAG_ID, dag_run) == "success"
    assert airflow.xcom(DAG_ID, dag_run, "ask") == first
    assert (first["approved"], len(tallyfy.runs), writes(tallyfy, "POST")) == (False, 1, 1)
