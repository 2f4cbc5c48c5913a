"""A comment is written once, whatever happens to the one who writes it, and is found again by its marker."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_tallyfy.api import flows
from airflow_provider_tallyfy.api.errors import (
    TallyfyConfigurationError,
    TallyfyNotFoundError,
    TallyfyUnknownOutcomeError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.flows import LaunchKey
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behavior
from tests.contract.flows.test_overlapping_launches import Try

both_subjects = pytest.mark.parametrize("subject", ["run", "task"])
LOST = {
    "the connection breaks": {"kind": "reset"},
    "500": {"status": 500},
    "a page": {"status": 200, "body": "html"},
    "no comment": {"status": 201, "body": "null"},
}


@pytest.fixture
def hook(tallyfy):
    with TallyfyHook() as hook:
        yield hook


@pytest.fixture
def run(tallyfy) -> dict[str, Any]:
    return tallyfy.add_run(name="Acme")


def on(run: dict[str, Any], subject: str) -> dict[str, Any]:
    return {"task_id": run["tasks"][1]["id"]} if subject == "task" else {}


def comments(tallyfy, run: dict[str, Any]) -> list[dict[str, Any]]:
    return tallyfy.run(run["id"])["threads"]


@pytest.mark.usefixtures("worlds")
@both_subjects
def test_a_comment_says_what_was_written_and_is_written_once_per_key(tallyfy, hook, run, subject):
    task = on(run, subject)
    first = hook.add_comment(run["id"], "Exported 7 rows.", comment_key="export", **task)
    again = hook.add_comment(run["id"], "Exported 8 rows.", comment_key="export", **task)
    assert (first["changed"], again["changed"]) == (True, False)
    [comment] = comments(tallyfy, run)
    assert comment["content"].startswith("Exported 7 rows.\n[airflow:")
    assert (comment["on"], comment["task_id"]) == (subject, task.get("task_id"))
    assert first == {
        "id": comment["id"],
        "run_id": run["id"],
        "task_id": task.get("task_id"),
        "created_at": first["created_at"],
        "changed": True,
    }


@pytest.mark.usefixtures("worlds")
@both_subjects
def test_each_comment_without_a_key_is_one_more(tallyfy, hook, run, subject):
    for _ in range(2):
        assert hook.add_comment(run["id"], "Again.", **on(run, subject))["changed"]
    assert len(comments(tallyfy, run)) == 2


@pytest.mark.usefixtures("worlds")
def test_one_key_means_a_comment_for_each_subject(tallyfy, hook, run):
    for task in (on(run, "run"), on(run, "task"), {"task_id": run["tasks"][0]["id"]}):
        assert hook.add_comment(run["id"], "Done.", comment_key="k", **task)["changed"]
    assert len(comments(tallyfy, run)) == 3


@pytest.mark.usefixtures("worlds")
@both_subjects
@pytest.mark.parametrize("fault", LOST)
def test_a_comment_whose_answer_is_lost_is_found_and_not_repeated(tallyfy, hook, run, subject, fault):
    tallyfy.faults.add(method="POST", applied=True, **LOST[fault])
    assert hook.add_comment(run["id"], "Done.", comment_key="k", **on(run, subject))["changed"]
    assert len(comments(tallyfy, run)) == 1


@pytest.mark.usefixtures("worlds")
@both_subjects
def test_a_comment_that_never_arrived_is_written_by_the_next_try(tallyfy, hook, run, subject):
    tallyfy.faults.add("status", method="POST", status=500)
    with pytest.raises(TallyfyUnknownOutcomeError, match="A retry looks again before it comments"):
        hook.add_comment(run["id"], "Done.", comment_key="k", **on(run, subject))
    assert hook.add_comment(run["id"], "Done.", comment_key="k", **on(run, subject))["changed"]
    assert len(comments(tallyfy, run)) == 1


@pytest.mark.usefixtures("worlds")
@both_subjects
def test_a_problem_is_reported_once_and_holds_the_run(tallyfy, hook, run, subject):
    for _ in range(2):
        hook.add_comment(run["id"], "No data.", problem=True, comment_key="k", **on(run, subject))
    assert len(comments(tallyfy, run)) == 1
    assert tallyfy.run(run["id"])["status"] == ("problem" if subject == "task" else "issue")


@pytest.mark.usefixtures("worlds")
@both_subjects
def test_a_comment_on_an_archived_run_says_so_and_one_on_a_missing_run_does_not(tallyfy, hook, subject):
    archived, missing = tallyfy.add_run(archived=True), tallyfy.add_run()
    tallyfy.delete_run(missing["id"])
    with pytest.raises(TallyfyNotFoundError, match="The run is archived"):
        hook.add_comment(archived["id"], "Done.", comment_key="k", **on(archived, subject))
    with pytest.raises(TallyfyNotFoundError) as caught:
        hook.add_comment(missing["id"], "Done.", **on(missing, subject))
    assert "archived" not in str(caught.value)


def test_an_empty_comment_and_a_missing_value_are_refused_before_anything_is_sent(tallyfy, hook, run):
    for content in ("", "  ", "None", None):
        with pytest.raises(TallyfyValidationError, match="content"):
            hook.add_comment(run["id"], content)
    with pytest.raises(TallyfyValidationError, match="comment_key"):
        hook.add_comment(run["id"], "Done.", comment_key="")
    assert tallyfy.requests == []


def test_a_read_only_connection_comments_on_nothing(tallyfy, run, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(read_only=True))
    with TallyfyHook() as hook, pytest.raises(TallyfyConfigurationError, match="read-only"):
        hook.add_comment(run["id"], "Done.")
    assert comments(tallyfy, run) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.lists(st.booleans(), max_size=10), world=st.sampled_from([Behavior.lenient(), Behavior.strict()]))
def test_any_order_of_two_tries_leaves_one_comment_on_a_task(tallyfy, order, world):
    tallyfy.reset(organization_id=tallyfy.organization_id, token=tallyfy.token)
    tallyfy.behavior = world
    run = tallyfy.add_run()
    arguments = (tallyfy.organization_id, run["id"], "Done.")
    task_id = run["tasks"][0]["id"]
    first, second = (Try(flows.comment(*arguments, LaunchKey("key"), task_id=task_id)) for _ in range(2))
    with TallyfyHook() as hook:
        for turn in [*order, *[True] * 20, *[False] * 20]:
            current = first if turn else second
            if current.result is None:
                current.step(hook)
    [left] = comments(tallyfy, run)
    assert first.result.comment.id == second.result.comment.id == left["id"]
    assert [first.result.changed, second.result.changed].count(True) == 1
