"""The waits of the page "Choose your wait" end when people are done."""

from __future__ import annotations

from tests import dag_runs
from tests.docs.waits import dag


def test_every_way_to_wait_ends_when_the_runs_are_complete(tallyfy_sandbox):
    tallyfy_sandbox.add_template("Vendor review", kickoff=[{"label": "Vendor", "field_type": "text"}], complete_after=0)
    run_ids = tallyfy_sandbox.add_runs(2, complete_after=0)
    dag_runs.prepare_database()
    dag_run = dag_runs.run_dag(dag, run_ids=run_ids)
    assert {ti.task_id: ti.state for ti in dag_run.get_task_instances()} == dict.fromkeys(dag.task_ids, "success")
    assert len(tallyfy_sandbox.runs) == 3
