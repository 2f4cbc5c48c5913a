"""The audit trail and the export of a run, and what the hook does with tasks, forms and tags."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyNotFoundError, TallyfyUnknownOutcomeError, TallyfyValidationError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.tallyfy import TallyfyExportRunOperator, TallyfyRunActivityOperator
from airflow_provider_tallyfy.sandbox import Behavior
from tests.airflow_driver import attempt
from tests.task_contexts import context_of

strict_world = pytest.mark.parametrize("tallyfy_sandbox", ["strict"], indirect=True)


def activity(run_id: str, **arguments: Any) -> Any:
    return TallyfyRunActivityOperator(task_id="audit", run_id=run_id, **arguments).execute(context_of())


def export(run_id: str, path: Any) -> Any:
    return TallyfyExportRunOperator(task_id="export", run_id=run_id, output_path=str(path)).execute(context_of())


def writes(tallyfy) -> list[str]:
    return [f"{r.method} {r.path.rpartition('/')[2]}" for r in tallyfy.requests if r.method != "GET"]


@pytest.fixture
def hook(tallyfy):
    with TallyfyHook() as hook:
        yield hook


# -- activity -------------------------------------------------------------------------------------------


@pytest.fixture
def audited(tallyfy) -> dict[str, Any]:
    """Return a run of ten days with a history."""
    run = tallyfy.add_run(name="Acme", created_at="10 days ago")
    stored = tallyfy.store.find(run["id"])
    for days, verb in ((8, "updated"), (6, "archived"), (4, "unarchived"), (2, "updated")):
        tallyfy.store.log(stored, verb, "Process", f"{verb}!")
        tallyfy.store.activity[-1]["at"] = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    return run


@pytest.mark.usefixtures("worlds")
def test_the_audit_trail_is_in_order_and_in_plain_values(tallyfy, audited):
    entries = activity(audited["id"])
    assert [entry["verb"] for entry in entries] == ["created", "updated", "archived", "unarchived", "updated"]
    assert entries[1].keys() == {
        "id",
        "verb",
        "kind",
        "subject_id",
        "description",
        "actor_name",
        "actor_email",
        "created_at",
    }
    archived = entries[2]
    moment = datetime.fromtimestamp(tallyfy.store.activity[2]["at"], UTC)
    assert (archived["kind"], archived["subject_id"], archived["description"]) == (
        "Process",
        audited["id"],
        "archived!",
    )
    assert (archived["actor_email"], archived["actor_name"]) == (tallyfy.user_email, "Ada Service")
    assert archived["created_at"] == f"{moment:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("tallyfy_sandbox", [Behavior(activity_timestamps="sql")], indirect=True, ids=["sql"])
def test_times_in_the_other_format_mean_the_same(tallyfy, audited):
    sql = activity(audited["id"])
    tallyfy.behavior = Behavior(activity_timestamps="iso")
    assert activity(audited["id"]) == sql


@pytest.mark.usefixtures("worlds")
def test_verbs_and_a_span_of_time_choose_entries(tallyfy, audited):
    def verbs(**arguments):
        return [entry["verb"] for entry in activity(audited["id"], **arguments)]

    def ago(days):
        return (datetime.now(UTC) - timedelta(days=days)).isoformat()

    assert verbs(verbs=["archived", "unarchived"]) == verbs(verbs="archived,unarchived") == ["archived", "unarchived"]
    assert verbs(since=ago(7)) == ["archived", "unarchived", "updated"]
    assert verbs(until=ago(7)) == ["created", "updated"]
    assert verbs(since=datetime.now(UTC) - timedelta(days=7), until=ago(3)) == ["archived", "unarchived"]
    moment = activity(audited["id"], verbs="archived")[0]["created_at"]
    assert verbs(since=moment)[:1] == ["archived"]
    assert verbs(until=moment)[-1:] == ["updated"]


def test_the_feed_is_not_read_beyond_the_requested_time(tallyfy, audited):
    stored = tallyfy.store.find(audited["id"])
    for _ in range(250):
        tallyfy.store.log(stored, "commented", "Comment", "again")
        tallyfy.store.activity[-1]["at"] = (datetime.now(UTC) - timedelta(days=9)).timestamp()
    assert len(activity(audited["id"], since=(datetime.now(UTC) - timedelta(days=7)).isoformat())) == 3
    assert len(tallyfy.requests) == 1
    assert len(activity(audited["id"], max_xcom_bytes=1_000_000)) == 255
    assert len(tallyfy.requests) == 4


@pytest.mark.usefixtures("worlds")
def test_a_long_audit_trail_goes_to_a_file(tallyfy, audited, tmp_path):
    end = attempt(lambda: activity(audited["id"], max_xcom_bytes=300))
    assert "set output_path" in str(end.exception)
    path = str(tmp_path / "audit.jsonl")
    assert activity(audited["id"], output_path=path, max_xcom_bytes=300) == {"path": path, "count": 5}
    lines = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["verb"] for line in lines] == [entry["verb"] for entry in activity(audited["id"])]


@strict_world
def test_hidden_activity_of_an_archived_run_differs_from_a_missing_run(tallyfy, audited):
    tallyfy.archive_run(audited["id"])
    end = attempt(lambda: activity(audited["id"]))
    assert (end.state, end.error) == ("failed", "TallyfyNotFoundError")
    assert "The run is archived" in str(end.exception)
    tallyfy.delete_run(audited["id"])
    assert "archived" not in str(attempt(lambda: activity(audited["id"])).exception)


# -- export ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tallyfy_sandbox",
    [Behavior(export_wrapped=True), Behavior(export_wrapped=False), Behavior.strict()],
    indirect=True,
    ids=["wrapped", "bare", "strict"],
)
def test_an_export_is_written_without_its_wrapping(tallyfy, tmp_path):
    run = tallyfy.add_run(name="Acme")
    path = tmp_path / "new/export.json"
    assert export(run["id"], path) == {"path": str(path)}
    written = json.loads(path.read_text())
    assert (written["id"], written["name"], len(written["tasks"])) == (run["id"], "Acme", 3)


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"status": 503}, {"kind": "truncated"}], ids=str)
def test_a_lost_export_is_requested_again(tallyfy, tmp_path, fault):
    run = tallyfy.add_run(name="Acme")
    tallyfy.faults.add(method="POST", **fault)
    export(run["id"], tmp_path / "export.json")
    assert json.loads((tmp_path / "export.json").read_text())["name"] == "Acme"


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("body", ["html", "empty", "null", {}], ids=str)
def test_an_export_of_nothing_fails_the_task_and_writes_no_file(tallyfy, tmp_path, body):
    run = tallyfy.add_run(name="Acme")
    tallyfy.faults.add("status", method="POST", status=200, body=body)
    end = attempt(lambda: export(run["id"], tmp_path / "export.json"))
    assert (end.state, end.error) == ("up_for_retry", "TallyfyResponseError")
    assert not (tmp_path / "export.json").exists()


@strict_world
def test_the_error_explains_that_an_archived_run_is_not_exported(tallyfy, tmp_path):
    run = tallyfy.add_run(archived=True)
    end = attempt(lambda: export(run["id"], tmp_path / "export.json"))
    assert "The run is archived" in str(end.exception)


# -- tasks ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("worlds")
def test_tasks_are_listed_to_the_last_page(tallyfy, hook):
    template = tallyfy.add_template("Long", steps=[f"Step {number}" for number in range(230)])
    run = tallyfy.add_run(template["id"])
    tasks = hook.list_tasks(run["id"])
    assert [task["title"] for task in tasks] == [f"Step {number}" for number in range(230)]
    assert not any(task["is_done"] for task in tasks)


@pytest.mark.usefixtures("worlds")
def test_a_task_is_completed_once_however_often_it_is_asked_for(tallyfy, hook):
    run = tallyfy.add_run()
    task_id = run["tasks"][0]["id"]
    assert hook.complete_task(run["id"], task_id)["is_done"]
    assert hook.complete_task(run["id"], task_id)["is_done"]
    assert [webhook["event"] for webhook in tallyfy.webhooks] == ["task.completed"]


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"status": 500}, {"status": 200, "body": "html"}], ids=str)
def test_a_completion_whose_answer_is_lost_is_looked_up_and_not_repeated(tallyfy, hook, fault):
    run = tallyfy.add_run()
    tallyfy.faults.add(method="POST", applied=True, **fault)
    assert hook.complete_task(run["id"], run["tasks"][0]["id"])["is_done"]
    assert writes(tallyfy) == ["POST completed-tasks"]


@pytest.mark.usefixtures("worlds")
def test_a_completion_that_never_arrived_has_an_unknown_outcome(tallyfy, hook):
    run = tallyfy.add_run()
    tallyfy.faults.add("status", method="POST", status=500)
    with pytest.raises(TallyfyUnknownOutcomeError):
        hook.complete_task(run["id"], run["tasks"][0]["id"])


@pytest.mark.usefixtures("worlds")
def test_an_approval_needs_a_decision(tallyfy, hook):
    template = tallyfy.add_template("Legal", steps=[{"title": "Approve", "task_type": "approval"}])
    run = tallyfy.add_run(template["id"])
    task_id = run["tasks"][0]["id"]
    with pytest.raises(TallyfyValidationError, match="Give is_approved"):
        hook.complete_task(run["id"], task_id)
    assert hook.complete_task(run["id"], task_id, is_approved=False)["is_done"]
    assert tallyfy.run(run["id"])["tasks"][0]["is_approved"] is False


# -- form values ----------------------------------------------------------------------------------------


@pytest.fixture
def filled(tallyfy) -> dict[str, Any]:
    """Return a run whose kick-off form and tasks' forms are partly filled in."""
    template = tallyfy.add_template(
        "Onboarding",
        kickoff=[{"label": "Company", "alias": "company"}, {"label": "Notes"}],
        steps=[
            {"title": "Collect", "form_fields": [{"label": "Tax number", "alias": "tax"}]},
            {"title": "Decide", "form_fields": [{"label": "Decision"}, {"label": "Notes"}]},
        ],
    )
    run = tallyfy.add_run(template["id"], prerun={template["prerun"][0]["id"]: "Acme"})
    task = tallyfy.store.find(run["id"]).tasks[0]
    task["taskdata"] = {task["form_fields"][0]["id"]: "DE 123"}
    return tallyfy.run(run["id"])


