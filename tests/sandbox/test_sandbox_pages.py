"""The pages of the sandbox: whatever a person does there, the API shows."""

from __future__ import annotations

import pytest
import requests

from airflow_provider_tallyfy.sandbox import Sandbox
from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from tests.sandbox.browser import Browser

EVERY_KIND = [
    {"label": "Word", "field_type": "text"},
    {"label": "Story", "field_type": "textarea"},
    {"label": "Plan", "field_type": "radio", "options": ["Trial", "Paid"]},
    {"label": "Tier", "field_type": "dropdown", "options": ["Silver", "Gold"]},
    {"label": "Extras", "field_type": "multiselect", "options": ["SSO", "Audit log"]},
    {"label": "Order", "field_type": "table", "columns": ["Item", "Quantity"]},
    {"label": "Day", "field_type": "date"},
    {"label": "Mail", "field_type": "email"},
    {"label": "People", "field_type": "assignees_form"},
    {"label": "Scan", "field_type": "file"},
]
ANSWERS = {
    "Word": "DE 123",
    "Story": "one\r\ntwo",
    "Plan": "Paid",
    "Tier": "2",
    "Extras": ["", "1", "2"],
    "Item": ["Widget", "3"],
    "Day": "2026-12-24",
    "Mail": "a@b.example",
}
STORED = {
    "Word": "DE 123",
    "Story": "one\ntwo",
    "Plan": "Paid",
    "Tier": {"id": 2, "text": "Gold"},
    "Extras": [{"id": 1, "text": "SSO", "selected": True}, {"id": 2, "text": "Audit log", "selected": True}],
    "Order": ["Widget", "3"],
    "Day": "2026-12-24",
    "Mail": "a@b.example",
}


@pytest.fixture
def browser(tallyfy_sandbox):
    return Browser(tallyfy_sandbox)


@pytest.fixture
def run(tallyfy_sandbox):
    """Give a run with a task, an approval, and a task whose form has a required field."""
    tallyfy_sandbox.add_template(
        "Review",
        steps=[
            "Prepare",
            {"title": "Decide", "task_type": "approval"},
            {"title": "Note", "form_fields": [{"label": "Result", "required": True}]},
        ],
    )
    return tallyfy_sandbox.add_run(name="Review 1")


@pytest.fixture
def open_run(browser, tallyfy_sandbox):
    return lambda run: browser.open(tallyfy_sandbox.run_url(run["id"]))


def values_by_label(fields, values):
    return {field["label"]: values[field["id"]] for field in fields if values.get(field["id"]) is not None}


def test_the_first_page_lists_runs_with_status_and_progress(browser, tallyfy_sandbox):
    tallyfy_sandbox.load(DEFAULT)
    page = browser.open("/")
    for run in tallyfy_sandbox.runs:
        assert run["id"] in page.text
        assert page.links[run["name"]] == f"/{tallyfy_sandbox.organization_id}/processes/{run['id']}"
    assert {"active", "archived", "complete", "problem"} <= set(page.text.split())
    assert "4 of 4" in page.text
    assert "Onboarding - Hooli" in browser.open(page.links["Onboarding - Hooli"]).text


def test_runs_can_be_searched_by_name_id_and_status(browser, tallyfy_sandbox):
    tallyfy_sandbox.load(DEFAULT)
    browser.open("/")
    assert [name for name in browser.press("Search", fields={"q": "hOOli"}).links if "-" in name] == [
        "Onboarding - Hooli"
    ]
    problem = [name for name in browser.press("Search", fields={"q": "", "status": "problem"}).links if "-" in name]
    assert problem == ["Onboarding - Initech"]
    assert "No run is found." in browser.press("Search", fields={"q": "nobody"}).text


