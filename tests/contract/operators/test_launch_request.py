"""A launch sends what its author meant, or is refused with all of its problems."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_tallyfy.operators.tallyfy import TallyfyLaunchRunOperator
from tests.airflow_driver import attempt
from tests.task_contexts import context_of

FORM = [
    {"label": "Company name", "alias": "company", "required": True},
    {"label": "Contact", "field_type": "email", "required": True},
    {"label": "Go-live", "field_type": "date"},
    {"label": "Plan", "field_type": "radio", "options": ["Trial", "Paid"]},
    {"label": "Tier", "field_type": "dropdown", "options": ["Silver", "Gold"]},
    {"label": "Add-ons", "field_type": "multiselect", "options": ["SSO", "Audit log"]},
    {"label": "Order", "field_type": "table", "columns": ["Item", "Quantity"]},
    {"label": "Team", "field_type": "assignees_form"},
    {"label": "Contract", "field_type": "file"},
    {"label": "Notes", "field_type": "textarea"},
]


@pytest.fixture
def template(tallyfy) -> dict[str, Any]:
    return tallyfy.add_template("Onboarding", kickoff=FORM, steps=["One", "Two", "Three"])


def launch(template, **arguments: Any) -> Any:
    operator = TallyfyLaunchRunOperator(task_id="task", template_id=template["id"], **arguments)
    return operator.execute(context_of())


def stored(tallyfy, result: dict[str, Any], template) -> dict[str, Any]:
    labels = {field["id"]: field["label"] for field in template["prerun"]}
    return {labels[field_id]: value for field_id, value in tallyfy.run(result["id"])["prerun"].items()}


@pytest.mark.usefixtures("worlds")
def test_kick_off_values_are_found_by_label_alias_or_id_and_encoded_by_type(tallyfy, template):
    contact_id = template["prerun"][1]["id"]
    kickoff = {
        "company": "Acme",
        contact_id: "a@b.example",
        "Go-live": "2026-01-31",
        "plan": "paid",
        "Tier": 2,
        "Add-ons": ["SSO", "audit LOG"],
        "Order": {"Quantity": 3, "Item": "Widget"},
        "Team": [1001, "g@x.example"],
        "Contract": "https://files.example/a%20b.pdf",
        "Notes": None,
    }
    assert stored(tallyfy, launch(template, kickoff=kickoff), template) == {
        "Company name": "Acme",
        "Contact": "a@b.example",
        "Go-live": "2026-01-31T00:00:00.000Z",
        "Plan": "Paid",
        "Tier": {"id": 2, "text": "Gold", "value": None},
        "Add-ons": [{"id": 1, "text": "SSO", "selected": True}, {"id": 2, "text": "Audit log", "selected": True}],
        "Order": ["Widget", "3"],
        "Team": {"users": [1001], "guests": ["g@x.example"], "groups": []},
        "Contract": [{"filename": "a b.pdf", "source": "url", "url": "https://files.example/a%20b.pdf"}],
    }


@pytest.mark.usefixtures("worlds")
def test_all_problems_are_reported_at_once_and_nothing_is_launched(tallyfy, template):
    arguments = {
        "kickoff": {"Compny": "x", "Contact": "nobody", "Go-live": "soon", "Tier": "Bronze", "Order": ["one"]},
        "prerun": {"no-such-id": "x"},
        "tasks": {"no-such-step": {}},
        "roles": ["a role"],
        "owner_id": True,
    }
    end = attempt(lambda: launch(template, **arguments))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    message = str(end.exception)
    for problem in (
        "Compny",
        "did you mean 'Company name'",
        "Company name: it is required",
        "'nobody' is not an e-mail address",
        "'soon' is not a date",
        "there is no option 'Bronze'",
        "expected 2 values",
        "no-such-id",
        "no-such-step",
        "One",
        "roles",
        "owner_id=True is not a user's number",
        "Nothing was launched.",
    ):
        assert problem in message
    assert set(end.exception.fields) >= {"Compny", "Company name", "no-such-id", "tasks", "roles", "owner_id"}
    assert [request.method for request in tallyfy.requests] == ["GET", "GET"]


@pytest.mark.usefixtures("worlds")
def test_raw_values_are_sent_as_they_are_and_win(tallyfy, template):
    company, contact, *_, notes = (field["id"] for field in template["prerun"])
    result = launch(template, kickoff={"Notes": "lost"}, prerun={company: "Raw", contact: "r@w.example", notes: "kept"})
    assert stored(tallyfy, result, template) == {"Company name": "Raw", "Contact": "r@w.example", "Notes": "kept"}


@pytest.mark.usefixtures("worlds")
def test_all_other_fields_are_sent(tallyfy):
    template = tallyfy.add_template("Plain")
    parent = tallyfy.add_run()["id"]
    tag = tallyfy.add_tag("emea")["id"]
    other = tallyfy.add_user("sam@sandbox.example")["id"]
    people = {"users": [other], "guests": [], "groups": []}
    result = launch(
        template,
        name="Acme",
        summary="Be quick.",
        owner_id=str(other),
        tags=[tag],
        folders=["f1" * 16],
        users=[str(other)],
        groups=["a1" * 16],
        parent_id=parent,
        roles={"r1": {"users": [str(other)]}},
    )
    run = tallyfy.run(result["id"])
    assert (run["name"], run["owner_id"], run["users"], run["groups"]) == ("Acme", other, [other], ["a1" * 16])
    assert (run["folders"], run["parent_id"], [link["tag_id"] for link in run["tags"]]) == (["f1" * 16], parent, [tag])
    assert run["summary"].startswith("Be quick.\n[airflow:")
    [post] = [request.json() for request in tallyfy.requests if request.method == "POST"]
    assert post["roles"] == {"r1": people}


@pytest.mark.usefixtures("worlds")
def test_arguments_that_are_not_given_are_not_sent(tallyfy):
    template = tallyfy.add_template("Plain")
    result = launch(template, tags="", folders="[]", users=None, groups=None)
    [post] = [request.json() for request in tallyfy.requests if request.method == "POST"]
    assert post.keys() == {"checklist_id", "summary"}
    assert result["name"].startswith("Plain - ")


@pytest.mark.usefixtures("worlds")
def test_steps_that_a_launch_does_not_name_are_not_lost(tallyfy):
    template = tallyfy.add_template("Plain", steps=["One", "Two", "Three"])
    due = datetime(2026, 1, 31, 18, tzinfo=UTC)
    second = template["steps"][1]["id"]
    result = launch(template, tasks={second: {"deadline": due, "owners": {"users": ["1001"]}}})
    tasks = tallyfy.run(result["id"])["tasks"]
    assert [task["title"] for task in tasks] == ["One", "Two", "Three"]
    assert [task["deadline"] for task in tasks] == [None, "2026-01-31 18:00:00", None]
    assert tasks[1]["owners"] == {"users": [1001], "guests": [], "groups": []}
    # It is not documented whether Tallyfy counts a step without settings as named, so each step has one.
    [post] = [request.json() for request in tallyfy.requests if request.method == "POST"]
    assert [post["tasks"][step["id"]]["position"] for step in template["steps"]] == [1, 2, 3]


@pytest.mark.usefixtures("worlds")
def test_a_template_that_does_not_show_its_steps_takes_no_settings_for_them(tallyfy):
    template = tallyfy.add_template("Plain")
    shown = {name: value for name, value in template.items() if name != "steps"}
    tallyfy.faults.add("status", status=200, path="/checklists/", body={"data": shown})
    end = attempt(lambda: launch(template, tasks={template["steps"][0]["id"]: {}}))
    assert "does not show its steps" in str(end.exception)
    assert tallyfy.runs == []


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("arguments", [{}, {"dry_run": True}], ids=str)
def test_a_launch_without_the_values_that_its_form_requires_is_not_sent(tallyfy, template, arguments):
    end = attempt(lambda: launch(template, **arguments))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "Company name: it is required" in str(end.exception)
    assert [request.method for request in tallyfy.requests] == ["GET", "GET"]


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("write", [json.dumps, str], ids=["JSON", "Python"])
def test_objects_may_come_out_of_templates_as_text(tallyfy, write):
    """Without render_template_as_native_obj a template turns every object into text."""
    form = [{"label": "Company", "field_type": "text"}, {"label": "Plan", "field_type": "text"}]
    template = tallyfy.add_template("Plain", steps=["One"], kickoff=form)
    step, plan = template["steps"][0]["id"], template["prerun"][1]["id"]
    arguments = {
        "kickoff": {"Company": "Acme"},
        "prerun": {plan: "Paid"},
        "tasks": {step: {"owners": {"users": [1001]}}},
        "roles": {"role": {"users": [1001]}},
    }
    launch(template, **arguments)
    launch(template, **{name: write(value) for name, value in arguments.items()}, launch_key="as text")
    bodies = [request.json() for request in tallyfy.requests if request.method == "POST"]
    given, as_text = [body | {"summary": ""} for body in bodies]
    assert given == as_text
