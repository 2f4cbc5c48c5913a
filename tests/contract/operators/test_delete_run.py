"""Nothing is deleted without both keys, or without the requested snapshot; and a deleted run is gone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_tallyfy.operators.tallyfy import TallyfyActivateRunOperator, TallyfyDeleteRunOperator
from airflow_provider_tallyfy.sandbox import Behavior
from tests.airflow_driver import attempt
from tests.task_contexts import FakeTaskStateStore, context_of

WORLDS = {
    "lenient": Behavior.lenient(),
    "strict": Behavior.strict(),
    "live is 422": Behavior(delete_live=422),
    "archived is hidden": Behavior(archived_visible_to_get=False),
    "stored status": Behavior(archived_status="stored"),
}
every_world = pytest.mark.parametrize("tallyfy_sandbox", WORLDS.values(), indirect=True, ids=WORLDS)
MISSING = "0123456789abcdef0123456789abcdef"


def delete(run_id: str, try_number: int = 1, store: FakeTaskStateStore | None = None, **arguments: Any) -> Any:
    operator = TallyfyDeleteRunOperator(**{"task_id": "delete", "run_id": run_id, "confirm": run_id} | arguments)
    return operator.execute(context_of(try_number, store=store))


def exists(tallyfy, run: dict[str, Any]) -> bool:
    return run["id"] in [known["id"] for known in tallyfy.runs]


def writes(tallyfy) -> list[str]:
    return [f"{r.method} {r.path.rpartition('/')[2]}" for r in tallyfy.requests if r.method != "GET"]


@pytest.fixture
def run(tallyfy) -> dict[str, Any]:
    """Return an archived run among others of its template."""
    tallyfy.add_runs(3, archived=True)
    return tallyfy.add_run(name="Acme \ufeff- 2026", archived=True)


@every_world
@pytest.mark.parametrize("confirm", ["{id}", "Acme - 2026", "Acme \ufeff- 2026"])
def test_an_archived_run_is_deleted_with_its_id_or_exact_name_as_second_key(tallyfy, run, confirm):
    result = delete(run["id"], confirm=confirm.format(id=run["id"]))
    assert not exists(tallyfy, run)
    assert len(tallyfy.runs) == 3
    assert (result["id"], result["name"], result["status"], result["changed"]) == (
        run["id"],
        "Acme - 2026",
        "deleted",
        True,
    )


@every_world
@pytest.mark.parametrize("confirm", ["", "yes", "acme - 2026", "Acme", MISSING])
def test_a_wrong_confirmation_deletes_nothing(tallyfy, run, confirm):
    end = attempt(lambda: delete(run["id"], confirm=confirm))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert writes(tallyfy) == []


@every_world
@pytest.mark.parametrize("confirm", ["", None])
@pytest.mark.parametrize("name", ["", None])
def test_an_empty_confirmation_does_not_match_a_run_without_a_name(tallyfy, run, name, confirm):
    tallyfy.update_run(run["id"], name=name)
    end = attempt(lambda: delete(run["id"], confirm=confirm))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "is empty" in str(end.exception)
    assert writes(tallyfy) == []


@every_world
def test_a_live_run_is_refused_unless_it_may_be_archived_on_the_way(tallyfy, run):
    tallyfy.restore_run(run["id"])
    end = attempt(lambda: delete(run["id"]))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "not archived" in str(end.exception)
    assert writes(tallyfy) == []
    assert delete(run["id"], archive_first=True)["status"] == "deleted"
    assert not exists(tallyfy, run)


@every_world
def test_a_run_that_somebody_restores_at_the_last_moment_is_not_deleted(tallyfy, run, monkeypatch):
    tallyfy.faults.add("status", method="DELETE", status=tallyfy.behavior.delete_live)
    end = attempt(lambda: delete(run["id"]))
    assert end.state == "failed"
    assert exists(tallyfy, run)


@every_world
def test_a_deletion_whose_answer_is_lost_is_a_success(tallyfy, run):
    tallyfy.faults.add("reset", method="DELETE", applied=True)
    assert delete(run["id"])["changed"] is True
    assert not exists(tallyfy, run)


@every_world
def test_a_try_after_the_run_is_gone_is_a_success_that_changed_nothing(tallyfy, run):
    delete(run["id"])
    result = delete(run["id"], try_number=2)
    assert (result["id"], result["status"], result["changed"]) == (run["id"], "deleted", False)


@every_world
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_retry_does_not_mistake_a_wrong_id_for_a_deleted_run(tallyfy, monkeypatch, dry_run):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    store = FakeTaskStateStore()
    tallyfy.faults.add("status", method="GET", status=503)
    first = attempt(lambda: delete(MISSING, store=store, dry_run=dry_run))
    retry = attempt(lambda: delete(MISSING, try_number=2, store=store, dry_run=dry_run))
    assert (first.state, first.error) == ("up_for_retry", "TallyfyServerError")
    assert (retry.state, retry.error) == ("failed", "TallyfyNotFoundError")


@every_world
def test_a_retry_knows_that_an_earlier_try_saw_the_run_and_was_about_to_delete_it(tallyfy, run, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    store = FakeTaskStateStore()
    tallyfy.faults.add("status", method="DELETE", status=503, applied=True)
    first = attempt(lambda: delete(run["id"], store=store))
    result = delete(run["id"], try_number=2, store=store)
    assert (first.state, first.error) == ("up_for_retry", "TallyfyServerError")
    assert (result["status"], result["changed"]) == ("deleted", True)
    end = attempt(lambda: delete(MISSING, try_number=2, store=store))
    assert end.error == "TallyfyNotFoundError", "another run is not remembered"


@every_world
def test_before_airflow_3_3_the_snapshot_tells_whether_there_was_a_run(tallyfy, rich_run, tmp_path):
    arguments = {"archive_first": True, "snapshot_path": str(tmp_path / "snapshot.json")}
    end = attempt(lambda: delete(MISSING, try_number=2, **arguments))
    assert (end.state, end.error) == ("failed", "TallyfyNotFoundError")
    delete(rich_run["id"], **arguments)
    assert delete(rich_run["id"], try_number=2, **arguments)["status"] == "deleted"
    assert attempt(lambda: delete(MISSING, try_number=2, **arguments)).error == "TallyfyNotFoundError"


@every_world
def test_a_missing_run_without_a_checkpoint_is_a_success_with_a_warning(tallyfy, capfd, caplog):
    caplog.set_level("WARNING")
    result = delete(MISSING, try_number=2)
    logged = caplog.text + capfd.readouterr().out
    assert (result["status"], result["changed"]) == ("deleted", False)
    assert f"Run {MISSING} does not exist.\nBefore Airflow 3.3 nothing remembers" in logged


@every_world
def test_a_run_that_never_existed_is_an_error(tallyfy):
    end = attempt(lambda: delete(MISSING))
    assert (end.state, end.error) == ("failed", "TallyfyNotFoundError")


@every_world
def test_a_deletion_that_is_accepted_but_not_done_fails_the_task(tallyfy, run):
    tallyfy.faults.add("status", method="DELETE", path="/delete", status=200, body="empty")
    end = attempt(lambda: delete(run["id"]))
    assert (end.state, end.error) == ("up_for_retry", "TallyfyResponseError")
    assert "still shows it" in str(end.exception)


@every_world
def test_a_user_who_is_not_an_administrator_deletes_nothing(tallyfy, run):
    tallyfy.user_role = "standard"
    end = attempt(lambda: delete(run["id"]))
    assert (end.state, end.error) == ("failed", "TallyfyPermissionError")
    assert exists(tallyfy, run)


def test_deleting_a_run_that_tallyfy_shows_takes_no_list(tallyfy, run):
    delete(run["id"])
    assert [r.path for r in tallyfy.requests if r.path.endswith("/runs")] == []


@pytest.mark.parametrize("archived", [True, False])
def test_a_deletion_with_a_snapshot_reads_the_run_once_before_its_first_write(tallyfy, rich_run, tmp_path, archived):
    if archived:
        tallyfy.archive_run(rich_run["id"])
    delete(rich_run["id"], archive_first=True, snapshot_path=str(tmp_path / "snapshot.json"))
    asked = [f"{request.method} {request.path.rpartition('/')[2]}" for request in tallyfy.requests]
    first_write = next(number for number, request in enumerate(asked) if request.startswith("DELETE"))
    assert asked[:first_write].count(f"GET {rich_run['id']}") == 1


# -- snapshots ------------------------------------------------------------------------------------------


@pytest.fixture
def rich_run(tallyfy) -> dict[str, Any]:
    """Return a live run with tasks, form values and activity."""
    template = tallyfy.add_template(
        "Onboarding",
        kickoff=[{"label": "Company"}],
        steps=[{"title": "Collect", "form_fields": [{"label": "Tax number"}]}, "Review"],
    )
    run = tallyfy.add_run(template["id"], name="Acme", prerun={template["prerun"][0]["id"]: "Acme Inc"})
    task = tallyfy.store.find(run["id"]).tasks[0]
    task["taskdata"] = {task["form_fields"][0]["id"]: "DE 123"}
    return tallyfy.run(run["id"])


@every_world
def test_a_snapshot_holds_run_tasks_form_values_and_activity(tallyfy, rich_run, tmp_path):
    path = tmp_path / "deep/snapshot.json"
    delete(rich_run["id"], archive_first=True, snapshot_path=f"file://{path}")
    snapshot = json.loads(path.read_text())
    assert snapshot["run"]["prerun"] == rich_run["prerun"]
    assert [task["title"] for task in snapshot["tasks"]] == ["Collect", "Review"]
    assert {value["label"]: value["value"] for value in snapshot["form_values"]} == {
        "Company": "Acme Inc",
        "Tax number": "DE 123",
    }
    assert [entry["verb"] for entry in snapshot["activity"]] == ["created"]
    assert not exists(tallyfy, rich_run)


def test_a_snapshot_takes_one_request_for_each_of_its_parts(tallyfy, rich_run, tmp_path):
    delete(rich_run["id"], archive_first=True, snapshot_path=str(tmp_path / "snapshot.json"))
    asked = [request.path.rpartition("/")[2] for request in tallyfy.requests if request.method == "GET"]
    assert asked.count("tasks") == 1


@every_world
@pytest.mark.parametrize("part", ["tasks", "activity-feeds"])
def test_nothing_is_deleted_without_the_whole_snapshot(tallyfy, rich_run, tmp_path, part):
    tallyfy.faults.add("status", path=part, status=403, times=None)
    path = tmp_path / "snapshot.json"
    end = attempt(lambda: delete(rich_run["id"], archive_first=True, snapshot_path=str(path)))
    assert end.state == "failed"
    assert "was not deleted, because no snapshot could be made" in str(end.exception)
    assert writes(tallyfy) == []
    assert not path.exists()


@every_world
def test_nothing_is_deleted_if_the_snapshot_cannot_be_written(tallyfy, rich_run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    end = attempt(lambda: delete(rich_run["id"], archive_first=True, snapshot_path=str(tmp_path / "file/snapshot")))
    assert end.state == "up_for_retry"
    assert writes(tallyfy) == []


@pytest.mark.parametrize("tallyfy_sandbox", ["strict"], indirect=True)
def test_an_archived_run_that_hides_its_tasks_is_not_deleted_without_them(tallyfy, rich_run, tmp_path):
    tallyfy.archive_run(rich_run["id"])
    path = str(tmp_path / "snapshot.json")
    end = attempt(lambda: delete(rich_run["id"], snapshot_path=path))
    assert (end.state, end.error) == ("failed", "TallyfyNotFoundError")
    assert "restore it and delete it with archive_first=True" in str(end.exception)
    assert exists(tallyfy, rich_run)
    TallyfyActivateRunOperator(task_id="restore", run_id=rich_run["id"]).execute(context_of())
    delete(rich_run["id"], archive_first=True, snapshot_path=path)
    assert not exists(tallyfy, rich_run)


@every_world
def test_a_retry_keeps_the_snapshot_that_was_made_before_the_run_was_archived(tallyfy, rich_run, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    path = tmp_path / "snapshot.json"
    arguments = {"archive_first": True, "snapshot_path": str(path)}
    tallyfy.faults.add("status", method="DELETE", path="/delete", status=500, times=None)
    assert attempt(lambda: delete(rich_run["id"], **arguments)).error == "TallyfyServerError"
    tallyfy.faults.clear()
    delete(rich_run["id"], try_number=2, **arguments)
    assert not exists(tallyfy, rich_run)
    assert len(json.loads(path.read_text())["tasks"]) == 2


@pytest.mark.parametrize("tallyfy_sandbox", ["strict"], indirect=True)
@pytest.mark.parametrize("content", ['{"run": {"id": "another"}}', '{"run": 1}', "[]", "half a snap"])
def test_a_retry_does_not_mistake_another_file_for_its_snapshot(tallyfy, rich_run, tmp_path, content):
    tallyfy.archive_run(rich_run["id"])
    (tmp_path / "snapshot.json").write_text(content)
    end = attempt(lambda: delete(rich_run["id"], try_number=2, snapshot_path=str(tmp_path / "snapshot.json")))
    assert end.state == "failed"
    assert exists(tallyfy, rich_run)


def test_the_text_false_does_not_mean_to_archive_first(tallyfy):
    live = tallyfy.add_run()

    end = attempt(lambda: delete(live["id"], archive_first="false"))

    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert exists(tallyfy, live)
