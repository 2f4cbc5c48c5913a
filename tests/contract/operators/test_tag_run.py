"""Tags are put on a run and taken off once; what is so already stays as it is."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyNotFoundError, TallyfyResponseError, TallyfyValidationError
from airflow_provider_tallyfy.operators.tallyfy import TallyfyTagRunOperator
from tests.task_contexts import FakeTaskStateStore, context_of


def tag(run_id: str, context: Any = None, **arguments: Any) -> dict[str, Any]:
    return TallyfyTagRunOperator(task_id="tag", run_id=run_id, **arguments).execute(context or context_of())


def titles(tallyfy, run_id: str) -> list[str]:
    return [link["title"] for link in tallyfy.run(run_id)["tags"]]


def methods(tallyfy) -> list[str]:
    return [request.method for request in tallyfy.requests]


@pytest.mark.usefixtures("worlds")
def test_tags_go_by_name_and_only_what_differs_is_sent(tallyfy):
    run_id = tallyfy.add_run(name="Acme", tags=["draft", "emea"])["id"]
    vip = tallyfy.add_tag("VIP")["id"]

    result = tag(run_id, add="VIP, emea", remove=["draft"])

    assert (result["id"], result["name"], result["changed"]) == (run_id, "Acme", True)
    assert titles(tallyfy, run_id) == ["emea", "VIP"]
    assert methods(tallyfy) == ["GET", "GET", "POST", "DELETE"]  # the list of tags, the run
    tallyfy.clear_requests()
    assert tag(run_id, add=[vip, "VIP"], remove=["draft"])["changed"] is False
    assert methods(tallyfy) == ["GET", "GET"]
    assert titles(tallyfy, run_id) == ["emea", "VIP"]


@pytest.mark.usefixtures("worlds")
def test_a_run_is_given_by_its_address(tallyfy):
    run_id, vip = tallyfy.add_run()["id"], tallyfy.add_tag("VIP")["id"]
    assert tag(tallyfy.run_url(run_id), add=[vip])["id"] == run_id
    assert methods(tallyfy) == ["GET", "POST"]


@pytest.mark.usefixtures("worlds")
def test_a_dry_run_names_every_request_and_sends_none(tallyfy):
    run_id, vip = tallyfy.add_run(tags=["draft"])["id"], tallyfy.add_tag("VIP")["id"]
    plan = tag(run_id, add=["VIP"], remove=["draft"], dry_run=True)
    assert [request["method"] for request in plan["requests"]] == ["POST", "DELETE"]
    assert plan["effect"] == f"put tag {vip} on run {run_id}; take tag 'draft' off run {run_id}"
    assert set(methods(tallyfy)) == {"GET"}


@pytest.mark.usefixtures("worlds")
def test_a_lost_answer_is_looked_up_and_a_retry_changes_nothing_more(tallyfy):
    run_id = tallyfy.add_run(tags=["draft"])["id"]
    tallyfy.add_tag("VIP")
    context = context_of(store=FakeTaskStateStore())
    tallyfy.faults.add("reset", method="POST", applied=True)
    assert tag(run_id, context, add=["VIP"], remove=["draft"])["changed"] is True
    tallyfy.clear_requests()
    retried = tag(run_id, context, add=["VIP"], remove=["draft"])
    assert titles(tallyfy, run_id) == ["VIP"]
    assert set(methods(tallyfy)) == {"GET"}
    assert retried["changed"] is True  # over all tries


def test_a_retry_that_cannot_know_what_an_earlier_try_changed_says_so(tallyfy, logged):
    run_id = tallyfy.add_run(tags=["VIP"])["id"]
    assert tag(run_id, context_of(2), add=["VIP"])["changed"] is False
    assert "perhaps by an earlier try" in logged()


@pytest.mark.usefixtures("worlds")
def test_empty_lists_are_a_success_that_did_nothing(tallyfy):
    run_id = tallyfy.add_run(tags=["emea"])["id"]
    assert tag(run_id, add=[], remove="[]")["changed"] is False
    assert methods(tallyfy) == ["GET"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"add=\(\) is not given, and neither is remove"),
        ({"add": ""}, "add='' is empty"),
        ({"add": "None"}, "add='None' is empty"),
        ({"remove": None, "add": ["a" * 32]}, "remove=None is empty"),
        ({"add": ["a" * 32], "remove": ["a" * 32]}, "has tags that add has, too"),
    ],
)
def test_what_is_empty_or_contradicts_itself_is_refused_before_a_request(tallyfy, arguments, message):
    with pytest.raises(TallyfyValidationError, match=message):
        tag(tallyfy.add_run()["id"], **arguments)
    assert not tallyfy.requests


@pytest.mark.usefixtures("worlds")
def test_an_archived_run_and_a_missing_one_are_told_apart(tallyfy):
    run_id, vip = tallyfy.add_run(archived=True)["id"], tallyfy.add_tag("VIP")["id"]
    with pytest.raises(TallyfyValidationError, match="it is archived"):
        tag(run_id, add=[vip])
    with pytest.raises(TallyfyNotFoundError):
        tag("f" * 32, add=[vip])


def test_nothing_is_sent_where_the_tags_of_a_run_are_not_shown(tallyfy):
    run_id, vip = tallyfy.add_run()["id"], tallyfy.add_tag("VIP")["id"]
    tallyfy.behavior = tallyfy.behavior.changed({"run_tags": "hidden"})
    with pytest.raises(TallyfyResponseError, match="does not show its tags"):
        tag(run_id, add=[vip])
    assert methods(tallyfy) == ["GET"]
