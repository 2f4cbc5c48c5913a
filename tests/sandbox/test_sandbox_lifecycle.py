from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_tallyfy.sandbox import Behavior

strict = pytest.mark.tallyfy_sandbox(behavior="strict")


@pytest.mark.usefixtures("worlds")
def test_archiving_and_activating_move_a_run_and_keep_its_stored_status(api, tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run(name="Old", status="problem")["id"]
    assert api("DELETE", f"/runs/{run_id}").ok
    assert api.names() == []
    assert api.names("archived=only") == ["Old"]
    assert tallyfy_sandbox.run(run_id)["archived_at"] is not None
    assert api("PUT", f"/runs/{run_id}/activate").ok
    assert tallyfy_sandbox.run(run_id)["archived_at"] is None
    assert api.data(f"/runs/{run_id}")["status"] == "problem"


def test_lenient_answers_archive_and_activate_with_the_run(api, tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run()["id"]
    archived = api("DELETE", f"/runs/{run_id}").json()["data"]
    assert (archived["status"], archived["archived_at"][-1]) == ("archived", "Z")
    assert api.data(f"/runs/{run_id}")["status"] == "archived"
    assert api("DELETE", f"/runs/{run_id}").status_code == 200
    live = api("PUT", f"/runs/{run_id}/activate").json()["data"]
    assert (live["status"], live["archived_at"]) == ("active", None)
    assert api("PUT", f"/runs/{run_id}/activate").status_code == 200


@strict
def test_strict_hides_archived_runs_and_refuses_repeats(api, tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run()["id"]
    first = api("DELETE", f"/runs/{run_id}")
    assert (first.status_code, first.content) == (204, b"")
    assert api("DELETE", f"/runs/{run_id}").status_code == 404
    assert api("GET", f"/runs/{run_id}").json()["code"] == "RESOURCE_NOT_FOUND"
    assert api("GET", f"/runs/{run_id}/tasks").status_code == 404
    assert api("PUT", f"/runs/{run_id}/activate").status_code == 204
    assert api("PUT", f"/runs/{run_id}/activate").status_code == 404


@pytest.mark.tallyfy_sandbox(behavior=replace(Behavior.lenient(), repeat_activate=422, archived_status="stored"))
def test_a_behavior_can_be_mixed_field_by_field(api, tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run()["id"]
    assert api("PUT", f"/runs/{run_id}/activate").status_code == 422
    tallyfy_sandbox.archive_run(run_id)
    shown = api.data(f"/runs/{run_id}")
    assert shown["status"] == "active"
    assert shown["archived_at"] is not None


@pytest.mark.parametrize(
    ("tallyfy_sandbox", "refusal"), [("lenient", 404), ("strict", 422)], indirect=["tallyfy_sandbox"]
)
def test_only_archived_runs_can_be_deleted_for_good(api, tallyfy_sandbox, refusal):
    run_id = tallyfy_sandbox.add_run()["id"]
    assert api("DELETE", f"/runs/{run_id}/delete").status_code == refusal
    tallyfy_sandbox.archive_run(run_id)
    deleted = api("DELETE", f"/runs/{run_id}/delete")
    assert (deleted.status_code, deleted.content) == (200, b"")
    assert tallyfy_sandbox.runs == []
    assert api("DELETE", f"/runs/{run_id}/delete").status_code == 404


@pytest.mark.parametrize(
    ("tallyfy_sandbox", "left"), [("lenient", [1001]), ("strict", [])], indirect=["tallyfy_sandbox"]
)
def test_an_update_without_assignees_wipes_them_in_the_strict_world(api, tallyfy_sandbox, left):
    run_id = tallyfy_sandbox.add_run(users=[1001], groups=["ab" * 16])["id"]
    answer = api("PUT", f"/runs/{run_id}", json={"name": "Renamed", "unknown": 1}).json()["data"]
    assert (answer["name"], answer["users"]) == ("Renamed", left)
    api("PUT", f"/runs/{run_id}", json={"users": [7], "groups": ["cd" * 16]})
    stored = tallyfy_sandbox.run(run_id)
    assert (stored["users"], stored["groups"], stored["name"]) == ([7], ["cd" * 16], "Renamed")


def test_light_users_may_not_archive_and_only_admins_delete(api, tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run(archived=True)["id"]
    tallyfy_sandbox.user_role = "light"
    assert api("PUT", f"/runs/{run_id}/activate").status_code == 403
    tallyfy_sandbox.user_role = "standard"
    assert api("DELETE", f"/runs/{run_id}/delete").status_code == 403
    assert api("PUT", f"/runs/{run_id}/activate").status_code == 200


def test_a_run_completes_by_itself_after_the_given_time(api, tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run(complete_after=60)["id"]
    assert api.data(f"/runs/{run_id}")["status"] == "active"
    tallyfy_sandbox.advance(61)
    shown = api.data(f"/runs/{run_id}")
    assert shown["status"] == "complete"
    assert shown["completed_at"]
    assert {task["status"] for task in api.data(f"/runs/{run_id}/tasks")} == {"completed"}


def test_the_script_of_an_archived_run_starts_when_it_is_restored(api, tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run(archived=True, complete_after=60)["id"]
    tallyfy_sandbox.advance(61)
    assert tallyfy_sandbox.run(run_id)["status"] == "active"
    api("PUT", f"/runs/{run_id}/activate")
    assert tallyfy_sandbox.run(run_id)["status"] == "active"
    tallyfy_sandbox.advance(61)
    assert tallyfy_sandbox.run(run_id)["status"] == "complete"


def test_problems_and_issues_hold_a_run_until_they_are_resolved(api, tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run()["id"]
    tallyfy_sandbox.add_problem(run_id)
    assert (api.data(f"/runs/{run_id}")["status"], api.data(f"/runs/{run_id}")["has_open_issue"]) == ("problem", True)
    thread = api("POST", f"/runs/{run_id}/problem", json={"content": "Stop"}).json()["data"]
    assert api.data(f"/runs/{run_id}")["status"] == "issue"
    assert api("POST", f"/runs/{run_id}/resolved-threads", json={"thread_id": thread["id"]}).ok
    assert api.data(f"/runs/{run_id}")["status"] == "problem"
    tallyfy_sandbox.resolve_problems(run_id)
    assert api.data(f"/runs/{run_id}")["status"] == "active"


def test_a_run_can_have_an_unknown_status(api, tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run(status="paused")["id"]
    assert api.data(f"/runs/{run_id}")["status"] == "paused"
    tallyfy_sandbox.update_run(run_id, status="brand-new", archived_at="2020-01-01T00:00:00.000Z")
    assert api.names() == []
    assert len(api.names("archived=only")) == 1


@pytest.mark.parametrize(
    ("tallyfy_sandbox", "progress"),
    [("lenient", {"complete": 1, "total": 3, "percent": 33}), ("strict", 33)],
    indirect=["tallyfy_sandbox"],
)
def test_progress_and_timestamps_have_either_shape(api, tallyfy_sandbox, progress):
    run = tallyfy_sandbox.add_run()
    tallyfy_sandbox.complete_task(run["id"], run["tasks"][0]["title"])
    shown = api.data(f"/runs/{run['id']}")
    assert shown["progress"] == progress
    assert len(shown["created_at"]) == (24 if tallyfy_sandbox.behavior.milliseconds else 20)


def test_an_export_holds_the_run_its_tasks_and_its_forms(api, tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run(name="Exported")["id"]
    assert api("POST", f"/runs/{run_id}/export").json()["data"]["name"] == "Exported"
    tallyfy_sandbox.behavior = Behavior.strict()
    export = api("POST", f"/runs/{run_id}/export").json()
    assert len(export["tasks"]) == 3
    assert {"form_fields", "ko_form_fields"} <= export.keys()


def test_the_web_page_of_a_run_shows_its_state(api, tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run(name="<Acme> & Sons")["id"]
    page = api.send("GET", tallyfy_sandbox.run_url(run_id), headers={"Authorization": ""})
    assert page.status_code == 200
    assert "&lt;Acme&gt; &amp; Sons" in page.text
    assert api.send("GET", tallyfy_sandbox.run_url("no-such-run")).status_code == 404
    assert tallyfy_sandbox.requests == []
