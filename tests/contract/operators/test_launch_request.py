"""What a launch sends is what its author meant, or it is refused with everything that is wrong with it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_tallyfy.operators.tallyfy import TallyfyLaunchProjectOperator, TallyfyLaunchRunOperator
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
def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_launched(tallyfy, template):
    arguments = {
        "kickoff": {"Compny": "x", "Contact": "nobody", "Go-live": "soon", "Tier": "Bronze", "Order": ["one"]},
        "prerun": {"no-such-id": "x"},
        "tasks": {"no-such-step": {}},
        "roles": ["a role"],
        "owner_id": "Ada",
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
        "owner_id='Ada' is not a user's number",
        "Nothing was launched.",
    ):
        assert problem in message
    assert set(end.exception.fields) >= {"Compny", "Company name", "no-such-id", "tasks", "roles", "owner_id"}
    assert [request.method for request in tallyfy.requests] == ["GET", "GET"]


@pytest.mark.usefixtures("worlds")
def test_raw_values_go_along_as_they_are_and_win(tallyfy, template):
    company, contact, *_, notes = (field["id"] for field in template["prerun"])
    result = launch(template, kickoff={"Notes": "lost"}, prerun={company: "Raw", contact: "r@w.example", notes: "kept"})
    assert stored(tallyfy, result, template) == {"Company name": "Raw", "Contact": "r@w.example", "Notes": "kept"}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("prerun", [["a list"], {"company": "an alias, which Tallyfy would drop"}], ids=str)
def test_raw_values_that_tallyfy_would_drop_or_refuse_are_refused(tallyfy, template, prerun):
    end = attempt(lambda: launch(template, prerun=prerun))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert [request.method for request in tallyfy.requests] == ["GET", "GET"]


@pytest.mark.usefixtures("worlds")
def test_all_other_fields_arrive(tallyfy):
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
        folders=["f1"],
        users=[str(other)],
        groups=["g1"],
        parent_id=parent,
        roles={"r1": {"users": [str(other)]}},
    )
    run = tallyfy.run(result["id"])
    assert (run["name"], run["owner_id"], run["users"], run["groups"]) == ("Acme", other, [other], ["g1"])
    assert (run["folders"], run["parent_id"], [link["tag_id"] for link in run["tags"]]) == (["f1"], parent, [tag])
    assert run["summary"].startswith("Be quick.\n[airflow:")
    [post] = [request.json() for request in tallyfy.requests if request.method == "POST"]
    assert post["roles"] == {"r1": people}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(
    ("tags", "users", "groups"),
    [
        ("{tag}", "{user}", "g1"),
        (" {tag} , {tag}", "{user},{user}", ["g1"]),
        ("['{tag}']", "[{user}]", '["g1"]'),
        (("{tag}",), ["{user}"], ("g1",)),
    ],
    ids=["text", "text with commas", "rendered lists", "lists"],
)
def test_lists_of_ids_are_sent_as_lists_however_templates_render_them(tallyfy, tags, users, groups):
    template = tallyfy.add_template("Plain")
    known = {"tag": tallyfy.add_tag("emea")["id"], "user": tallyfy.add_user("sam@sandbox.example")["id"]}

    def rendered(value: Any) -> Any:
        return value.format(**known) if isinstance(value, str) else [item.format(**known) for item in value]

    lists = {"tags": rendered(tags), "users": rendered(users), "groups": groups, "folders": "f1, f2"}
    launch(template, **lists)
    [post] = [request.json() for request in tallyfy.requests if request.method == "POST"]
    assert (set(post["tags"]), set(post["users"])) == ({known["tag"]}, {known["user"]})
    assert (post["groups"], post["folders"]) == (["g1"], ["f1", "f2"])


@pytest.mark.usefixtures("worlds")
def test_everything_that_is_no_list_of_ids_is_refused_at_once(tallyfy):
    template = tallyfy.add_template("Plain")
    end = attempt(lambda: launch(template, tags={"id": "t1"}, folders=["a b"], users="Ada", groups=5, owner_id="Eve"))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert end.exception.fields.keys() == {"tags", "folders", "users", "groups", "owner_id"}
    assert tallyfy.runs == []


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("nothing", ["None", ",", " ", [None], [""]], ids=repr)
@pytest.mark.parametrize("name", ["tags", "folders", "users", "groups"])
def test_a_list_of_ids_that_was_rendered_for_nothing_is_refused(tallyfy, name, nothing):
    end = attempt(lambda: launch(tallyfy.add_template("Plain"), **{name: nothing}))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert end.exception.fields.keys() == {name}
    assert tallyfy.runs == []


NOBODY = ["None", "null", "", "  ", None]


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("nobody", NOBODY, ids=repr)
@pytest.mark.parametrize("kind", ["users", "guests", "groups"])
@pytest.mark.parametrize("place", ["project", "step", "role", "form"])
def test_nobody_whom_a_template_rendered_for_a_missing_value_is_assigned(tallyfy, place, kind, nobody):
    form = [{"label": "Team", "field_type": "assignees_form"}]
    template = tallyfy.add_template("Plain", steps=["One"], kickoff=form)
    people = {"users": [1001], kind: [nobody]}
    arguments = {
        "project": {"title": "Check", "owners": people},
        "step": {"tasks": {template["steps"][0]["id"]: {"owners": people}}},
        "role": {"roles": {"role": people}},
        "form": {"kickoff": {"Team": people}},
    }[place]
    if place == "project":
        operator = TallyfyLaunchProjectOperator(task_id="task", **arguments)
        end = attempt(lambda: operator.execute(context_of()))
    else:
        end = attempt(lambda: launch(template, **arguments))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert not [request for request in tallyfy.requests if request.method == "POST"]


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("arguments", [{"users": ""}, {"groups": ""}, {"owner_id": ""}, {"owner_id": "None"}], ids=str)
def test_nobody_is_given_a_run_by_an_empty_template(tallyfy, arguments):
    end = attempt(lambda: launch(tallyfy.add_template("Plain"), **arguments))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert tallyfy.runs == []


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("nothing", ["None", "null"])
@pytest.mark.parametrize("name", ["name", "summary", "parent_id"])
def test_a_text_that_was_rendered_for_nothing_is_refused(tallyfy, name, nothing):
    end = attempt(lambda: launch(tallyfy.add_template("Plain"), **{name: nothing}))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert f"{name}='{nothing}' is empty: a template rendered it for a missing value" in str(end.exception)
    assert end.exception.fields.keys() == {name}
    assert tallyfy.runs == []


@pytest.mark.usefixtures("worlds")
def test_a_summary_of_a_project_that_was_rendered_for_nothing_is_refused(tallyfy):
    owners = {"users": [tallyfy.user["id"]]}
    project = TallyfyLaunchProjectOperator(task_id="task", title="Move", owners=owners, summary="None")
    end = attempt(lambda: project.execute(context_of()))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "summary='None' is empty: a template rendered it for a missing value" in str(end.exception)
    assert tallyfy.runs == []


@pytest.mark.usefixtures("worlds")
def test_a_name_that_native_rendering_made_a_number_is_its_text(tallyfy):
    assert launch(tallyfy.add_template("Plain"), name=4711.0)["name"] == "4711"


@pytest.mark.usefixtures("worlds")
def test_what_is_not_given_is_not_sent(tallyfy):
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
    # Whether Tallyfy counts a step with nothing set as named is not documented, so each says something.
    [post] = [request.json() for request in tallyfy.requests if request.method == "POST"]
    assert [post["tasks"][step["id"]]["position"] for step in template["steps"]] == [1, 2, 3]


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(
    "settings",
    [
        "due tomorrow",
        {"owners": [1001]},
        {"owners": {"members": [1]}},
        {"owners": {"users": "1001"}},
        {"deadlin": "2026-01-31"},
        {"deadline": "31/01/2026"},
        {"deadline": timedelta(days=1)},
    ],
    ids=str,
)
def test_settings_of_a_step_that_tallyfy_would_drop_are_refused(tallyfy, settings):
    template = tallyfy.add_template("Plain")
    end = attempt(lambda: launch(template, tasks={template["steps"][0]["id"]: settings}))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert tallyfy.runs == []


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("tasks", ["due tomorrow", ["a step"], 5], ids=str)
def test_settings_that_are_not_by_step_are_refused_with_the_other_problems(tallyfy, template, tasks):
    end = attempt(lambda: launch(template, tasks=tasks))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "is not an object with settings by step id" in str(end.exception)
    assert "Company name: it is required" in str(end.exception)
    assert tallyfy.runs == []


@pytest.mark.usefixtures("worlds")
def test_everything_that_is_wrong_with_the_steps_is_said_at_once(tallyfy):
    template = tallyfy.add_template("Plain", steps=["One", "Two"])
    one, two = (step["id"] for step in template["steps"])
    tasks = {one: {"deadlin": 1, "deadline": "31/01/2026", "owners": {"users": ["Ada"]}}, two: "soon", "three": {}}
    end = attempt(lambda: launch(template, tasks=tasks))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    for problem in ("'deadlin'", "deadline, owners", "31/01/2026", "'Ada'", "'soon'", "three"):
        assert problem in str(end.exception)
    assert tallyfy.runs == []


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("deadline", ["2026-01-31T18:00:00+01:00", "2026-01-31 17:00", datetime(2026, 1, 31, 17)])
def test_a_steps_deadline_is_sent_as_tallyfy_documents_it(tallyfy, deadline):
    template = tallyfy.add_template("Plain", steps=["One", "Two"])
    one, two = (step["id"] for step in template["steps"])
    settings = {"deadline": deadline, "position": 1, "max_assignable": 2}
    launch(template, tasks={one: settings, two: {"deadline": "", "owners": None}})
    [post] = [request.json() for request in tallyfy.requests if request.method == "POST"]
    assert post["tasks"] == {one: {**settings, "deadline": "2026-01-31 17:00:00"}, two: {"position": 2}}


@pytest.mark.usefixtures("worlds")
def test_a_template_that_does_not_show_its_steps_takes_no_settings_for_them(tallyfy):
    template = tallyfy.add_template("Plain")
    shown = {name: value for name, value in template.items() if name != "steps"}
    tallyfy.faults.add("status", status=200, path="/checklists/", body={"data": shown})
    end = attempt(lambda: launch(template, tasks={template["steps"][0]["id"]: {}}))
    assert "does not show its steps" in str(end.exception)
    assert tallyfy.runs == []


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("arguments", [{}, {"dry_run": True}, {"kickoff": {}}, {"name": "Acme"}], ids=str)
def test_a_launch_without_the_values_that_its_form_requires_is_not_sent(tallyfy, template, arguments):
    end = attempt(lambda: launch(template, **arguments))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "Company name: it is required" in str(end.exception)
    assert [request.method for request in tallyfy.requests] == ["GET", "GET"]


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("nothing", ["", " ", None, []], ids=repr)
def test_a_raw_value_that_says_nothing_does_not_fill_in_a_required_field(tallyfy, template, nothing):
    company, contact = (field["id"] for field in template["prerun"][:2])
    end = attempt(lambda: launch(template, kickoff={"Notes": "x"}, prerun={company: nothing, contact: "a@b.example"}))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "Company name: it is required" in str(end.exception)
    assert [request.method for request in tallyfy.requests] == ["GET", "GET"]


@pytest.mark.usefixtures("worlds")
def test_a_name_that_is_too_long_is_refused_with_the_other_problems(tallyfy, template):
    end = attempt(lambda: launch(template, name="x" * 551, owner_id="Ada"))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    for problem in ("longer than 550 characters", "'Ada'", "Company name: it is required"):
        assert problem in str(end.exception)
    assert tallyfy.runs == []
    plain = tallyfy.add_template("Plain")
    assert launch(plain, name="x" * 550)["name"] == "x" * 550


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(
    "deadline",
    [
        datetime(2026, 1, 31, 17, tzinfo=UTC),
        "2026-01-31 17:00:00",
        "2026-01-31T18:00:00+01:00",
    ],
    ids=str,
)
def test_a_project_is_a_run_with_a_task_for_each_assignee(tallyfy, deadline):
    other = tallyfy.add_user("sam@sandbox.example")["id"]
    project = TallyfyLaunchProjectOperator(
        task_id="task",
        title="Move",
        owners={"users": [tallyfy.user["id"], str(other)], "guests": ["g@x.example"]},
        task_kind="approval",
        deadline=deadline,
        summary="Pack.",
    )
    result = project.execute(context_of())
    run = tallyfy.run(result["id"])
    assert (run["name"], result["name"], result["changed"]) == ("Move", "Move", True)
    assert [task["owners"]["users"] + task["owners"]["guests"] for task in run["tasks"]] == [
        [tallyfy.user["id"]],
        [other],
        ["g@x.example"],
    ]
    assert {(task["task_type"], task["deadline"]) for task in run["tasks"]} == {("approval", "2026-01-31 17:00:00")}


def test_a_project_is_due_in_a_week_unless_said_otherwise(tallyfy):
    owners = {"users": [tallyfy.user["id"]]}
    for arguments, days in (({}, 7), ({"deadline": timedelta(days=2)}, 2)):
        project = TallyfyLaunchProjectOperator(task_id="task", title="Move", owners=owners, **arguments)
        run = tallyfy.run(project.execute(context_of(map_index=days))["id"])
        due = datetime.fromisoformat(run["tasks"][0]["deadline"]).replace(tzinfo=UTC)
        assert abs(due - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=1)


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("shape", ["run", "wrapped run", "run_id"])
def test_a_projects_run_is_found_wherever_the_answer_names_it(tallyfy, shape):
    run = tallyfy.add_run(name="Move")
    named = {"run": {"run": {"id": run["id"]}}, "wrapped run": {"run": {"data": {"id": run["id"]}}}}
    body = {"data": {"id": "f" * 32, "title": "Move"} | named.get(shape, {"run_id": run["id"]})}
    tallyfy.faults.add("status", method="POST", status=201, body=body)
    project = TallyfyLaunchProjectOperator(task_id="task", title="Move", owners={"users": [1001]})
    assert project.execute(context_of())["id"] == run["id"]


@pytest.mark.usefixtures("worlds")
def test_a_project_whose_run_is_not_shown_at_once_is_waited_for(tallyfy, pauses):
    tallyfy.faults.add("status", method="GET", path="/runs/", status=404, times=2)
    project = TallyfyLaunchProjectOperator(task_id="task", title="Move", owners={"users": [tallyfy.user["id"]]})
    assert project.execute(context_of())["name"] == "Move"
    assert pauses[:2] == [1.0, 2.0]


@pytest.mark.usefixtures("worlds")
def test_a_project_whose_run_is_not_shown_at_all_is_left_to_the_next_try(tallyfy):
    tallyfy.faults.add("status", method="GET", path="/runs/", status=404, times=3)
    arguments = {"task_id": "task", "title": "Move", "owners": {"users": [tallyfy.user["id"]]}}
    end = attempt(lambda: TallyfyLaunchProjectOperator(**arguments).execute(context_of()))
    assert (end.state, end.error) == ("up_for_retry", "TallyfyUnknownOutcomeError")
    result = TallyfyLaunchProjectOperator(**arguments).execute(context_of(try_number=2))
    assert [run["id"] for run in tallyfy.runs] == [result["id"]]


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("write", [json.dumps, str], ids=["JSON", "Python"])
def test_objects_may_come_out_of_templates_as_text(tallyfy, write):
    """A template without render_template_as_native_obj makes text of every object."""
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


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (datetime(2026, 1, 31), "2026-01-31T00:00:00"),
        (date(2026, 1, 31), "2026-01-31"),
        (Decimal("1.5"), "1.5"),
    ],
    ids=str,
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_raw_values_are_sent_in_the_types_that_json_has(tallyfy, value, sent, dry_run):
    template = tallyfy.add_template("Plain", kickoff=[{"label": "Notes", "field_type": "text"}])
    field = template["prerun"][0]["id"]
    result = launch(template, prerun={field: value}, dry_run=dry_run)
    posts = [request.json() for request in tallyfy.requests if request.method == "POST"]
    [body] = [request["body"] for request in result["requests"]] if dry_run else posts
    assert body["prerun"] == {field: sent}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), Decimal("NaN"), 10**400, object(), b"a"],
    ids=lambda value: type(value).__name__,
)
def test_raw_values_that_json_lacks_are_refused_by_name(tallyfy, value):
    template = tallyfy.add_template("Plain", kickoff=[{"label": "Notes", "field_type": "text"}])
    end = attempt(lambda: launch(template, prerun={template["prerun"][0]["id"]: value}))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "prerun" in str(end.exception)
    assert tallyfy.runs == []
