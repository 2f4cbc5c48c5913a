"""Every example DAG can be started as delivered, and fails if one of its tasks does."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_tallyfy.sandbox import Sandbox
from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from tests.examples.test_maintenance_examples import task_states

FOLDER = Path(__file__).resolve().parents[2] / "example_dags"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("example_*.py"))
#: Asset watchers came with Airflow 3.
ABSENT = {"example_tallyfy_on_completion"} if airflow_version.startswith("2.") else set()
PRESENT = [name for name in EXAMPLES if name not in ABSENT]
#: Those that wait for no people or events, so that they end by themselves.
ALONE = sorted(
    set(PRESENT)
    - {
        "example_tallyfy_collect_answers",
        "example_tallyfy_on_completion",
        "example_tallyfy_onboard_customer",
        "example_tallyfy_restore_in_pipeline",
        "example_tallyfy_wait_for_people",
    }
)
FAILED = ("failed", "upstream_failed")


def dag_of(name: str) -> Any:
    return import_module(f"example_dags.{name}").dag


#: Read before any test runs: `dag.test()` leaves the params of its run in the DAG.
DEFAULTS = {
    name: {param: dag_of(name).params.get_param(param).value for param in dag_of(name).params} for name in ALONE
}


@pytest.fixture
def seeded(tallyfy_sandbox: Sandbox) -> Sandbox:
    """Return a Tallyfy as the sandbox starts from the command line."""
    tallyfy_sandbox.load(DEFAULT)
    return tallyfy_sandbox


def what_only_the_user_knows(seeded: Sandbox) -> dict[str, Any]:
    """Return values from the seed for params without a default."""
    ids = {run["name"]: run["id"] for run in seeded.runs}
    return {
        "run_id": ids["Onboarding - Hooli"],
        "run_ids": [ids["Onboarding - ACME Corp"]],
        "template_id": seeded.store.template("Customer onboarding")["id"],
        "organization_id": seeded.organization_id,
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_defines_its_dag_where_airflow_can_run_it(name):
    module = import_module(f"example_dags.{name}")
    assert hasattr(module, "dag") is (name not in ABSENT)
    if name not in ABSENT:
        assert module.dag.dag_id == name


@pytest.mark.parametrize("name", PRESENT)
def test_every_param_has_a_description_and_a_type(name):
    params = dag_of(name).params
    known = {param: params.get_param(param) for param in params}
    incomplete = [param for param, it in known.items() if not it.description or not it.schema.get("type")]
    assert incomplete == []


@pytest.mark.parametrize("name", PRESENT)
def test_a_dag_with_a_schedule_needs_no_param(name):
    dag = dag_of(name)
    if dag.schedule_interval if hasattr(dag, "schedule_interval") else dag.schedule:
        dag.params.validate()


@pytest.mark.parametrize("name", ALONE)
def test_an_example_succeeds_with_its_defaults_on_the_seed_of_the_sandbox(name, seeded, example, tmp_path):
    files = {"folder": str(tmp_path), "snapshots": str(tmp_path)}
    known = what_only_the_user_knows(seeded) | files
    given = {param: known.get(param, default) for param, default in DEFAULTS[name].items()}
    dag_run = example(name, **given)
    assert str(dag_run.state) == "success", task_states(dag_run)


def test_the_default_names_of_waiting_for_people_exist_in_a_seeded_template(seeded):
    params = dag_of("example_tallyfy_wait_for_people").params
    template = seeded.store.template("Customer onboarding")
    assert params["task"] in [step["title"] for step in template["steps"]]
    assert params["field"] in [field["label"] for step in template["steps"] for field in step["form_fields"]]


def ends(dag: Any, broken: str) -> dict[str, str]:
    """Return how tasks end if one fails and the others run as they should."""
    states: dict[str, str] = {}
    for task in dag.topological_sort():
        rule = str(getattr(task.trigger_rule, "value", task.trigger_rule))
        before = [states[task_id] for task_id in task.upstream_task_ids]
        some_failed = any(state in FAILED for state in before)
        if task.task_id == broken:
            states[task.task_id] = "failed"
        elif rule in ("all_success", "none_failed", "none_failed_min_one_success"):
            states[task.task_id] = "upstream_failed" if some_failed else "success"
        elif rule == "one_failed":
            states[task.task_id] = "success" if some_failed else "skipped"
        else:
            assert rule == "all_done_setup_success", f"{task.task_id} has the trigger rule {rule}, which is not known"
            setups = [states[task_id] for task_id in task.upstream_task_ids if dag.get_task(task_id).is_setup]
            states[task.task_id] = "success" if "success" in setups or not setups else "upstream_failed"
    return states


def decisive(dag: Any) -> set[str]:
    """Return the tasks that decide the state of a DAG run: the leaves, and teardowns only if they ask for it."""

    def counts(task: Any) -> bool:
        return not task.is_teardown or task.on_failure_fail_dagrun

    return {task.task_id for task in dag.tasks if counts(task) and not any(map(counts, task.downstream_list))}


NOT_TEARDOWNS = [(name, task.task_id) for name in PRESENT for task in dag_of(name).tasks if not task.is_teardown]


@pytest.mark.parametrize(("name", "broken"), NOT_TEARDOWNS)
def test_a_dag_run_fails_if_one_of_its_tasks_does(name, broken):
    dag = dag_of(name)
    states = ends(dag, broken)
    assert {states[task_id] for task_id in decisive(dag)} & set(FAILED), states