def test_many_runs_fill_several_pages(browser, tallyfy_sandbox):
    tallyfy_sandbox.add_runs(120)
    first = browser.open("/")
    assert "page 1 of 3, 120 runs" in first.text
    second = browser.press("Next")
    assert "page 2 of 3" in second.text
    assert not {name for name in first.links if name.startswith("Run ")} & second.links.keys()
    assert "Next" not in [*browser.press("Next").forms[-1].buttons]
    assert "page 2 of 3" in browser.press("Previous").text


@pytest.mark.usefixtures("worlds")
def test_completing_every_task_completes_the_run(browser, api, open_run, run):
    open_run(run)
    browser.press("Complete", "Prepare")
    assert browser.press("Approve", "Decide").text.count("approved") == 1
    browser.press("Complete", "Note", {"Result": "fine"})
    shown = api.data(f"/runs/{run['id']}?with=tasks,form_fields")
    assert shown["status"] == "complete"
    tasks = [api.data(f"/runs/{run['id']}/tasks/{task['id']}") for task in shown["tasks"]["data"]]
    assert [task["is_approved"] for task in tasks] == [None, True, None]
    assert [field["value"] for field in shown["form_fields"]["data"]] == ["fine"]
    assert "3 of 3" in browser.page.text


@pytest.mark.usefixtures("worlds")
def test_a_task_can_be_rejected_and_opened_again(browser, tallyfy_sandbox, open_run, run):
    open_run(run)
    browser.press("Reject", "Decide")
    assert tallyfy_sandbox.run(run["id"])["tasks"][1]["is_approved"] is False
    assert browser.buttons("Decide") == {"Reopen", "Comment", "Report problem"}
    browser.press("Reopen", "Decide")
    assert tallyfy_sandbox.run(run["id"])["tasks"][1]["status"] == "not-started"


def test_saving_a_field_leaves_the_task_open(browser, api, open_run, run):
    open_run(run)
    browser.press("Save", "Note", {"Result": "so far"})
    task = api.data(f"/runs/{run['id']}?with=tasks")["tasks"]["data"][2]
    assert (task["status"], [*task["taskdata"].values()]) == ("in-progress", ["so far"])
    browser.press("Save", "Note")
    assert browser.page.text.count("Updated task: Note") == 1


@pytest.mark.usefixtures("worlds")
def test_a_page_explains_what_the_api_refuses(browser, tallyfy_sandbox, open_run, run):
    open_run(run)
    page = browser.press("Complete", "Note")
    assert browser.answer.status_code == 422
    assert "Result is required" in page.text
    assert tallyfy_sandbox.run(run["id"])["tasks"][2]["status"] == "not-started"


@pytest.mark.usefixtures("worlds")
def test_problems_are_reported_and_resolved_on_tasks_and_runs(browser, tallyfy_sandbox, open_run, run):
    open_run(run)
    browser.press("Report problem", "Prepare", {"content": "no paper"})
    assert tallyfy_sandbox.run(run["id"])["status"] == "problem"
    assert "This task has unresolved issues." in browser.press("Complete", "Prepare").text
    browser.press("Resolve problem", "Prepare")
    assert tallyfy_sandbox.run(run["id"])["status"] == "active"
    browser.press("Report problem", "Review 1", {"content": "wrong customer"})
    assert tallyfy_sandbox.run(run["id"])["status"] == "issue"
    browser.press("Resolve problem", "Review 1")
    assert tallyfy_sandbox.run(run["id"])["status"] == "active"
    assert "Resolve problem" not in browser.buttons()


def test_comments_change_no_status(browser, tallyfy_sandbox, open_run, run):
    open_run(run)
    browser.press("Comment", "Review 1", {"content": "about the run"})
    page = browser.press("Comment", "Prepare", {"content": "about the task"})
    stored = tallyfy_sandbox.run(run["id"])
    assert ([thread["on"] for thread in stored["threads"]], stored["status"]) == (["run", "task"], "active")
    assert "about the run" in page.text
    assert "about the task" in page.text


