"""Waits survive killed triggerers, and cost few requests."""

from __future__ import annotations

from collections import Counter

import pytest

from airflow_provider_tallyfy.compat import AIRFLOW_V_3_3_PLUS, TASKS_START_IN_TRIGGERER

WAITS = 40


def states(tasks: list[dict]) -> Counter[str]:
    return Counter(str(task["state"]) for task in tasks if task["task_id"] == "wait")


def test_many_waits_survive_a_triggerer_that_is_killed_while_their_runs_finish(system):
    airflow, tallyfy = system.airflow, system.tallyfy
    run_ids = tallyfy.add_runs(WAITS)
    airflow.wait_for_dags(["system_many_waits"])
    dag_run = airflow.trigger("system_many_waits", {"run_ids": run_ids})
    airflow.wait_for_task_states("system_many_waits", dag_run, lambda tasks: states(tasks)["deferred"] == WAITS)
    for run_id in run_ids[: WAITS // 2]:
        tallyfy.complete_run(run_id)
    airflow.kill_component("triggerer")
    for run_id in run_ids[WAITS // 2 :]:
        tallyfy.complete_run(run_id)
    airflow.start_component("triggerer")
    assert airflow.wait_for_dag_run("system_many_waits", dag_run) == "success"
    tasks = [task for task in airflow.task_instances("system_many_waits", dag_run) if task["task_id"] == "wait"]
    assert states(tasks) == {"success": WAITS}
    results = [airflow.xcom("system_many_waits", dag_run, "wait", map_index=index) for index in range(WAITS)]
    assert [result["id"] for result in results] == run_ids
    assert {result["status"] for result in results} == {"complete"}


def test_one_task_waits_for_a_list_of_runs_through_a_killed_triggerer(system):
    airflow, tallyfy = system.airflow, system.tallyfy
    run_ids = tallyfy.add_runs(WAITS)
    airflow.wait_for_dags(["system_wait_for_list"])
    dag_run = airflow.trigger("system_wait_for_list", {"run_ids": run_ids})
    airflow.wait_for_task_states("system_wait_for_list", dag_run, lambda tasks: states(tasks)["deferred"] == 1)
    airflow.kill_component("triggerer")
    for run_id in run_ids:
        tallyfy.complete_run(run_id)
    airflow.start_component("triggerer")
    assert airflow.wait_for_dag_run("system_wait_for_list", dag_run) == "success"
    result = airflow.xcom("system_wait_for_list", dag_run, "wait")
    assert [(run["id"], run["outcome"]) for run in result] == [(run_id, "reached") for run_id in run_ids]


@pytest.mark.skipif(not TASKS_START_IN_TRIGGERER, reason="Airflow >= 3.3 starts tasks in the triggerer")
def test_a_wait_that_begins_without_a_worker_links_to_its_run(system):
    airflow, tallyfy = system.airflow, system.tallyfy
    run = tallyfy.add_run()
    airflow.wait_for_dags(["system_wait_without_worker"])
    dag_run = airflow.trigger("system_wait_without_worker", {"run_id": run["id"]})
    dag_id = "system_wait_without_worker"
    tasks = airflow.wait_for_task_states(dag_id, dag_run, lambda found: {t["state"] for t in found} == {"deferred"})
    assert {task["pid"] for task in tasks} == {None}, "no worker process began them"
    tallyfy.complete_run(run["id"])
    assert airflow.wait_for_dag_run(dag_id, dag_run) == "success"
    assert airflow.xcom(dag_id, dag_run, "wait")["status"] == "complete"
    assert airflow.links(dag_id, dag_run, "wait") == {"Open run in Tallyfy": tallyfy.run_url(run["id"])}
    [to_the_end] = [task for task in airflow.task_instances(dag_id, dag_run) if task["task_id"] == "wait_to_the_end"]
    assert (to_the_end["state"], to_the_end["pid"]) == ("success", None)


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="older Airflow keeps no state of assets")
def test_a_dag_starts_when_a_run_is_completed_once_whatever_happens_to_the_triggerer(system):
    airflow, tallyfy = system.airflow, system.tallyfy
    first, second = tallyfy.add_runs(2)
    dag_id = "system_on_completion"

    def wait_for_looks(count: int) -> None:
        begun = len(tallyfy.requests)
        airflow.wait_for("some more looks are over", lambda: len(tallyfy.requests) >= begun + 2 * count)

    def heard() -> list[str]:
        runs = airflow.get(f"/dags/{dag_id}/dagRuns")["dag_runs"]
        done = [run["dag_run_id"] for run in runs if run["state"] == "success"]
        payloads = [payload for run_id in done for payload in airflow.xcom(dag_id, run_id, "heard")]
        return [payload["run"]["id"] for payload in payloads]

    airflow.wait_for_dags([dag_id])
    try:
        airflow.wait_for("the list of runs is read", lambda: len(tallyfy.requests) >= 2)
        tallyfy.complete_run(first)
        airflow.wait_for("the first completion has started the DAG", lambda: heard() == [first])
        wait_for_looks(4)  # two seconds each: the state is saved five seconds after an event
        airflow.kill_component("triggerer")
        tallyfy.complete_run(second)
        airflow.start_component("triggerer")
        airflow.wait_for("the second completion has, too", lambda: len(heard()) >= 2)
        wait_for_looks(2)
        assert sorted(heard()) == sorted([first, second])
    finally:
        airflow.patch(f"/dags/{dag_id}", {"is_paused": True})
