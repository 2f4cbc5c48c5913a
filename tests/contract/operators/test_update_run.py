"""An update changes the given fields, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_tallyfy.operators.tallyfy import TallyfyUpdateRunOperator
from airflow_provider_tallyfy.sandbox import Behavior
from airflow_provider_tallyfy.sandbox.present import run_json
from tests.airflow_driver import attempt
from tests.task_contexts import context_of

WORLDS = {
    "lenient": Behavior.lenient(),
    "strict": Behavior.strict(),
    "wipes assignees": Behavior(update_wipes_assignees=True),
}
every_world = pytest.mark.parametrize("tallyfy_sandbox", WORLDS.values(), indirect=True, ids=WORLDS)
GROUP = "53a4" * 8


def update(run_id: str, **changes: Any) -> Any:
    return TallyfyUpdateRunOperator(task_id="update", run_id=run_id, changes=changes).execute(context_of())


def kept(run: dict[str, Any], *but: str) -> dict[str, Any]:
    return {name: value for name, value in run.items() if name not in (*but, "last_updated")}


def puts(tallyfy) -> list[dict[str, Any]]:
    return [request.json() for request in tallyfy.requests if request.method == "PUT"]


@pytest.fixture
def run(tallyfy) -> dict[str, Any]:
    tallyfy.add_template("Onboarding", kickoff=[{"label": "Company"}, {"label": "Notes", "field_type": "textarea"}])
    template = next(iter(tallyfy.store.templates.values()))
    company, notes = (field["id"] for field in template["prerun"])
    return tallyfy.add_run(
        name="Acme",
        summary="as it was",
        users=[tallyfy.user["id"]],
        groups=[GROUP],
        starred=True,
        prerun={company: "Acme", notes: "none"},
    )


@every_world
def test_an_update_changes_no_other_field(tallyfy, run):
    result = update(run["id"], name="Acme Inc")
    after = tallyfy.run(run["id"])
    assert after["name"] == "Acme Inc"
    assert kept(after, "name") == kept(run, "name")
    assert (result["name"], result["changed"]) == ("Acme Inc", True)
    assert puts(tallyfy) == [{"users": run["users"], "groups": run["groups"], "name": "Acme Inc"}]


@every_world
def test_given_lists_replace_the_current_ones(tallyfy, run):
    update(run["id"], users=[], groups=["f" * 32])
    after = tallyfy.run(run["id"])
    assert (after["users"], after["groups"]) == ([], ["f" * 32])


@every_world
def test_user_ids_may_come_out_of_templates_as_text(tallyfy, run):
    other = tallyfy.add_user("sam@sandbox.example")["id"]
    update(run["id"], owner_id=str(other), users=[str(other)])
    assert puts(tallyfy)[0] == {"groups": [GROUP], "owner_id": other, "users": [other]}


@every_world
@pytest.mark.parametrize("given", ["{}", "[{}]", "['{}']", ["{}"]], ids=str)
def test_lists_are_sent_as_lists_however_templates_render_them(tallyfy, run, given):
    other = tallyfy.add_user("sam@sandbox.example")["id"]
    users = given.format(other) if isinstance(given, str) else [str(other)]
    update(run["id"], users=users, groups=f"{GROUP},{'f' * 32}")
    assert puts(tallyfy) == [{"users": [other], "groups": [GROUP, "f" * 32]}]
    assert tallyfy.run(run["id"])["users"] == [other]


@every_world
@pytest.mark.parametrize(("given", "flag"), [("False", False), ("true", True), (" FALSE ", False), (True, True)])
def test_a_switch_may_come_out_of_a_template_as_text(tallyfy, run, given, flag):
    tallyfy.update_run(run["id"], starred=not flag, is_public=not flag)
    assert update(run["id"], starred=given, is_public=given)["changed"] is True
    after = tallyfy.run(run["id"])
    assert (after["starred"], after["is_public"]) == (flag, flag)


@every_world
def test_a_summary_may_be_emptied_and_a_name_be_a_number(tallyfy, run):
    update(run["id"], summary="", name=4711)
    after = tallyfy.run(run["id"])
    assert (after["summary"] or "", after["name"]) == ("", "4711")


@every_world
def test_kick_off_values_that_are_not_named_stay(tallyfy, run):
    company, notes = run["prerun"]
    update(run["id"], prerun={notes: "some"})
    assert tallyfy.run(run["id"])["prerun"] == {company: "Acme", notes: "some"}
    assert puts(tallyfy)[0]["prerun"] == {company: "Acme", notes: "some"}


@every_world
def test_a_kick_off_value_that_tallyfy_drops_silently_fails_the_task(tallyfy, run):
    end = attempt(lambda: update(run["id"], prerun={"no-field": "x"}))
    assert end.error == "TallyfyResponseError"
    assert "prerun" in str(end.exception)


@every_world
def test_an_update_without_a_change_sends_nothing(tallyfy, run):
    result = update(run["id"], name="Acme", owner_id=str(run["owner_id"]), users=list(map(str, run["users"])))
    assert result["changed"] is False
    assert puts(tallyfy) == []


@every_world
def test_a_lost_answer_and_a_retried_task_change_it_once(tallyfy, run):
    tallyfy.faults.add("reset", method="PUT", applied=True)
    assert update(run["id"], name="Acme Inc")["changed"] is True
    assert update(run["id"], name="Acme Inc")["changed"] is False
    assert kept(tallyfy.run(run["id"]), "name") == kept(run, "name")


@every_world
@pytest.mark.parametrize("shown", [None, {"data": []}, "none"], ids=str)
@pytest.mark.parametrize("name", ["users", "groups"])
def test_nothing_is_sent_when_the_run_does_not_show_what_must_be_kept(tallyfy, run, name, shown):
    tallyfy.update_run(run["id"], **{name: shown})
    end = attempt(lambda: update(run["id"], name="Acme Inc"))
    assert end.error == "TallyfyResponseError"
    assert f"does not show its {name}" in str(end.exception)
    assert puts(tallyfy) == []


@every_world
def test_an_update_that_is_accepted_but_not_made_fails_the_task(tallyfy, run):
    tallyfy.faults.add("status", method="PUT", status=200, body={"data": {"id": run["id"], "status": "active"}})
    end = attempt(lambda: update(run["id"], name="Acme Inc"))
    assert (end.state, end.error) == ("up_for_retry", "TallyfyResponseError")
    assert "other values than expected in: name" in str(end.exception)


@every_world
def test_an_update_that_changes_another_field_fails_the_task(tallyfy, run):
    body = {"data": run | {"name": "Acme Inc", "users": [], "groups": []}}
    tallyfy.faults.add("status", method="GET", path=run["id"], after=1, times=None, status=200, body=body)
    end = attempt(lambda: update(run["id"], name="Acme Inc"))
    assert "users, groups" in str(end.exception)


HELD = {
    "parent_id": "c" * 32,
    "due_date": "2026-12-01T10:00:00.000Z",
    "folders": ["a" * 32, "b" * 32],
    "custom_fields": {"region": "EU", "tier": 1},
    "roles": {"approver": {"users": [1]}},
}


def shown(tallyfy, run: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"data": run_json(tallyfy.store.find(run["id"]), tallyfy.behavior) | fields}


@pytest.fixture
def change_with_the_update(tallyfy):
    """Let fields of the run change between the update and the look at it."""

    def arrange(run: dict[str, Any], **fields: Any) -> None:
        body = shown(tallyfy, run, name="Acme Inc", **fields)
        tallyfy.faults.add("status", method="GET", path=run["id"], after=1, times=None, body=body, status=200)

    return arrange


@every_world
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("checklist_id", "f" * 32),
        ("parent_id", "f" * 32),
        ("parent_id", None),
        ("type", "form"),
        ("started_by", 7),
        ("created_at", None),
        ("started_at", None),
        ("due_date", None),
        ("folders", ["a" * 32]),
        ("custom_fields", {"region": "EU"}),
        ("roles", {}),
    ],
)
def test_a_lost_or_altered_value_fails_the_task(tallyfy, run, change_with_the_update, name, value):
    tallyfy.update_run(run["id"], **HELD)
    change_with_the_update(run, **{name: value})
    end = attempt(lambda: update(run["id"], name="Acme Inc"))
    assert end.error == "TallyfyResponseError"
    assert f"than expected in: {name}." in str(end.exception)


@every_world
def test_a_lost_tag_fails_the_task_if_tallyfy_shows_tags(tallyfy, run, change_with_the_update):
    body = shown(tallyfy, run, tags=[{"id": 1, "title": "vip"}, {"id": 2, "title": "eu"}])
    tallyfy.faults.add("status", method="GET", path=run["id"], status=200, body=body)
    change_with_the_update(run, tags=[{"id": 2, "title": "eu"}])
    end = attempt(lambda: update(run["id"], name="Acme Inc"))
    assert "than expected in: tags." in str(end.exception)


@every_world
def test_changes_by_people_at_the_same_time_do_not_fail_the_task(tallyfy, run, change_with_the_update):
    tallyfy.update_run(run["id"], **HELD)
    moment = "2026-11-30T09:00:00.000Z"
    work = {
        "status": "problem",
        "progress": {"complete": 1, "total": 1, "percent": 100},
        "whole_progress": {"percent": 100},
        "last_updated": moment,
        "completed_at": moment,
        "archived_at": moment,
        "has_open_issue": True,
        "late_tasks": 1,
        "due_soon": True,
        "due_date_passed": True,
        "max_task_deadline": moment,
        "collaborators": [1, 2],
        "prerun_status": "complete",
        "prerun_completed_at": moment,
        "prerun_completed_by": 1,
        "can_add_oot": False,
        "checklist_title": "Onboarding, renamed",
    }
    additions = {
        "due_date": "2026-12-24T10:00:00.000Z",
        "folders": [*HELD["folders"], "d" * 32],
        "custom_fields": {**HELD["custom_fields"], "tier": 2, "note": "hot"},
        "tags": [{"id": 1, "title": "vip"}],
        "a_field_of_tomorrow": 1,
    }
    change_with_the_update(run, **work, **additions)
    assert update(run["id"], name="Acme Inc")["changed"] is True


@pytest.mark.parametrize("tallyfy_sandbox", ["strict"], indirect=True)
def test_an_archived_run_that_refuses_updates_differs_from_a_missing_one(tallyfy, run):
    tallyfy.archive_run(run["id"])
    end = attempt(lambda: update(run["id"], name="Acme Inc"))
    assert (end.state, end.error) == ("failed", "TallyfyNotFoundError")
    assert "it is archived" in str(end.exception)
    assert "Restore it first" in str(end.exception)
    tallyfy.delete_run(run["id"])
    end = attempt(lambda: update(run["id"], name="Acme Inc"))
    assert "archived" not in str(end.exception)


def test_the_error_explains_that_an_archived_run_cannot_be_updated(tallyfy, run):
    tallyfy.archive_run(run["id"])
    tallyfy.faults.add("status", method="PUT", status=404)
    end = attempt(lambda: update(run["id"], name="Acme Inc"))
    assert "Restore it first" in str(end.exception)


@every_world
def test_the_marks_in_automatic_names_are_no_change(tallyfy, run):
    tallyfy.update_run(run["id"], name="Acme \ufeff- 2026")
    assert update(run["id"], summary="new")["changed"] is True
    assert update(run["id"], name="Acme - 2026")["changed"] is False
