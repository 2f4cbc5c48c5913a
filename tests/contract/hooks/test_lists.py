"""What the hook lists: runs by age, templates and tags."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyAuthError, TallyfyResponseError, TallyfyValidationError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook


@pytest.fixture
def hook(tallyfy):
    with TallyfyHook() as hook:
        yield hook


@pytest.mark.usefixtures("worlds")
def test_templates_are_listed_by_pages_without_archived_ones(tallyfy, hook):
    before = len(hook.list_templates())
    tallyfy.clear_requests()
    made = [tallyfy.add_template(f"Template {number}")["id"] for number in range(101)]
    tallyfy.add_template("Old", archived=True)

    shown = hook.list_templates()

    assert [row for row in shown if row["id"] == made[7]] == [{"id": made[7], "title": "Template 7"}]
    assert len({row["id"] for row in shown}) == len(shown) == before + 101
    assert [dict(request.query)["page"] for request in tallyfy.requests] == ["1", "2"]


@pytest.mark.usefixtures("worlds")
def test_templates_can_be_searched_and_given_whole(tallyfy, hook):
    template = tallyfy.add_template("Customer onboarding", kickoff=[{"label": "Company"}])
    tallyfy.add_template("Purchase")

    [row] = hook.list_templates(query="Customer", raw=True)

    assert (row["id"], row["title"]) == (template["id"], "Customer onboarding")
    assert row["raw"]["prerun"][0]["label"] == "Company"


@pytest.mark.usefixtures("worlds")
def test_tags_are_listed_by_pages(tallyfy, hook):
    before = hook.list_tags()
    made = [tallyfy.add_tag(f"tag {number}") for number in range(101)]
    tallyfy.clear_requests()

    assert hook.list_tags() == [*before, *({"id": tag["id"], "title": tag["title"]} for tag in made)]
    assert hook.list_tags(raw=True)[-1]["raw"] == made[-1]
    assert len(tallyfy.requests) == 4


@pytest.mark.parametrize("empty", ["", "None", " "])
def test_an_empty_text_to_search_templates_for_is_refused(tallyfy, hook, empty):
    with pytest.raises(TallyfyValidationError, match="query"):
        hook.list_templates(query=empty)
    assert tallyfy.requests == []


def test_an_unreadable_template_fails_the_list(tallyfy, hook):
    tallyfy.faults.add(path="/checklists", status=200, body={"data": [{"title": "without an id"}]})
    with pytest.raises(TallyfyResponseError, match="it has no id"):
        hook.list_templates()


@pytest.mark.usefixtures("worlds")
def test_runs_are_chosen_by_age(tallyfy, hook):
    old = tallyfy.add_run(created_at="3 days ago")["id"]
    tallyfy.add_run(created_at="1 day ago")
    assert [run["id"] for run in hook.list_runs(older_than="2d")] == [old]
    assert [run["id"] for run in hook.list_runs(older_than=timedelta(days=2))] == [old]
    with pytest.raises(TallyfyValidationError, match="older_than=2 has no unit"):
        hook.list_runs(older_than=2)


def test_a_bad_connection_is_told_by_its_kind(tallyfy, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(tallyfy.connection() | {"password": "other"}))
    with pytest.raises(TallyfyAuthError, match="Tallyfy answered 401"):
        TallyfyHook().check_connection()
