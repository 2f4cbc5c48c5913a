from __future__ import annotations

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.queries import QUERY_FILTERS, RunQuery
from airflow_provider_tallyfy.api.models.run import Run


def run(**fields: object) -> Run:
    return Run.from_json({"id": "r1", "status": "active", "checklist_id": "c1", **fields})


ARCHIVED = {"archived_at": "2026-01-01T00:00:00Z"}


def test_status_archived_is_sent_as_archived_only():
    assert dict(RunQuery(status="archived").parameters()) == {"archived": "only", "sort": "created_at"}
    assert dict(RunQuery(archived="only").parameters()) == {"archived": "only", "sort": "created_at"}


def test_every_filter_has_its_documented_parameter():
    filters = {"tags": ("a1", "b2"), "exclude_tags": ["c3"], "owners": ("7",), "folder": "f1"}
    query = RunQuery("problem", "c1", "ACME", **filters, sort="-name", includes=("tasks", "tags"))
    assert query.parameters() == (
        ("status", "problem"),
        ("checklist_id", "c1"),
        ("q", "ACME"),
        ("tag_ids", "a1,b2"),
        ("owners", "7"),
        ("folder", "f1"),
        ("sort", "-name"),
        ("with", "tasks,tags"),
    )


@pytest.mark.parametrize(("archived", "sent"), [("exclude", None), ("include", "true"), ("only", "only")])
def test_archived_is_sent_the_documented_way(archived, sent):
    assert dict(RunQuery(archived=archived).parameters()).get("archived") == sent


def test_a_status_among_archived_runs_is_filtered_by_the_client():
    assert "status" not in dict(RunQuery("complete", archived="include").parameters())


def test_ids_of_users_can_be_numbers_and_one_text_is_no_list():
    assert dict(RunQuery(owners=(1001, 1002)).parameters())["owners"] == "1001,1002"
    for name in ("tags", "owners"):
        with pytest.raises(TallyfyValidationError, match=rf"{name}='abc' is text, not a list of ids"):
            RunQuery(**{name: "abc"})


@pytest.mark.parametrize("empty", ["", " ", "None", "null", [], (), [""], ["a", " "], ["a", None], "[]", ","], ids=repr)
@pytest.mark.parametrize("name", QUERY_FILTERS)
def test_a_filter_that_is_given_and_empty_is_refused(name, empty):
    with pytest.raises(TallyfyValidationError, match=f"A filter is empty: {name}=") as refusal:
        RunQuery(**{name: empty})
    assert refusal.value.fields == {name: ["empty"]}


@pytest.mark.parametrize("name", QUERY_FILTERS)
def test_none_counts_as_a_filter_that_is_not_given(name):
    assert RunQuery(**{name: None}) == RunQuery()


@pytest.mark.parametrize("wrong", [{"status": "completed"}, {"archived": "yes"}, {"archived": ""}])
def test_a_misspelt_filter_is_refused(wrong):
    with pytest.raises(TallyfyValidationError, match=r"Valid: active|exclude, include, only"):
        RunQuery(**wrong)


@pytest.mark.parametrize(
    ("query", "listed", "accepted"),
    [
        ({}, {}, True),
        ({}, ARCHIVED, False),
        ({"archived": "include"}, ARCHIVED, True),
        ({"archived": "only"}, {}, False),
        ({"archived": "only"}, ARCHIVED, True),
        ({"status": "archived"}, ARCHIVED, True),
        ({"status": "archived"}, {"status": "archived"}, True),
        ({"status": "archived"}, {}, False),
        ({"status": "complete"}, {}, False),
        ({"status": "complete"}, {"status": "complete"}, True),
        ({"status": "complete", "archived": "include"}, {"completed_at": "2026-01-01T00:00:00Z", **ARCHIVED}, True),
        ({"status": "problem"}, {"status": "issue"}, True),
        ({"status": "issue"}, {"status": "problem"}, False),
        ({"template_id": "c2"}, {}, False),
        ({"template_id": "c1"}, {}, True),
        ({"template_id": "c1"}, {"checklist_id": None}, True),
    ],
)
def test_a_filter_that_the_server_ignored_is_applied_by_the_client(query, listed, accepted):
    assert RunQuery(**query).accepts(run(**listed)) is accepted
