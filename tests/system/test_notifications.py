"""People are told by whichever process of Airflow calls, once."""

from __future__ import annotations

import pytest

from airflow_provider_tallyfy.compat import AIRFLOW_V_3_1_PLUS


def comments(tallyfy, run) -> list[str]:
    return [thread["content"].splitlines()[0] for thread in tallyfy.run(run["id"])["threads"]]


def test_a_failed_try_is_told_of_by_its_worker_and_a_failed_dag_run_by_the_dag_processor(system):
    airflow, tallyfy = system.airflow, system.tallyfy
    run = tallyfy.add_run()
    airflow.wait_for_dags(["system_notify"])
    dag_run = airflow.trigger("system_notify", {"run_id": run["id"]})
    assert airflow.wait_for_dag_run("system_notify", dag_run) == "failed"
    airflow.wait_for("the DAG's callback has run", lambda: "The DAG run failed." in comments(tallyfy, run))
    assert comments(tallyfy, run) == ["Try 1 failed.", "All tries failed.", "The DAG run failed."]


@pytest.mark.skipif(not AIRFLOW_V_3_1_PLUS, reason="Airflow < 3.1 has no deadlines")
def test_a_missed_deadline_is_told_of_by_the_triggerer(system):
    airflow, tallyfy = system.airflow, system.tallyfy
    run = tallyfy.add_run()
    airflow.wait_for_dags(["system_deadline"])
    dag_run = airflow.trigger("system_deadline", {"run_id": run["id"]})
    try:
        airflow.wait_for("the deadline is missed", lambda: bool(comments(tallyfy, run)))
        assert comments(tallyfy, run) == ["system_deadline is late."]
    finally:
        airflow.patch(f"/dags/system_deadline/dagRuns/{dag_run}", {"state": "failed"})
