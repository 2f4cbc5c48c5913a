"""`undo` reverts exactly what another task changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from airflow_provider_tallyfy.operators.bulk import TallyfyActivateRunsOperator
from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyActivateRunOperator,
    TallyfyArchiveRunOperator,
    TallyfyDeleteRunOperator,
    TallyfyLaunchRunOperator,
)
from tests.airflow_driver import attempt
from tests.task_contexts import FakeTaskStateStore, context_of

UNDO_OF = {TallyfyActivateRunOperator: TallyfyArchiveRunOperator, TallyfyArchiveRunOperator: TallyfyActivateRunOperator}
UNDOING = pytest.mark.parametrize("do", UNDO_OF)
RESULT = {"id": "a" * 32, "name": "x", "status": "active", "changed": True}


class LazySequence(Sequence):
    """The results of a mapped task as Airflow passes them: read when they are needed."""

    def __init__(self, *results: Any) -> None:
        self._results = results

    def __getitem__(self, index: Any) -> Any:
        return self._results[index]

    def __len__(self) -> int:
        return len(self._results)


def run_task(make: Any, context: dict[str, Any] | None = None, **arguments: Any) -> Any:
    return make(task_id="task", **arguments).execute(context or context_of())


def add_for(tallyfy, do: Any, **fields: Any) -> str:
    return tallyfy.add_run(archived=do is TallyfyActivateRunOperator, **fields)["id"]


def is_archived(tallyfy, run_id: str) -> bool:
    return tallyfy.run(run_id)["archived_at"] is not None


def writes(tallyfy) -> list[Any]:
    return [request for request in tallyfy.requests if request.method != "GET"]


FORMS = {
    "dict": lambda result: result,
    "JSON": json.dumps,
    "Python": str,
    "list": lambda result: [result],
    "lazy": LazySequence,
    "tuple": lambda result: (result,),
    "JSON list": lambda result: json.dumps([result]),
    "Python list": lambda result: str([result]),
    "list of text": lambda result: [str(result)],
}


@pytest.mark.usefixtures("worlds")
@UNDOING
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_an_undo_reverts_what_a_task_changed(tallyfy, do, form):
    run_id = add_for(tallyfy, do, name='Ada\'s "run" {{ no template }}')
    result = run_task(do, run_id=run_id)
    context = context_of()
    undone = run_task(UNDO_OF[do], context, undo=form(result))
    assert is_archived(tallyfy, run_id) is (do is TallyfyActivateRunOperator)
    assert [(run["id"], run["changed"]) for run in undone] == [(run_id, True)]
    assert context["ti"].pushed == {"run_id": run_id, "run_url": tallyfy.run_url(run_id)}


@pytest.mark.usefixtures("worlds")
@UNDOING
def test_an_undo_leaves_alone_what_the_task_did_not_change(tallyfy, do):
    run_id = tallyfy.add_run(archived=do is TallyfyArchiveRunOperator)["id"]
    result = run_task(do, run_id=run_id)
    context = context_of()
    assert run_task(UNDO_OF[do], context, undo=result) == []
    assert is_archived(tallyfy, run_id) is (do is TallyfyArchiveRunOperator)
    assert (writes(tallyfy), context["ti"].pushed) == ([], {})


@pytest.mark.usefixtures("worlds")
@UNDOING
def test_an_undo_of_a_mapped_task_reverts_only_what_it_changed(tallyfy, do):
    changed = [add_for(tallyfy, do) for _ in range(3)]
    before = tallyfy.add_run(archived=do is TallyfyArchiveRunOperator)["id"]
    results = LazySequence(*(run_task(do, run_id=run_id) for run_id in [before, *changed]), None)
    context = context_of()
    undone = run_task(UNDO_OF[do], context, undo=results)
    assert [run["id"] for run in undone] == changed
    assert [is_archived(tallyfy, run_id) for run_id in [before, *changed]] == [do is TallyfyArchiveRunOperator] + [
        do is TallyfyActivateRunOperator
    ] * 3
    assert context["ti"].pushed == {}


NOTHING = {
    "text None": "None",
    "text null": "null",
    "unchanged": {**RESULT, "changed": False},
    "unchanged text": str({**RESULT, "changed": False}),
    "empty list": [],
    "empty lazy": LazySequence(),
    "empty text list": "[]",
    "list of None": [None, None],
    "dry run": {"dry_run": True, "effect": "restore run x", "requests": []},
    "dry runs": [{"dry_run": True, "effect": "nothing would change", "requests": []}],
}


@UNDOING
@pytest.mark.parametrize("given", NOTHING.values(), ids=NOTHING)
@pytest.mark.parametrize("dry_run", [False, True])
def test_an_undo_of_nothing_is_a_logged_success_that_sends_and_pushes_nothing(tallyfy, do, given, dry_run, logged):
    context = context_of()
    result = run_task(UNDO_OF[do], context, undo=given, dry_run=dry_run)
    assert result == ({"dry_run": True, "effect": "nothing would change", "requests": []} if dry_run else [])
    assert (tallyfy.requests, context["ti"].pushed) == ([], {})
    assert "Nothing to undo: the other task" in logged()


WRONG = {
    "text": "archive it",
    "empty text": "",
    "blank text": " ",
    "an id": "a" * 32,
    "a number": 7,
    "true": True,
    "bytes": b"{}",
    "empty dict": {},
    "no changed": {"id": "a" * 32},
    "no id": {"changed": True},
    "changed neither": {**RESULT, "changed": "perhaps"},
    "bad id": {**RESULT, "id": "a/b"},
    "text for nothing as id": {**RESULT, "id": "None"},
    "list of ids": ["a" * 32],
    "one of two": [RESULT, "text"],
    "bulk": {"counts": {"changed": 1}, "changed": ["a" * 32], "failures": []},
    "deleted": {**RESULT, "status": "deleted"},
}


@UNDOING
@pytest.mark.parametrize("given", WRONG.values(), ids=WRONG)
def test_an_undo_of_anything_but_a_result_is_refused_before_anything_is_sent(tallyfy, do, given):
    context = context_of()
    end = attempt(lambda: run_task(UNDO_OF[do], context, undo=given))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "Nothing was sent" in str(end.exception)
    assert (tallyfy.requests, context["ti"].pushed) == ([], {})


@UNDOING
def test_an_undo_by_the_same_operator_is_refused(tallyfy, do):
    result = run_task(do, run_id=add_for(tallyfy, do))
    sent = len(tallyfy.requests)
    end = attempt(lambda: run_task(do, undo=result))
    assert end.error == "TallyfyValidationError"
    assert "cannot take back" in str(end.exception)
    assert len(tallyfy.requests) == sent


def test_the_result_of_a_real_bulk_task_is_refused_with_the_way_to_undo_it(tallyfy):
    result = run_task(TallyfyActivateRunsOperator, run_ids=[tallyfy.add_run(archived=True)["id"]])
    end = attempt(lambda: run_task(TallyfyArchiveRunOperator, undo=result))
    assert "opposite bulk operator as run_ids" in str(end.exception)


def test_the_result_of_a_real_deletion_is_refused(tallyfy):
    run_id = tallyfy.add_run(archived=True)["id"]
    result = run_task(TallyfyDeleteRunOperator, run_id=run_id, confirm=run_id)
    assert attempt(lambda: run_task(TallyfyActivateRunOperator, undo=result)).error == "TallyfyValidationError"


def test_an_undo_of_a_launch_archives_the_launched_run(tallyfy):
    template = tallyfy.add_template("Plain", steps=["One"])
    result = run_task(TallyfyLaunchRunOperator, template_id=template["id"])
    run_task(TallyfyArchiveRunOperator, undo=result)
    assert is_archived(tallyfy, result["id"])


@pytest.mark.parametrize("arguments", [{}, {"run_id": None}, {"undo": None}, {"run_id": "a" * 32, "undo": RESULT}])
@UNDOING
def test_exactly_one_of_run_id_and_undo_is_required(tallyfy, do, arguments):
    context = context_of()
    end = attempt(lambda: run_task(do, context, **arguments))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "Give exactly one of them" in str(end.exception)
    assert (tallyfy.requests, context["ti"].pushed) == ([], {})


@pytest.mark.usefixtures("worlds")
@UNDOING
def test_a_dry_run_says_what_an_undo_would_revert(tallyfy, do):
    results = [run_task(do, run_id=add_for(tallyfy, do)) for _ in range(2)]
    sent = len(writes(tallyfy))
    planned = run_task(UNDO_OF[do], undo=results, dry_run=True)
    verb = "archive" if do is TallyfyActivateRunOperator else "restore"
    is_shown = verb == "archive" or tallyfy.behavior.archived_visible_to_get
    names = [f" ({result['name']!r})" if is_shown else "" for result in results]
    assert planned["effect"] == "; ".join(
        f"{verb} run {result['id']}{name}" for result, name in zip(results, names, strict=True)
    )
    assert len(planned["requests"]) == 2
    assert len(writes(tallyfy)) == sent


@UNDOING
def test_a_read_only_connection_undoes_nothing(tallyfy, do, monkeypatch):
    run_id = add_for(tallyfy, do)
    result = run_task(do, run_id=run_id)
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(read_only=True))
    assert attempt(lambda: run_task(UNDO_OF[do], undo=result)).error == "TallyfyConfigurationError"
    assert is_archived(tallyfy, run_id) is (do is TallyfyArchiveRunOperator)


@pytest.mark.usefixtures("worlds")
def test_a_run_that_is_gone_does_not_stop_the_undo_of_the_others(tallyfy):
    runs = [tallyfy.add_run(archived=True)["id"] for _ in range(3)]
    results = [run_task(TallyfyActivateRunOperator, run_id=run_id) for run_id in runs]
    with tallyfy.lock:
        tallyfy.store.delete(tallyfy.store.find(runs[0]))
    end = attempt(lambda: run_task(TallyfyArchiveRunOperator, undo=results))
    assert end.error == "TallyfyNotFoundError"
    assert [is_archived(tallyfy, run_id) for run_id in runs[1:]] == [True, True]


@pytest.mark.usefixtures("worlds")
def test_a_retry_of_an_undo_repeats_no_write_and_returns_all_that_it_reverted(tallyfy, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    runs = [tallyfy.add_run(archived=True)["id"] for _ in range(2)]
    results = [run_task(TallyfyActivateRunOperator, run_id=run_id) for run_id in runs]
    store = FakeTaskStateStore()
    tallyfy.faults.add("status", method="DELETE", path=runs[1], status=503)
    end = attempt(lambda: run_task(TallyfyArchiveRunOperator, context_of(store=store), undo=results))
    assert end.state == "up_for_retry"
    undone = run_task(TallyfyArchiveRunOperator, context_of(2, store=store), undo=results)
    assert [run["changed"] for run in undone] == [True, True]
    assert [request.path.rpartition("/")[2] for request in writes(tallyfy) if request.method == "DELETE"] == [
        runs[0],
        runs[1],
        runs[1],
    ]


@pytest.mark.usefixtures("worlds")
def test_an_undo_can_be_undone(tallyfy):
    run_id = tallyfy.add_run(archived=True)["id"]
    undone = run_task(TallyfyArchiveRunOperator, undo=run_task(TallyfyActivateRunOperator, run_id=run_id))
    run_task(TallyfyActivateRunOperator, undo=undone)
    assert not is_archived(tallyfy, run_id)