@pytest.mark.usefixtures("worlds")
def test_form_fields_are_listed_with_what_tallyfy_stores(tallyfy, hook, filled):
    [company_id] = filled["prerun"]
    fields = hook.list_form_fields(filled["id"])
    assert fields[0] == {"id": company_id, "alias": "company", "label": "Company", "value": "Acme", "task_id": None}
    assert [field["value"] for field in fields] == ["Acme", None, "DE 123", None, None]
    json.dumps(fields)


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("template", ["live", "archived"])
def test_form_values_are_read_although_the_list_of_fields_fails(tallyfy, hook, filled, pauses, template):
    body = {"message": "Attempt to read property capture on null"}
    tallyfy.faults.add("status", path="form-fields", status=500, body=body, times=None)
    if template == "archived":
        tallyfy.store.template("Onboarding")["archived_at"] = "2026-01-01T00:00:00.000Z"
    values = hook.get_form_values(filled["id"])
    stored = {**filled["prerun"], **filled["tasks"][0]["taskdata"]}
    assert set(values.values()) >= set(stored.values())
    assert ("Company" in values) == (template == "live")
    assert pauses == []  # it is not requested again and again


@pytest.mark.usefixtures("worlds")
def test_a_transient_failure_of_the_list_of_fields_is_retried(tallyfy, hook, filled, pauses):
    tallyfy.faults.add("status", path="form-fields", status=503)
    assert hook.get_form_values(filled["id"])["Tax number"] == "DE 123"
    assert len(pauses) == 1


