"""What a scheduler, workers and a triggerer make of operators and sensors."""

from __future__ import annotations

from typing import Any


def by_task(tasks: list[dict[str, Any]]) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in tasks}


def test_mapped_tasks_restore_and_wait_each_with_a_name_and_a_link_of_its_own(system):
    airflow, tallyfy = system.airflow, system.tallyfy
    run_ids = tallyfy.add_runs(3, archived=True)
    airflow.wait_for_dags(["system_restore_many"])
    dag_run = airflow.trigger("system_restore_many", {"run_ids": run_ids})
    assert airflow.wait_for_dag_run("system_restore_many", dag_run) == "success"
    assert not any(run["archived_at"] for run in tallyfy.runs)
    mapped = [task for task in airflow.task_instances("system_restore_many", dag_run) if task["map_index"] >= 0]
    assert sorted((task["task_id"], task["rendered_map_index"]) for task in mapped) == sorted(
        (task_id, run_id) for task_id in ("restore", "wait") for run_id in run_ids
    )
    for task in mapped:
        links = airflow.links("system_restore_many", dag_run, task["task_id"], task["map_index"])
        assert links == {"Open run in Tallyfy": tallyfy.run_url(task["rendered_map_index"])}


def worker_starts(log: str) -> int:
    """Count what Airflow says once a worker has read the DAG; before 3.2 it says it in other words."""
    return log.count("Worker startup parse complete") or log.count("Filling up the DagBag from")


def test_every_mode_of_waiting_sees_people_finish_and_gives_the_same_result(system):
    airflow, tallyfy = system.airflow, system.tallyfy
    run = tallyfy.add_run(name="Onboarding")
    airflow.wait_for_dags(["system_wait"])
    dag_run = airflow.trigger("system_wait", {"run_id": run["id"]})

    def all_wait(tasks: list[dict[str, Any]]) -> bool:
        states = by_task(tasks)
        return (
            states["reschedule"] == "up_for_reschedule"
            and states["poke"] == "running"
            and (states["deferred"] == states["deferred_to_the_end"] == "deferred")
        )

    airflow.wait_for_task_states("system_wait", dag_run, all_wait)
    link = {"Open run in Tallyfy": tallyfy.run_url(run["id"])}
    assert airflow.links("system_wait", dag_run, "deferred") == link
    tallyfy.complete_run(run["id"])
    airflow.wait_for_dag_run("system_wait", dag_run)
    assert by_task(airflow.task_instances("system_wait", dag_run)) == {
        "poke": "success",
        "reschedule": "success",
        "deferred": "success",
        "deferred_to_the_end": "success",
        "timed_out": "failed",
        "timed_out_softly": "skipped",
    }, airflow.failures("system_wait", dag_run)
    results = [airflow.xcom("system_wait", dag_run, task_id) for task_id in ("poke", "reschedule", "deferred")]
    assert results[0] == results[1] == results[2]
    assert (results[0]["id"], results[0]["status"]) == (run["id"], "complete")
    assert airflow.links("system_wait", dag_run, "timed_out") == link
    resumed = airflow.task_log("system_wait", dag_run, "deferred")
    ended_by_the_trigger = airflow.task_log("system_wait", dag_run, "deferred_to_the_end")
    assert "The callback was told of deferred." in resumed
    assert worker_starts(resumed) == 2
    assert worker_starts(ended_by_the_trigger) == 1


def test_a_missing_run_fails_at_once_without_task_retries_and_says_why(system):
    airflow = system.airflow
    airflow.wait_for_dags(["system_archive"])
    dag_run = airflow.trigger("system_archive", {"run_id": "0" * 32})
    assert airflow.wait_for_dag_run("system_archive", dag_run) == "failed"
    [task] = airflow.task_instances("system_archive", dag_run)
    assert (task["state"], task["try_number"]) == ("failed", 1)
    log = airflow.task_log("system_archive", dag_run, "archive")
    assert "TallyfyNotFoundError: Could not read run" in log
    assert system.tallyfy.token not in log
