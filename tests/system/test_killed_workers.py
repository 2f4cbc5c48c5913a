"""Whatever is killed, and whenever, everything is done exactly once."""

from __future__ import annotations

import os
import signal

import pytest


def runs_named(tallyfy, name: str) -> list[str]:
    return [run["id"] for run in tallyfy.runs if run["name"] == name]


def writes(tallyfy, method: str) -> int:
    return sum(request.method == method for request in tallyfy.requests)


def kill_the_only_running_task(airflow, dag_id: str, dag_run: str) -> str:
    """Kill a task's worker process, as the kernel does when memory runs out; return the task's id."""
    [task] = [task for task in airflow.task_instances(dag_id, dag_run) if task["state"] == "running"]
    os.kill(task["pid"], signal.SIGKILL)
    return task["task_id"]


def test_an_archive_whose_answers_were_lost_is_not_done_twice_by_the_task_retry(system):
    airflow, tallyfy = system.airflow, system.tallyfy
    run = tallyfy.add_run()
    tallyfy.faults.add("reset", method="DELETE", path=run["id"], times=None, applied=True)
    airflow.wait_for_dags(["system_archive"])
    dag_run = airflow.trigger("system_archive", {"run_id": run["id"]})
    airflow.wait_for_task_states("system_archive", dag_run, lambda tasks: tasks[0]["state"] == "up_for_retry")
    tallyfy.faults.clear()
    assert airflow.wait_for_dag_run("system_archive", dag_run) == "success"
    [task] = airflow.task_instances("system_archive", dag_run)
    assert task["try_number"] > 1
    archivings = [row for row in tallyfy.store.activity if row["run_id"] == run["id"] and row["verb"] == "archived"]
    assert len(archivings) == 1


@pytest.mark.parametrize("applied", [True, False])
def test_a_worker_killed_in_the_middle_of_a_launch_leaves_exactly_one_run(system, applied):
    airflow, tallyfy = system.airflow, system.tallyfy
    template = tallyfy.add_template("Onboarding")
    hang = tallyfy.faults.add("hang", method="POST", path="/runs", applied=applied)
    airflow.wait_for_dags(["system_launch"])
    dag_run = airflow.trigger("system_launch", {"template_id": template["id"]})
    airflow.wait_for("a launch was sent", lambda: hang.hits == 1)
    airflow.wait_for_task_states(
        "system_launch", dag_run, lambda tasks: sorted(task["state"] for task in tasks) == ["running", "success"]
    )
    hung = kill_the_only_running_task(airflow, "system_launch", dag_run)
    assert airflow.wait_for_dag_run("system_launch", dag_run) == "success"
    tasks = {task["task_id"]: task["try_number"] for task in airflow.task_instances("system_launch", dag_run)}
    assert tasks[hung] == 2
    launched = {airflow.xcom("system_launch", dag_run, task_id)["id"] for task_id in tasks}
    assert set(runs_named(tallyfy, "Onboarding")) == launched
    assert len(launched) == 2


@pytest.mark.parametrize(
    ("method", "path", "applied"),
    [
        ("PUT", "/tasks/", True),
        ("POST", "/completed-tasks", True),
        ("POST", "/completed-tasks", False),
        ("POST", "/tasks/.*/comment", True),
        ("POST", "/tasks/.*/comment", False),
        ("POST", "/runs/.*/comment", True),
        ("POST", "/checklists/tags", True),
        ("POST", "/checklists/tags", False),
    ],
)
def test_a_worker_killed_in_the_middle_of_a_step_completes_comments_and_tags_once(system, method, path, applied):
    airflow, tallyfy = system.airflow, system.tallyfy
    tallyfy.add_template("Load", steps=[{"title": "Import", "form_fields": [{"label": "Rows", "required": True}]}])
    run = tallyfy.add_run("Load")
    tallyfy.add_tag("imported")
    hang = tallyfy.faults.add("hang", method=method, path=path, applied=applied)
    airflow.wait_for_dags(["system_steps"])
    dag_run = airflow.trigger("system_steps", {"run_id": run["id"]})
    airflow.wait_for("the request was sent", lambda: hang.hits == 1)
    airflow.wait_for_task_states(
        "system_steps", dag_run, lambda tasks: [task["state"] for task in tasks].count("running") == 1
    )
    hung = kill_the_only_running_task(airflow, "system_steps", dag_run)
    assert airflow.wait_for_dag_run("system_steps", dag_run) == "success"
    tries = {task["task_id"]: task["try_number"] for task in airflow.task_instances("system_steps", dag_run)}
    assert tries[hung] == 2
    assert [event["event"] for event in tallyfy.webhooks].count("task.completed") == 1
    comments = [(thread["on"], thread["content"].splitlines()[0]) for thread in tallyfy.run(run["id"])["threads"]]
    assert comments == [("task", "Imported."), ("run", "The import is done.")]
    assert [row["description"] for row in tallyfy.store.activity if row["type"] == "Tag"] == ["Tagged with imported"]


def test_a_killed_scheduler_with_all_its_workers_leaves_exactly_one_run_each(system):
    airflow, tallyfy = system.airflow, system.tallyfy
    template = tallyfy.add_template("Onboarding")
    hang = tallyfy.faults.add("hang", method="POST", path="/runs", applied=True, times=2)
    airflow.wait_for_dags(["system_launch"])
    dag_run = airflow.trigger("system_launch", {"template_id": template["id"]})
    airflow.wait_for("both launches were sent", lambda: hang.hits == 2)
    airflow.kill_component("scheduler")
    airflow.start_component("scheduler")
    assert airflow.wait_for_dag_run("system_launch", dag_run) == "success"
    assert len(runs_named(tallyfy, "Onboarding")) == 2
    assert writes(tallyfy, "POST") == 2


def test_a_cleared_launch_adopts_its_run_unless_it_is_to_launch_again(system):
    airflow, tallyfy = system.airflow, system.tallyfy
    template = tallyfy.add_template("Onboarding")
    airflow.wait_for_dags(["system_launch"])
    dag_run = airflow.trigger("system_launch", {"template_id": template["id"]})
    assert airflow.wait_for_dag_run("system_launch", dag_run) == "success"
    tasks = ("launch", "launch_again_when_cleared")
    first = {task_id: airflow.xcom("system_launch", dag_run, task_id)["id"] for task_id in tasks}
    for task_id in tasks:
        airflow.clear("system_launch", dag_run, task_id)
        airflow.wait_for_task_states(
            "system_launch",
            dag_run,
            lambda found, cleared=task_id: {t["task_id"]: t["try_number"] for t in found}[cleared] > 1,
        )
        # Airflow loses a clear while its scheduler is about to end the DAG run.
        assert airflow.wait_for_dag_run("system_launch", dag_run) == "success"
    second = {task_id: airflow.xcom("system_launch", dag_run, task_id) for task_id in tasks}
    assert (second["launch"]["id"], second["launch"]["changed"]) == (first["launch"], False)
    assert second["launch_again_when_cleared"]["id"] not in first.values()
    assert second["launch_again_when_cleared"]["changed"] is True
    assert len(runs_named(tallyfy, "Onboarding")) == 3