# -- tags -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("worlds")
def test_a_tag_is_put_on_once_and_taken_off_once(tallyfy, hook):
    run, tag = tallyfy.add_run(), tallyfy.add_tag("emea")["id"]
    other = tallyfy.add_tag("priority")["id"]
    hook.add_tag(run["id"], other)
    tallyfy.clear_requests()
    assert [hook.add_tag(run["id"], tag), hook.add_tag(run["id"], tag)] == [True, False]
    assert [link["tag_id"] for link in tallyfy.run(run["id"])["tags"]] == [other, tag]
    assert [hook.remove_tag(run["id"], tag), hook.remove_tag(run["id"], tag)] == [True, False]
    assert [link["tag_id"] for link in tallyfy.run(run["id"])["tags"]] == [other]
    assert [write.partition(" ")[0] for write in writes(tallyfy)] == ["POST", "DELETE"]


@pytest.mark.usefixtures("worlds")
def test_a_tag_whose_answer_is_lost_is_looked_up_and_not_put_on_twice(tallyfy, hook):
    run, tag = tallyfy.add_run(), tallyfy.add_tag("emea")["id"]
    tallyfy.faults.add("reset", method="POST", applied=True)
    assert hook.add_tag(run["id"], tag) is True
    tallyfy.faults.add("reset", method="DELETE", applied=True)
    assert hook.remove_tag(run["id"], tag) is True
    assert tallyfy.run(run["id"])["tags"] == []


