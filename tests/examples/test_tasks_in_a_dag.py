"""The operators inside DAGs: mapped, chained by XCom, rendered and linked, as Airflow's database has it afterwards."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow import __version__ as airflow_version
from airflow.utils.session import create_session
from sqlalchemy import text

from airflow_provider_tallyfy.links.tallyfy import TallyfyRunLink
from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
    TallyfyGetRunOperator,
)
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunStatusSensor

try:
    from airflow.sdk import DAG
except ImportError:
    from airflow import DAG


@pytest.fixture
def tallyfy(tallyfy_sandbox):
    return tallyfy_sandbox


def new_dag(name: str) -> DAG:
    return DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))


def states(dag_run: Any) -> dict[str, str]:
    return {ti.task_id: ti.state for ti in dag_run.get_task_instances()}


def mapped(dag_run: Any, task_id: str) -> list[Any]:
    found = [ti for ti in dag_run.get_task_instances() if ti.task_id == task_id]
    return sorted(found, key=lambda ti: ti.map_index)


def stored(table: str, dag_run: Any) -> list[dict[str, Any]]:
    """The rows of a table of Airflow's database, as they are."""
    with create_session() as session:
        query = text(f"select * from {table} where dag_id = :dag and run_id = :run order by task_id, map_index")
        found = session.execute(query, {"dag": dag_run.dag_id, "run": dag_run.run_id})
        return [dict(row._mapping) for row in found]


def xcoms(dag_run: Any, key: str) -> list[Any]:
    """The values of an XCom, of all tasks in order."""
    return [json.loads(row["value"]) for row in stored("xcom", dag_run) if row["key"] == key]


def test_mapped_tasks_are_named_after_their_runs_and_link_to_them(tallyfy, run_dag):
    run_ids = tallyfy.add_runs(3, archived=True)
    with new_dag("mapped") as dag:
        restore = TallyfyActivateRunOperator.partial(task_id="restore", map_index_template="{{ task.run_id }}")
        restore.expand(run_id=run_ids)
    dag_run = run_dag(dag)
    assert [ti.state for ti in mapped(dag_run, "restore")] == ["success"] * 3
    assert [ti.rendered_map_index for ti in mapped(dag_run, "restore")] == run_ids
    assert [run["archived_at"] for run in tallyfy.runs] == [None] * 3
    assert xcoms(dag_run, "run_url") == [tallyfy.run_url(run_id) for run_id in run_ids]
    assert [result["id"] for result in xcoms(dag_run, "return_value")] == run_ids
    if airflow_version.startswith("2."):  # newer web interfaces read that XCom without asking the link
        links = [TallyfyRunLink().get_link(None, ti_key=ti.key) for ti in mapped(dag_run, "restore")]
        assert links == xcoms(dag_run, "run_url")


def test_mapped_tasks_can_be_labeled_with_the_names_of_their_runs(tallyfy, run_dag):
    run_ids = tallyfy.add_runs(2, archived=True, name="Acme")
    label = "{{ run_name | default(task.run_id) }}"
    with new_dag("labeled") as dag:
        TallyfyActivateRunOperator.partial(task_id="restore", map_index_template=label).expand(run_id=run_ids)
    labels = [ti.rendered_map_index for ti in mapped(run_dag(dag), "restore")]
    assert labels == [tallyfy.run(run_id)["name"] for run_id in run_ids]


def test_tasks_chain_by_xcom_without_a_task_in_between(tallyfy, run_dag):
    run = tallyfy.add_run(name="Onboarding", status="complete", archived=True)
    with new_dag("chained") as dag:
        restore = TallyfyActivateRunOperator(task_id="restore", run_id=run["id"])
        wait = TallyfyRunStatusSensor(task_id="wait", run_id=restore.output["run_id"], deferrable=False)
        again = TallyfyArchiveRunOperator(task_id="again", run_id="{{ ti.xcom_pull('wait')['id'] }}")
        read = TallyfyGetRunOperator(task_id="read", run_id=wait.output["run_id"])
        restore >> wait >> again >> read
    dag_run = run_dag(dag)
    assert states(dag_run) == dict.fromkeys(["restore", "wait", "again", "read"], "success")
    results = {
        row["task_id"]: json.loads(row["value"]) for row in stored("xcom", dag_run) if row["key"] == "return_value"
    }
    assert [results[task]["status"] for task in ("restore", "wait", "again", "read")] == [
        "complete",
        "complete",
        "archived",
        "archived",
    ]
    assert [results[task]["changed"] for task in ("restore", "wait", "again", "read")] == [True, False, True, False]


def test_deferred_waits_end_alike_and_only_an_end_in_the_trigger_skips_the_callback(tallyfy, run_dag):
    called: list[str] = []

    class CompletedMeanwhile(TallyfyRunStatusSensor):
        """A wait whose run is completed between its first look and the first look of its trigger."""

        def defer(self, **kwargs: Any) -> Any:
            tallyfy.complete_run(self.run_id)
            super().defer(**kwargs)

    with new_dag("waits") as dag:
        common = {"deferrable": True, "poke_interval": 1, "timeout": 60}
        CompletedMeanwhile(
            task_id="on_a_worker",
            run_id=tallyfy.add_run()["id"],
            on_success_callback=lambda context: called.append(context["ti"].task_id),
            post_execute=lambda context, result: called.append(result["status"]),
            **common,
        )
        CompletedMeanwhile(
            task_id="in_the_triggerer",
            run_id=tallyfy.add_run()["id"],
            do_xcom_push=False,
            end_from_trigger=True,
            **common,
        )
    dag_run = run_dag(dag)
    assert states(dag_run) == {"on_a_worker": "success", "in_the_triggerer": "success"}
    assert called == ["complete", "on_a_worker"]
    assert [result["status"] for result in xcoms(dag_run, "return_value")] == ["complete"]


def test_a_failed_task_links_to_its_run_and_no_secret_is_stored(tallyfy, run_dag):
    run = tallyfy.add_run()
    tallyfy.faults.add("echo_authorization", status=403, method="DELETE", times=None)
    with new_dag("failing") as dag:
        TallyfyArchiveRunOperator(task_id="archive", run_id=run["id"])
    dag_run = run_dag(dag)
    assert states(dag_run) == {"archive": "failed"}
    assert xcoms(dag_run, "run_url") == [tallyfy.run_url(run["id"])]
    rendered = stored("rendered_task_instance_fields", dag_run)
    assert json.loads(rendered[0]["rendered_fields"])["run_id"] == run["id"]
    assert tallyfy.token not in str(rendered) + str(stored("xcom", dag_run))
