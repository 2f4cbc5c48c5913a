from __future__ import annotations

import pytest

from airflow_provider_tallyfy.sandbox import Behavior

FIELDS = [
    {"label": "Company", "field_type": "text", "required": True},
    {"label": "Email", "field_type": "email", "required": True},
    {"label": "Go-live", "field_type": "date"},
    {"label": "Plan", "field_type": "radio", "options": ["Trial", "Paid"]},
    {"label": "Tier", "field_type": "dropdown", "options": ["Silver", "Gold"]},
    {"label": "Add-ons", "field_type": "multiselect", "options": ["SSO", "Audit"]},
    {"label": "Order", "field_type": "table", "columns": ["Item", "Quantity"]},
    {"label": "Team", "field_type": "assignees_form"},
    {"label": "Contract", "field_type": "file"},
]
GOOD = {
    "Company": "Acme",
    "Email": "a@b.c",
    "Go-live": "2026-01-02T00:00:00.000Z",
    "Plan": "Paid",
    "Tier": {"id": 2, "text": "Gold", "value": None},
    "Add-ons": [{"id": 1, "text": "SSO", "selected": True}],
    "Order": ["Widget", "3"],
    "Team": {"users": [1001]},
    "Contract": [{"filename": "a.pdf", "source": "url", "url": "http://x.example/a.pdf"}],
}


@pytest.fixture
def template(tallyfy_sandbox):
    return tallyfy_sandbox.add_template("Onboarding", kickoff=FIELDS, steps=["One", "Two", "Three"])


def prerun(template, **changes):
    by_label = {field["label"]: field["id"] for field in template["prerun"]}
    values = {**GOOD, **changes}
    return {by_label[label]: value for label, value in values.items() if value is not None}


def launch(api, template, **fields):
    return api("POST", "/runs", json={"checklist_id": template["id"], **fields})


@pytest.mark.usefixtures("worlds")
def test_a_launch_answers_201_and_stores_its_arguments(api, tallyfy_sandbox, template):
    values = prerun(template)
    answer = launch(api, template, name="Acme", summary="[key:1]", prerun=values, users=[5], guests=["dropped@x.y"])
    assert answer.status_code == 201
    stored = tallyfy_sandbox.run(answer.json()["data"]["id"])
    assert (stored["name"], stored["summary"], stored["prerun"], stored["users"]) == ("Acme", "[key:1]", values, [5])
    assert [task["title"] for task in stored["tasks"]] == ["One", "Two", "Three"]
    assert api.data(f"/runs/{stored['id']}?with=prerun")["prerun"] == values


@pytest.mark.parametrize("value", [5, "1002", {"id": "t1"}, True], ids=repr)
@pytest.mark.parametrize("name", ["tags", "users", "groups", "folders"])
def test_an_invalid_list_of_ids_is_refused(api, tallyfy_sandbox, template, name, value):
    answer = launch(api, template, prerun=prerun(template), **{name: value})
    assert answer.status_code == 422
    assert answer.json()["errors"].keys() == {name}
    assert tallyfy_sandbox.runs == []


@pytest.mark.parametrize("value", [5, "1002"], ids=repr)
@pytest.mark.parametrize("name", ["users", "groups"])
def test_an_update_with_an_invalid_list_of_ids_is_refused(api, tallyfy_sandbox, name, value):
    run = tallyfy_sandbox.add_run(users=[1001], groups=["g1"])
    assert api("PUT", f"/runs/{run['id']}", json={name: value}).status_code == 422
    stored = tallyfy_sandbox.run(run["id"])
    assert (stored["users"], stored["groups"]) == ([1001], ["g1"])


def test_a_launch_without_a_name_is_named_after_its_template(api, template):
    assert launch(api, template, prerun=prerun(template)).json()["data"]["name"].startswith("Onboarding - ")


def test_each_missing_required_field_is_named(api, template):
    answer = launch(api, template)
    assert answer.status_code == 422
    assert sorted(answer.json()["errors"].values()) == [["Company is required"], ["Email is required"]]


