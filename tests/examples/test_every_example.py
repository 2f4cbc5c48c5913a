"""Every example DAG says how to try it, and fails if one of its tasks does."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_tallyfy import sandbox
from airflow_provider_tallyfy.links.tallyfy import TallyfyRunLink
from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from tests.examples import test_examples_on_the_pages

FOLDER = Path(__file__).resolve().parents[2] / "example_dags"
PAGES = Path(sandbox.__file__).parent / "web" / "templates"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("example_*.py"))
#: Asset watchers came with Airflow 3.
ABSENT = {"example_tallyfy_on_completion"} if airflow_version.startswith("2.") else set()
PRESENT = [name for name in EXAMPLES if name not in ABSENT]
FAILED = ("failed", "upstream_failed")


def dag_of(name: str) -> Any:
    return import_module(f"example_dags.{name}").dag


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


def test_every_example_is_run_with_its_defaults():
    on_the_pages = {f"example_tallyfy_{name.removeprefix('test_')}" for name in vars(test_examples_on_the_pages)}
    assert set(EXAMPLES) - on_the_pages == {"example_tallyfy_on_completion"}  # see tests/system/test_event_example.py


def texts_in(thing: Any) -> set[str]:
    if isinstance(thing, dict):
        thing = [*thing.values()]
    return set().union(*map(texts_in, thing)) if isinstance(thing, list) else {str(thing).replace("\ufeff", "")}


@pytest.mark.parametrize("name", PRESENT)
def test_its_documentation_says_step_by_step_how_to_try_it(name):
    dag = dag_of(name)
    steps = re.findall(r"^(\d)\. ", dag.doc_md, re.MULTILINE)
    assert steps == [str(number) for number in range(1, len(steps) + 1)]
    assert len(steps) >= 3
    pages = " ".join(path.read_text() for path in PAGES.glob("*.html")).casefold()
    code = (FOLDER / f"{name}.py").read_text().replace(dag.doc_md, "")
    for shown in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", dag.doc_md):
        known = shown in texts_in(DEFAULT) or shown.casefold() in pages or f'"{shown}"' in code
        assert known or shown == TallyfyRunLink.name, f"nothing is called {shown}"
    for written in re.findall(r"`([^` ]+)`", dag.doc_md):
        assert written in code or written in (".jsonl", ".json"), f"the DAG has no {written}"


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
