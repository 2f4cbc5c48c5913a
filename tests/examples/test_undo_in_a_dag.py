"""`undo` as Airflow passes it: the result of a task, of a mapped task, of one that did not run, and as text."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, task

from airflow_provider_tallyfy.operators.tallyfy import TallyfyActivateRunOperator, TallyfyArchiveRunOperator
from tests.examples.test_tasks_in_a_dag import mapped, new_dag, states, stored, xcoms


@pytest.fixture
def tallyfy(tallyfy_sandbox):
    return tallyfy_sandbox


@pytest.fixture
def runs(tallyfy) -> list[str]:
    """Return two archived runs, and a live one between them."""
    return [tallyfy.add_run(archived=archived)["id"] for archived in (True, False, True)]


def are_archived(tallyfy, runs: list[str]) -> list[bool]:
    return [tallyfy.run(run_id)["archived_at"] is not None for run_id in runs]


def result_of(dag_run: Any, task_id: str) -> Any:
    [ti] = mapped(dag_run, task_id)
    return ti.xcom_pull(task_ids=task_id)


def test_an_undo_of_a_mapped_task_reverts_the_results_that_changed_a_run(tallyfy, run_dag, runs):
    with new_dag("undo_mapped") as dag:
        restore = TallyfyActivateRunOperator.partial(task_id="restore").expand(run_id=runs)
        TallyfyArchiveRunOperator(task_id="undo", undo=restore.output)
    dag_run = run_dag(dag)
    assert are_archived(tallyfy, runs) == [True, False, True]
    assert [run["id"] for run in result_of(dag_run, "undo")] == [runs[0], runs[2]]
    assert not any(row["value"] in (None, "null") for row in stored("xcom", dag_run))


def test_a_mapped_undo_reverts_each_result(tallyfy, run_dag, runs):
    with new_dag("mapped_undo") as dag:
        restore = TallyfyActivateRunOperator.partial(task_id="restore").expand(run_id=runs)
        TallyfyArchiveRunOperator.partial(task_id="undo").expand(undo=restore.output)
    dag_run = run_dag(dag)
    assert [ti.state for ti in mapped(dag_run, "undo")] == ["success"] * 3
    assert are_archived(tallyfy, runs) == [True, False, True]


@pytest.mark.parametrize("native", [False, True])
def test_undo_takes_the_text_that_a_template_renders(tallyfy, run_dag, native):
    run_id = tallyfy.add_run(name='It\'s "quoted"', archived=True)["id"]
    with new_dag(f"undo_text_{native}") as dag:
        dag.render_template_as_native_obj = native
        restore = TallyfyActivateRunOperator(task_id="restore", run_id=run_id)
        undo = TallyfyArchiveRunOperator(task_id="undo", undo="{{ ti.xcom_pull('restore') }}")
        restore >> undo
    assert states(run_dag(dag)) == {"restore": "success", "undo": "success"}
    assert are_archived(tallyfy, [run_id]) == [True]


@pytest.mark.parametrize("setup", ["skipped", "failed"])
@pytest.mark.parametrize("undo", ["output", "{{ ti.xcom_pull('restore') }}"])
def test_a_task_without_a_result_leaves_nothing_to_undo(tallyfy, run_dag, setup, undo):
    run_id = tallyfy.add_run(archived=True)["id"]
    with new_dag(f"undo_{setup}_{len(undo)}") as dag:

        @task
        def before() -> None:
            raise AirflowSkipException if setup == "skipped" else ValueError

        restore = TallyfyActivateRunOperator(task_id="restore", run_id=run_id)
        given = restore.output if undo == "output" else undo
        take_back = TallyfyArchiveRunOperator(task_id="undo", undo=given, trigger_rule="all_done")
        before() >> restore >> take_back
    dag_run = run_dag(dag)
    assert states(dag_run)["undo"] == "success"
    assert result_of(dag_run, "undo") == []
    assert tallyfy.requests == []


def test_a_mapped_task_over_nothing_leaves_nothing_to_undo(tallyfy, run_dag):
    with new_dag("undo_of_none") as dag:

        @task
        def runs() -> list[str]:
            return []

        restore = TallyfyActivateRunOperator.partial(task_id="restore").expand(run_id=runs())
        TallyfyArchiveRunOperator(task_id="undo", undo=restore.output, trigger_rule="all_done")
    dag_run = run_dag(dag)
    assert states(dag_run)["undo"] == "success"
    assert (tallyfy.requests, xcoms(dag_run, "run_id")) == ([], [])


def test_a_mapped_undo_of_a_missing_value_is_a_success(tallyfy, run_dag):
    with new_dag("mapped_undo_of_none") as dag:

        @task
        def results() -> list[dict | None]:
            return [None]

        TallyfyArchiveRunOperator.partial(task_id="undo").expand(undo=results())
    assert [ti.state for ti in mapped(run_dag(dag), "undo")] == ["success"]
    assert tallyfy.requests == []