def test_unknown_kickoff_keys_are_dropped_silently(api, tallyfy_sandbox, template):
    answer = launch(api, template, prerun=prerun(template) | {"company": "by alias"})
    assert answer.status_code == 201
    assert "company" not in tallyfy_sandbox.run(answer.json()["data"]["id"])["prerun"]


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        ("Company", 5, "Company must be a string"),
        ("Email", "nobody", "Email must be a valid email address"),
        ("Go-live", 1700000000, "Go-live is not a valid date"),
        ("Plan", {"id": 1, "text": "Trial"}, "The selected Plan is invalid"),
        ("Tier", "Gold", "The selected Tier is invalid"),
        ("Add-ons", "SSO", "The selected Add-ons is invalid"),
        ("Order", ["Widget"], "Number of columns does not match required columns"),
        ("Order", "", "Invalid table field"),
        ("Team", [1001], "Team must name users, guests or groups"),
        ("Contract", "http://x.example/a.pdf", "Contract must be a list of files"),
    ],
)
def test_a_value_of_the_wrong_shape_is_refused(api, template, label, value, message):
    answer = launch(api, template, prerun=prerun(template, **{label: value}))
    assert answer.status_code == 422
    assert list(answer.json()["errors"].values()) == [[message]]
    assert api.names() == []


def test_names_templates_and_lists_are_checked(api, tallyfy_sandbox, template):
    values = prerun(template)
    assert launch(api, template, prerun=values, name="x" * 550).status_code == 201
    assert launch(api, template, prerun=values, name="x" * 551).status_code == 422
    assert launch(api, template, prerun=[{"id": 1}]).status_code == 422
    assert api("POST", "/runs", json={"name": "no template"}).status_code == 422
    assert api("POST", "/runs", json={"checklist_id": "ab" * 16}).json()["code"] == "RESOURCE_NOT_FOUND"
    assert api("POST", "/runs", data="{broken").status_code == 422


@pytest.mark.parametrize(
    ("tallyfy_sandbox", "status"), [("lenient", 404), ("strict", 422)], indirect=["tallyfy_sandbox"]
)
def test_an_archived_template_cannot_be_launched(api, tallyfy_sandbox, status):
    template = tallyfy_sandbox.add_template("Old", archived=True)
    assert launch(api, template).status_code == status
    assert api("GET", f"/checklists/{template['id']}").status_code == 404


def test_a_partial_tasks_map_truncates_the_process(api, tallyfy_sandbox, template):
    step = template["steps"][1]["id"]
    owners = {"users": [1001], "guests": [], "groups": []}
    answer = launch(api, template, prerun=prerun(template), tasks={step: {"owners": owners}})
    assert answer.status_code == 201
    tasks = tallyfy_sandbox.run(answer.json()["data"]["id"])["tasks"]
    assert [(task["title"], task["owners"]) for task in tasks] == [("Two", owners)]


def test_runs_of_a_template_may_complete_by_themselves(api, tallyfy_sandbox):
    template = tallyfy_sandbox.add_template("Quick", complete_after=3)
    run_id = launch(api, template).json()["data"]["id"]
    tallyfy_sandbox.advance(4)
    assert api.data(f"/runs/{run_id}")["status"] == "complete"


def test_a_template_shows_its_kickoff_form(api, template):
    shown = api.data(f"/checklists/{template['id']}")
    radio = next(field for field in shown["prerun"] if field["label"] == "Plan")
    assert radio["options"] == [{"id": 1, "text": "Trial"}, {"id": 2, "text": "Paid"}]
    assert "steps" not in shown
    assert len(api.data(f"/checklists/{template['id']}?with=steps")["steps"]["data"]) == 3
    assert [listed["title"] for listed in api.data("/checklists")] == ["Onboarding"]


def test_a_project_is_launched_without_a_template(api, tallyfy_sandbox):
    body = {"title": "Tidy up", "separate_task_for_each_assignee": True, "owners": {"users": [1001, 1002]}}
    answer = api("POST", "/tasks", json=body)
    assert answer.status_code == 201
    first = answer.json()["data"]
    assert (first["title"], first["run"]["name"]) == ("Tidy up", "Tidy up")
    assert len(tallyfy_sandbox.run(first["run"]["id"])["tasks"]) == 2
    api("POST", "/tasks", json={"title": "One more", "run_id": first["run"]["id"]})
    assert len(tallyfy_sandbox.run(first["run"]["id"])["tasks"]) == 3
    assert api("POST", "/tasks", json={"owners": {}}).status_code == 422
    assert api.data("/checklists") == []


