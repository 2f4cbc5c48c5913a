"""Names in place of ids, and ids that are looked up, as the page "Which ids" shows."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import TallyfyLaunchRunOperator


def test_names_stand_for_ids(tallyfy_sandbox, run_dag):
    template = tallyfy_sandbox.add_template("Customer onboarding")
    tallyfy_sandbox.add_tag("Audit")
    ann = tallyfy_sandbox.add_user("ann@example.com", "Ann Lee")
    with DAG("names", schedule=None) as dag:
        # [START howto_names]
        TallyfyLaunchRunOperator(
            task_id="onboard",
            template_id="Customer onboarding",
            name="Onboarding - ACME Corp",
            tags=["Audit"],
            owner_id="ann@example.com",
        )
        # [END howto_names]
    assert str(run_dag(dag).state) == "success"
    [run] = tallyfy_sandbox.runs
    assert (run["checklist_id"], run["owner_id"]) == (template["id"], ann["id"])


def test_ids_are_looked_up(tallyfy_sandbox):
    ann = tallyfy_sandbox.add_user("ann@example.com", "Ann Lee")
    tallyfy_sandbox.add_template("Onboarding", steps=["Legal review"])
    run_id = tallyfy_sandbox.add_run("Onboarding")["id"]
    # [START howto_look_up_ids]
    with TallyfyHook() as hook:
        user_ids = {user["email"]: user["id"] for user in hook.list_users()}
        task_ids = {task["title"]: task["id"] for task in hook.list_tasks(run_id)}
    # [END howto_look_up_ids]
    assert user_ids["ann@example.com"] == ann["id"]
    assert task_ids["Legal review"] in str(tallyfy_sandbox.store.find(run_id).tasks)
