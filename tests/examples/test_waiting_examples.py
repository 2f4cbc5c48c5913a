from __future__ import annotations

STEPS = [{"title": "Legal review", "form_fields": [{"label": "Tax number", "field_type": "text"}]}, "File"]


def test_waiting_for_people_ends_with_what_they_did(tallyfy_sandbox, example):
    tallyfy_sandbox.add_template("Contract", steps=STEPS)
    run_ids = tallyfy_sandbox.add_runs(3, "Contract")
    with tallyfy_sandbox.lock:
        review = tallyfy_sandbox.store.find(run_ids[0]).tasks[0]
        review["taskdata"][review["form_fields"][0]["id"]] = "DE 123"
    for run_id in run_ids:
        tallyfy_sandbox.complete_run(run_id)
    dag_run = example("example_tallyfy_wait_for_people", run_ids=run_ids)
    assert str(dag_run.state) == "success"
    results = {task.task_id: task.xcom_pull(task_ids=task.task_id) for task in dag_run.get_task_instances()}
    assert results["reviewed"]["title"] == "Legal review"
    assert results["answer"] == "DE 123"
    assert [run["outcome"] for run in results["all_complete"]] == ["reached"] * 3