@pytest.mark.usefixtures("worlds")
def test_a_run_is_archived_and_restored(browser, tallyfy_sandbox, open_run, run):
    open_run(run)
    browser.press("Archive run")
    assert tallyfy_sandbox.run(run["id"])["archived_at"]
    assert browser.buttons() == {"Restore run"}
    browser.press("Restore run")
    assert tallyfy_sandbox.run(run["id"])["archived_at"] is None


@pytest.mark.usefixtures("worlds")
def test_all_tasks_of_a_run_are_completed_at_once(browser, api, tallyfy_sandbox, open_run, run):
    tallyfy_sandbox.add_problem(run["id"])
    open_run(run)
    browser.press("Complete all tasks")
    assert api.data(f"/runs/{run['id']}")["status"] == "complete"
    assert "Complete all tasks" not in browser.buttons()


@pytest.mark.usefixtures("worlds")
def test_a_run_is_launched_from_a_template_with_fields_of_every_kind(browser, tallyfy_sandbox):
    template = tallyfy_sandbox.add_template("Form", kickoff=EVERY_KIND)
    browser.open(browser.open("/").links["Launch a run"])
    browser.press("Launch run", fields={"name": "By hand"} | ANSWERS)
    [run] = tallyfy_sandbox.runs
    assert browser.answer.url == tallyfy_sandbox.run_url(run["id"])
    assert run["name"] == "By hand"
    assert values_by_label(template["prerun"], run["prerun"]) == STORED


def test_a_form_that_is_refused_keeps_what_was_written(browser, tallyfy_sandbox):
    required = {"label": "Company", "field_type": "text", "required": True}
    tallyfy_sandbox.add_template("Form", kickoff=[*EVERY_KIND, required])
    browser.open(browser.open("/").links["Launch a run"])
    page = browser.press("Launch run", fields={"name": "By hand"} | ANSWERS)
    assert "Company is required" in page.text
    assert tallyfy_sandbox.runs == []
    [form] = page.forms
    assert {"By hand", "DE 123", "Paid", "2", "Widget", "3", "2026-12-24"} <= {value for _, value in form.inputs}
    browser.press("Launch run", fields={"Company": "ACME", "Story": ANSWERS["Story"]})
    [run] = tallyfy_sandbox.runs
    values = values_by_label(tallyfy_sandbox.store.template("Form")["prerun"], run["prerun"])
    assert values == STORED | {"Company": "ACME"}


def test_fields_of_every_kind_are_filled_in_and_emptied_in_a_task(browser, tallyfy_sandbox, open_run):
    tallyfy_sandbox.add_template("Form", steps=[{"title": "Fill in", "form_fields": EVERY_KIND}])
    run = tallyfy_sandbox.add_run()
    open_run(run)
    browser.press("Save", "Fill in", ANSWERS)
    [task] = tallyfy_sandbox.run(run["id"])["tasks"]
    assert values_by_label(task["form_fields"], task["taskdata"]) == STORED
    browser.press("Save", "Fill in", dict.fromkeys(ANSWERS, "") | {"Item": ["", ""]})
    [task] = tallyfy_sandbox.run(run["id"])["tasks"]
    assert values_by_label(task["form_fields"], task["taskdata"]) == {}


HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(2)>{{ 7 * 7 }}"""


def test_hostile_names_are_escaped_on_every_page(browser, tallyfy_sandbox, open_run):
    field = {"label": HOSTILE, "field_type": "dropdown", "options": [HOSTILE]}
    table = {"label": HOSTILE, "field_type": "table", "columns": [HOSTILE]}
    step = {"title": HOSTILE, "form_fields": [field, table, {"label": HOSTILE}]}
    template = tallyfy_sandbox.add_template(HOSTILE, kickoff=[field, table, {"label": HOSTILE}], steps=[step])
    prerun = {each["id"]: HOSTILE for each in template["prerun"] if each["field_type"] == "text"}
    run = tallyfy_sandbox.add_run(name=HOSTILE, summary=HOSTILE, tags=[HOSTILE], prerun=prerun)
    tallyfy_sandbox.add_problem(run["id"], HOSTILE)
    tallyfy_sandbox.add_problem(run["id"], HOSTILE, on_run=True)
    tallyfy_sandbox.user["full_name"] = HOSTILE
    paths = ("/", f"/?q={HOSTILE}&status={HOSTILE}", browser.open("/").links["Launch a run"], "/x/processes/y")
    for path in (*paths, tallyfy_sandbox.run_url(run["id"])):
        page = browser.open(path)
        assert "Resource not found" in page.text or HOSTILE in page.text
        assert "<script" not in browser.answer.text
        assert "<img" not in browser.answer.text
        assert browser.answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")


@pytest.mark.parametrize("run_id", ["a/b", "a?b#c", "<b>"])
def test_an_odd_id_has_a_page_too(browser, tallyfy_sandbox, run_id):
    tallyfy_sandbox.add_run(id=run_id, name="Odd")
    browser.open("/")
    assert "Odd" in browser.open(browser.page.links["Odd"]).text
    browser.press("Archive run")
    assert "Restore run" in browser.buttons()


@pytest.mark.parametrize(
    "path", ["/{org}/processes/nobody", "/{org}/templates/nobody", "/other/processes/{run}", "/other/templates/{t}"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_there_is_a_404(browser, tallyfy_sandbox, run, path, method):
    template = tallyfy_sandbox.store.template("Review")["id"]
    known = {"org": tallyfy_sandbox.organization_id, "run": run["id"], "t": template}
    answer = requests.request(
        method, tallyfy_sandbox.url + path.format(**known), headers=browser.headers, data={"do": "archive"}, timeout=10
    )
    assert answer.status_code == 404
    assert "Resource not found" in answer.text
    assert tallyfy_sandbox.run(run["id"])["archived_at"] is None


def test_an_unknown_task_or_button_changes_nothing(browser, tallyfy_sandbox, run):
    url, before = tallyfy_sandbox.run_url(run["id"]), tallyfy_sandbox.run(run["id"])
    task = f"{url}/tasks/{before['tasks'][0]['id']}"
    for place, status in ((url, 200), (task, 200), (f"{url}/tasks/nobody", 404)):
        answer = requests.post(place, headers=browser.headers, data={"do": "dance"}, timeout=10)
        assert answer.status_code == status
    assert tallyfy_sandbox.run(run["id"]) == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "same-site", "Origin": "{url}"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "{url}"}, 303),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Host": "evil.example"}, 403),
        ({"Origin": "http://evil.example", "Host": "evil.example"}, 403),
    ],
)
def test_only_a_form_of_the_sandbox_changes_anything(tallyfy_sandbox, run, headers, status):
    headers = {name: value.format(url=tallyfy_sandbox.url) for name, value in headers.items()}
    url = tallyfy_sandbox.run_url(run["id"])
    answer = requests.post(url, headers=headers, data={"do": "archive"}, timeout=10, allow_redirects=False)
    assert answer.status_code == status
    assert bool(tallyfy_sandbox.run(run["id"])["archived_at"]) is (status == 303)


def test_pages_are_shown_only_under_names_of_this_machine(tallyfy_sandbox):
    named = {"headers": {"Host": "evil.example"}, "timeout": 10}
    assert requests.get(tallyfy_sandbox.url, **named).status_code == 403
    with Sandbox(host="127.0.0.1") as open_to_others:
        assert requests.get(open_to_others.url, **named).status_code == 200


def test_pages_are_not_recorded_and_have_no_faults(browser, tallyfy_sandbox, open_run, run):
    tallyfy_sandbox.faults.add("status", status=500, times=None)
    open_run(run)
    browser.press("Archive run")
    assert browser.open("/style.css")
    assert browser.answer.headers["content-type"].startswith("text/css")
    assert tallyfy_sandbox.requests == []
