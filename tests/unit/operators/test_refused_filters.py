"""An invalid or empty filter, id or field is refused before a request is sent, and never selects other runs."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.bulk import TallyfyArchiveRunsOperator
from airflow_provider_tallyfy.operators.tallyfy import TallyfyListRunsOperator
from tests.airflow_driver import attempt
from tests.task_contexts import context_of
from tests.unit.operators.refusing import refusal, refusal_of

pytestmark = pytest.mark.usefixtures("unreachable")

EMPTY = {
    "an empty text": "",
    "blank text": " ",
    "None as text": "None",
    "None": None,
    "a list": [],
    "text of a list": "[]",
}
FILTERS = ["status", "template_id", "query", "tags", "owners", "folder", "older_than", "limit"]


def list_runs(**arguments: Any) -> TallyfyListRunsOperator:
    return TallyfyListRunsOperator(task_id="list", **arguments)


def archive(**arguments: Any) -> TallyfyArchiveRunsOperator:
    return TallyfyArchiveRunsOperator(task_id="archive", **arguments)


@pytest.mark.parametrize("fields", ["prerun", ["id", "prerun"], []])
def test_an_unknown_field_is_refused(fields):
    refusal(list_runs(fields=fields))


@pytest.mark.parametrize(
    "arguments",
    [
        {"status": "completed"},
        {"status": "active", "archived": "only"},
        {"archived": "yes"},
        {"limit": 0},
        {"limit": "many"},
        {"older_than": "a while"},
        {"older_than": -1},
        {"older_than": 90},
        {"older_than": "90"},
        {"tags": 7},
        {"tags": [""]},
        {"tags": "a,,b"},
        {"owners": ","},
        {"query": " "},
        {"template_id": "None"},
    ],
    ids=str,
)
def test_an_invalid_filter_is_refused(arguments):
    refusal(list_runs(**arguments))


@pytest.mark.parametrize("empty", EMPTY)
@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_that_a_template_rendered_empty_is_refused(name, empty):
    operator = list_runs(**{name: "{{ params.wanted }}"})
    setattr(operator, name, EMPTY[empty])
    assert name in str(refusal(operator))


@pytest.mark.parametrize("make", [TallyfyListRunsOperator, TallyfyArchiveRunsOperator], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_that_is_missing_for_a_mapped_task_is_refused(make, name):
    """Airflow makes the operator again with the mapped values, so it cannot know earlier what was given."""
    with DAG("dag", schedule=None):
        mapped = make.partial(task_id="task", archived="include").expand(**{name: [None, "a"]})
    refusal(mapped.unmap({name: None}))


@pytest.mark.parametrize("empty", [value for value in EMPTY.values() if value is not None], ids=repr)
@pytest.mark.parametrize("name", FILTERS[:6])
def test_the_hook_refuses_an_empty_filter_too(name, empty):
    refusal_of(lambda: list(TallyfyHook().list_runs(**{name: empty})))


@pytest.mark.parametrize("empty", [None, "", [], "[]", "[ ]", set(), "None"])
@pytest.mark.parametrize("name", ["tags", "owners"])
def test_a_filter_that_rendered_empty_is_refused_beside_another_one(name, empty):
    operator = archive(status="active", **{name: "{{ upstream }}"})
    setattr(operator, name, empty)
    assert name in str(refusal(operator))


def test_run_ids_that_rendered_empty_do_not_choose_every_run():
    operator = archive(run_ids="{{ upstream }}")
    operator.run_ids = None
    assert "run_ids is None" in str(refusal(operator))


def test_ids_and_filters_together_are_refused_since_one_would_be_ignored():
    error = refusal(archive(run_ids=["a" * 32], status="complete", older_than="90d"))
    assert "Both run_ids and status, older_than are given" in str(error)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"archived": "include"},
        {"template_id": ""},
        {"template_id": "", "status": "active"},
        {"query": "  "},
        {"folder": "None"},
        {"tags": [], "query": ""},
        {"tags": [""]},
        {"tags": "a,"},
        {"tags": ","},
        {"tags": " "},
        {"tags": [None]},
        {"owners": [""], "status": "active"},
    ],
    ids=str,
)
def test_neither_ids_nor_a_filter_that_chooses_runs_are_refused(options):
    refusal(archive(**options))


def test_an_empty_list_of_ids_is_a_success():
    end = attempt(lambda: archive(run_ids=[]).execute(context_of()))
    assert end.state == "success"
    assert (end.result["counts"]["total"], end.result["changed"]) == (0, [])


def test_every_invalid_id_is_named():
    error = refusal(archive(run_ids=["a" * 32, "../x", ""]))
    assert "run_ids[2]" in str(error)
    assert "run_ids[3]" in str(error)
