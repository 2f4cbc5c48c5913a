"""The example DAG that events start. ``dag.test()`` has no triggerer to watch for them."""

from __future__ import annotations

EXAMPLE = "example_tallyfy_on_completion"


def test_a_completed_run_starts_the_dag_that_archives_it_and_other_runs_do_not(system):
    airflow, tallyfy = system.airflow, system.tallyfy
    onboarding = tallyfy.add_run(name="Onboarding - ACME Corp")
    other = tallyfy.add_run(name="Vendor review - Contoso")
    airflow.wait_for_dags([EXAMPLE])
    try:
        airflow.wait_for("somebody listens", lambda: bool(tallyfy.requests))
        tallyfy.complete_run(other["id"])
        tallyfy.complete_run(onboarding["id"])
        airflow.wait_for("it is archived", lambda: bool(tallyfy.run(onboarding["id"])["archived_at"]))
        assert tallyfy.run(other["id"])["archived_at"] is None
        [dag_run] = airflow.get(f"/dags/{EXAMPLE}/dagRuns")["dag_runs"]
        assert dag_run["run_type"] == "asset_triggered"
        assert airflow.wait_for_dag_run(EXAMPLE, dag_run["dag_run_id"]) == "success"
    finally:
        airflow.patch(f"/dags/{EXAMPLE}", {"is_paused": True})