def test_completing_the_last_task_completes_the_run(api, tallyfy_sandbox):
    tallyfy_sandbox.add_template("Two", steps=["One", {"title": "Approve", "task_type": "approval"}])
    run = tallyfy_sandbox.add_run()
    one, approve = (task["id"] for task in run["tasks"])
    path = f"/runs/{run['id']}/completed-tasks"
    assert api("POST", path, json={"task_id": one}).json()["data"]["status"] == "completed"
    assert api("POST", path, json={"task_id": approve}).status_code == 422
    assert api.data(f"/runs/{run['id']}")["status"] == "active"
    assert api("POST", path, json={"task_id": approve, "is_approved": True}).ok
    assert api.data(f"/runs/{run['id']}")["status"] == "complete"
    assert api("DELETE", f"{path}/{one}").ok
    reopened = api.data(f"/runs/{run['id']}")
    assert (reopened["status"], reopened["completed_at"]) == ("active", None)
    assert [t["title"] for t in api.data(f"/runs/{run['id']}/tasks?status=incomplete")] == ["One"]
    assert api("GET", f"/runs/{run['id']}/tasks?status=nonsense").status_code == 422


def test_completing_twice_fires_webhooks_again_or_is_refused(api, tallyfy_sandbox):
    run = tallyfy_sandbox.add_run()
    body = {"task_id": run["tasks"][0]["id"]}
    for _ in range(2):
        assert api("POST", f"/runs/{run['id']}/completed-tasks", json=body).status_code == 200
    assert [hook["event"] for hook in tallyfy_sandbox.webhooks] == ["task.completed"] * 2
    tallyfy_sandbox.behavior = Behavior.strict()
    assert api("POST", f"/runs/{run['id']}/completed-tasks", json=body).status_code == 422


def test_form_values_are_filled_in_and_read_back(api, tallyfy_sandbox):
    field = {"label": "Tax number", "field_type": "text", "required": True}
    tallyfy_sandbox.add_template("Form", steps=[{"title": "Fill", "form_fields": [field]}])
    run = tallyfy_sandbox.add_run()
    task, field_id = run["tasks"][0], run["tasks"][0]["form_fields"][0]["id"]
    assert api("POST", f"/runs/{run['id']}/completed-tasks", json={"task_id": task["id"]}).status_code == 422
    body = {"taskdata": {field_id: "DE123", "unknown": 1}, "owners": {"guests": ["g@x.y"]}}
    filled = api("PUT", f"/runs/{run['id']}/tasks/{task['id']}", json=body).json()["data"]
    assert (filled["status"], filled["owners"]["users"]) == ("in-progress", [])
    assert api("GET", f"/runs/{run['id']}/form-fields").json()["form_fields"][0]["value"] == "DE123"
    assert api("POST", f"/runs/{run['id']}/completed-tasks", json={"task_id": task["id"]}).ok


@pytest.mark.parametrize("where", ["run", "tasks"])
def test_the_summary_of_a_project_is_kept_where_the_behavior_says(api, tallyfy_sandbox, where):
    tallyfy_sandbox.behavior = Behavior(project_summary=where)
    body = {"title": "Move", "task_type": "task", "summary": "Pack.", "separate_task_for_each_assignee": True}
    shown = api("POST", "/tasks", json=body).json()["data"]
    run = api.data(f"/runs/{shown['run']['id']}?with=tasks")
    assert (run["summary"] == "Pack.") == (where == "run")
    assert (run["tasks"]["data"][0].get("summary") == "Pack.") == (where == "tasks")


def test_lists_show_a_project_as_late_as_any_launch(api, tallyfy_sandbox):
    tallyfy_sandbox.behavior = Behavior(list_lag=1)
    api("POST", "/tasks", json={"title": "Move", "task_type": "task", "separate_task_for_each_assignee": True})
    assert api.data("/runs") == []
    assert [run["name"] for run in api.data("/runs")] == ["Move"]