@pytest.mark.usefixtures("worlds")
def test_a_tag_that_was_put_on_several_times_is_taken_off_as_often(tallyfy, hook):
    run, tag = tallyfy.add_run(tags=["emea"]), next(iter(tallyfy.store.tags))
    tallyfy.store.tag(tallyfy.store.find(run["id"]), tag)
    assert hook.remove_tag(run["id"], tag) is True
    assert tallyfy.run(run["id"])["tags"] == []


@pytest.mark.usefixtures("worlds")
def test_an_unknown_tag_and_a_missing_run_are_errors(tallyfy, hook):
    run = tallyfy.add_run()
    with pytest.raises(TallyfyValidationError, match="Tag not found"):
        hook.add_tag(run["id"], "f" * 32)
    with pytest.raises(TallyfyNotFoundError):
        hook.add_tag("f" * 32, "f" * 32)


# -- launching, changing and deleting through the hook ---------------------------------------------------


@pytest.mark.usefixtures("worlds")
def test_the_hook_launches_once_per_key_and_each_time_without_one(tallyfy, hook):
    template = tallyfy.add_template("Onboarding", kickoff=[{"label": "Company", "required": True}])
    arguments = {"kickoff": {"company": "Acme"}, "name": "Acme"}
    first = hook.launch_run(template["id"], launch_key="4711", **arguments)
    again = hook.launch_run(template["id"], launch_key="4711", **arguments)
    assert (first["changed"], again["changed"], again["id"]) == (True, False, first["id"])
    assert hook.launch_run(template["id"], **arguments)["changed"]
    assert hook.launch_run(template["id"], **arguments)["changed"]
    assert [list(run["prerun"].values()) for run in tallyfy.runs] == [["Acme"]] * 3


def test_none_in_an_update_is_a_missing_value_and_not_a_field_to_leave(tallyfy, hook):
    run = tallyfy.add_run(name="Acme", summary="old")
    with pytest.raises(TallyfyValidationError, match="name"):
        hook.update_run(run["id"], name=None, summary="new")
    with pytest.raises(TallyfyValidationError, match="is empty"):
        hook.update_run(run["id"])
    assert (tallyfy.run(run["id"])["summary"], tallyfy.requests) == ("old", [])


@pytest.mark.usefixtures("worlds")
def test_the_hook_launches_a_project(tallyfy, hook):
    owners = {"users": [str(tallyfy.user["id"])], "guests": ["g@x.example"]}
    change = hook.launch_project("Move", owners, "2026-01-31T18:00:00+01:00", launch_key="move", summary="Pack.")
    assert hook.launch_project("Move", owners, "2026-01-31", launch_key="move")["id"] == change["id"]
    stored = tallyfy.run(change["id"])
    assert stored["name"] == "Move"
    assert [task["owners"] for task in stored["tasks"]] == [
        {"users": [tallyfy.user["id"]], "guests": [], "groups": []},
        {"users": [], "guests": ["g@x.example"], "groups": []},
    ]
    assert {task["deadline"] for task in stored["tasks"]} == {"2026-01-31 17:00:00"}


@pytest.mark.usefixtures("worlds")
def test_the_hook_updates_exports_and_deletes(tallyfy, hook):
    run = tallyfy.add_run(name="Acme", users=[1001])
    assert hook.update_run(run["id"], name="Acme Inc")["name"] == "Acme Inc"
    assert tallyfy.run(run["id"])["users"] == [1001]
    assert hook.export_run(run["id"])["name"] == "Acme Inc"
    assert hook.list_activity(run["id"], verbs=("updated",))[0]["actor_email"] == tallyfy.user_email
    with pytest.raises(TallyfyValidationError, match="not archived"):
        hook.delete_run(run["id"], confirm="Acme Inc")
    assert hook.delete_run(run["id"], confirm="Acme Inc", archive_first=True)["changed"]
    with pytest.raises(TallyfyNotFoundError):
        hook.delete_run(run["id"], confirm=run["id"])
    assert hook.delete_run(run["id"], confirm=run["id"], may_be_gone=True)["changed"] is False
