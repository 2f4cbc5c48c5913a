"""Runs are deleted for good only with both keys, and the task checks that they are gone."""

from __future__ import annotations

import json
from unittest.mock import Mock

import pytest

from airflow_provider_tallyfy.bulk import BulkJob
from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook
from airflow_provider_tallyfy.operators.bulk import TallyfyDeleteRunsOperator
from tests.airflow_driver import attempt
from tests.contract.bulk.observing import report, requests, writes


@pytest.fixture
def delete(tallyfy):
    def make(run_ids=None, **options):
        options = {"max_runs": 1000, "confirm": tallyfy.organization_id, **options}
        return TallyfyDeleteRunsOperator(task_id="delete", run_ids=run_ids, **options)

    return make


def left(tallyfy):
    return {run["id"] for run in tallyfy.runs}


@pytest.mark.usefixtures("worlds")
def test_archived_runs_are_deleted_and_live_ones_refused(tallyfy, tries, delete):
    gone, live = tallyfy.add_runs(12, archived=True), tallyfy.add_runs(3)

    end = attempt(lambda: delete([*gone, *live]).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyBulkRejectedError")
    assert sorted(tries.pushed["changed"]) == sorted(gone)
    assert {failure["id"] for failure in tries.pushed["failures"]} == set(live)
    assert "not archived" in tries.pushed["failures"][0]["reason"]
    assert left(tallyfy) == set(live)


@pytest.mark.usefixtures("worlds")
def test_live_runs_are_archived_first_if_asked_to(tallyfy, tries, delete):
    ids = [*tallyfy.add_runs(4, archived=True), *tallyfy.add_runs(4)]

    end = attempt(lambda: delete(ids, archive_first=True).execute(tries.next()))

    assert end.state == "success"
    assert sorted(end.result["changed"]) == sorted(ids)
    assert left(tallyfy) == set()


def test_a_run_that_moves_between_pages_is_not_mistaken_for_a_deleted_one(tallyfy, tries, delete, monkeypatch):
    others, ids = tallyfy.add_runs(20, archived=True), tallyfy.add_runs(300, archived=True)
    tallyfy.faults.add("status", method="DELETE", status=401, after=100, times=None)
    with monkeypatch.context() as killed:
        killed.setattr(BulkJob, "_hand_on", lambda *_: None)  # so it cannot tell what it did
        first = attempt(lambda: delete(ids).execute(tries.next()))
    tallyfy.faults.clear()
    send = TallyfyAsyncHook.execute

    async def restore_others_after_the_first_page(hook, work, **options):
        answer = await send(hook, work, **options)
        while others and getattr(answer, "number", None) == 1:
            tallyfy.restore_run(others.pop())
        return answer

    monkeypatch.setattr(TallyfyAsyncHook, "execute", restore_others_after_the_first_page)
    attempt(lambda: delete(ids).execute(tries.next()))

    assert (first.error, others) == ("TallyfyAuthError", [])
    assert not left(tallyfy).intersection(tries.pushed["changed"])
    last = attempt(lambda: delete(ids).execute(tries.next()))
    assert (last.state, sorted(last.result["changed"])) == ("success", sorted(ids))


def test_deleting_many_takes_one_request_each_and_two_looks_at_the_archive(tallyfy, tries, delete):
    tallyfy.add_template("Other")
    tallyfy.add_runs(90, archived=True, template="Other")
    ids = tallyfy.add_runs(210, archived=True)
    tallyfy.clear_requests()

    delete(ids).execute(tries.next())

    assert requests(tallyfy) == {"GET runs": 3 + 1, "DELETE run": 210}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"max_runs": 2}, "max_runs=2 is exceeded: 3 runs would be deleted"),
        ({"max_runs": "many"}, "is not a whole number"),
        ({"confirm": "yes"}, "not the id of the organization"),
        ({"confirm": ""}, "not the id of the organization"),
    ],
)
def test_without_limit_and_confirmation_nothing_is_deleted(tallyfy, tries, delete, options, complaint):
    by_id = {"run_ids": tallyfy.add_runs(3, archived=True)}
    by_filter = {"query": "Run"}

    ends = [attempt(lambda: delete(**choice, **options).execute(tries.next())) for choice in (by_id, by_filter)]  # noqa: B023

    for end in ends:
        assert (end.state, end.error) == ("failed", "TallyfyValidationError")
        assert complaint in str(end.exception)
    assert not writes(tallyfy)


def test_a_snapshot_of_each_run_is_written_first(tallyfy, tries, delete, tmp_path):
    ids = tallyfy.add_runs(3, archived=True)

    end = attempt(lambda: delete(ids, snapshot_dir=str(tmp_path / "snapshots")).execute(tries.next()))

    assert end.state == "success"
    for run_id in ids:
        snapshot = json.loads((tmp_path / "snapshots" / f"{run_id}.json").read_text())
        assert snapshot["run"]["id"] == run_id
        assert snapshot["tasks"]


def test_a_run_without_a_snapshot_is_not_deleted(tallyfy, tries, delete, tmp_path):
    ids = tallyfy.add_runs(3, archived=True)
    tallyfy.faults.add("status", method="GET", path=f"{ids[1]}/tasks", status=403, times=None)

    end = attempt(lambda: delete(ids, snapshot_dir=str(tmp_path)).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyBulkRejectedError")
    assert left(tallyfy) == {ids[1]}


@pytest.mark.tallyfy_sandbox("strict")
def test_an_archived_run_whose_parts_are_hidden_is_neither_saved_nor_deleted(tallyfy, tries, delete, tmp_path):
    ids = tallyfy.add_runs(3, archived=True)

    end = attempt(lambda: delete(ids, snapshot_dir=str(tmp_path)).execute(tries.next()))

    assert end.state == "failed"
    assert left(tallyfy) == set(ids)


@pytest.mark.usefixtures("worlds")
def test_a_retry_keeps_the_snapshots_that_were_made_before_the_runs_were_archived(
    tallyfy, tries_on_any_airflow, delete, tmp_path, monkeypatch
):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    tries, ids = tries_on_any_airflow, tallyfy.add_runs(3)
    options = {"archive_first": True, "snapshot_dir": str(tmp_path)}
    tallyfy.faults.add("status", method="DELETE", path="/delete", status=500, times=None)
    first = attempt(lambda: delete(ids, **options).execute(tries.next()))
    tallyfy.faults.clear()

    retry = attempt(lambda: delete(ids, **options).execute(tries.next()))

    assert (first.state, retry.state) == ("up_for_retry", "success")
    assert sorted(retry.result["changed"]) == sorted(ids)
    assert left(tallyfy) == set()
    assert all(json.loads((tmp_path / f"{run_id}.json").read_text())["tasks"] for run_id in ids)


@pytest.mark.tallyfy_sandbox("strict")
def test_a_retry_refuses_another_file_as_a_snapshot_and_says_what_to_do(tallyfy, tries, delete, tmp_path):
    ids = tallyfy.add_runs(2, archived=True)
    (tmp_path / f"{ids[0]}.json").write_text(json.dumps({"run": {"id": ids[1]}, "tasks": []}))
    (tmp_path / f"{ids[1]}.json").write_text("half a snap")
    tries.next()

    end = attempt(lambda: delete(ids, snapshot_dir=str(tmp_path)).execute(tries.next()))

    assert end.state == "failed"
    assert "restore it and delete it with archive_first=True" in tries.pushed["failures"][0]["reason"]
    assert left(tallyfy) == set(ids)


def test_snapshots_that_cannot_be_written_stop_the_task(tallyfy, tries, delete, tmp_path):
    ids = tallyfy.add_runs(30, archived=True)
    (tmp_path / "file").write_text("")

    end = attempt(lambda: delete(ids, snapshot_dir=str(tmp_path / "file"), max_concurrency=2).execute(tries.next()))

    assert end.state == "up_for_retry"
    assert left(tallyfy) == set(ids)
    assert tries.pushed["counts"]["failed"] <= 2


@pytest.mark.usefixtures("worlds")
def test_a_lost_answer_is_a_deletion_if_the_run_is_gone(tallyfy, tries, delete):
    ids = tallyfy.add_runs(5, archived=True)
    tallyfy.faults.add("reset", method="DELETE", path=ids[2], applied=True)

    end = attempt(lambda: delete(ids).execute(tries.next()))

    assert end.state == "success"
    assert sorted(end.result["changed"]) == sorted(ids)


@pytest.mark.usefixtures("worlds")
def test_a_deletion_that_is_accepted_but_not_done_is_unknown(tallyfy, tries, delete):
    ids = tallyfy.add_runs(5, archived=True)
    tallyfy.faults.add("status", method="DELETE", path=ids[2], status=200, body="empty")

    end = attempt(lambda: delete(ids).execute(tries.next()))

    assert (end.state, end.error) == ("up_for_retry", "TallyfyBulkError")
    assert [(failure["id"], failure["state"]) for failure in tries.pushed["failures"]] == [(ids[2], "unknown")]
    assert left(tallyfy) == {ids[2]}


@pytest.mark.usefixtures("worlds")
def test_a_retry_claims_deletions_that_the_look_at_the_end_could_not_confirm(tallyfy, tries, delete, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    ids = tallyfy.add_runs(5, archived=True)
    tallyfy.faults.add("status", method="GET", path="/runs$", status=500, after=1)

    end = attempt(lambda: delete(ids).execute(tries.next()))
    unknown = tries.pushed["counts"]["unknown"]
    again = attempt(lambda: delete(ids).execute(tries.next()))

    assert (end.state, unknown) == ("up_for_retry", 5)
    assert again.state == "success"
    assert sorted(again.result["changed"]) == sorted(ids)
    assert writes(tallyfy) == {f"DELETE {run_id}/delete": 1 for run_id in ids}


# -- retries --------------------------------------------------------------------------------------------

NEVER_EXISTED = "f" * 32


@pytest.fixture
def no_patience(tallyfy, monkeypatch):
    """Let a 503 fail its run at once instead of being repeated."""
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))


class Killed(BaseException):
    """An end that leaves a try no time to save what it did."""


@pytest.mark.usefixtures("worlds")
@pytest.mark.usefixtures("no_patience")
def test_a_run_that_never_existed_stays_a_failure_on_a_retry(tallyfy, tries, delete):
    ids = tallyfy.add_runs(3, archived=True)
    tallyfy.faults.add("status", method="DELETE", path=ids[1], status=503)

    first = attempt(lambda: delete([*ids, NEVER_EXISTED]).execute(tries.next()))
    retry = attempt(lambda: delete([*ids, NEVER_EXISTED]).execute(tries.next()))

    assert first.state == "up_for_retry"
    assert (retry.state, retry.error) == ("failed", "TallyfyBulkRejectedError")
    assert sorted(tries.pushed["changed"]) == sorted(ids)
    assert [failure["id"] for failure in tries.pushed["failures"]] == [NEVER_EXISTED]
    assert left(tallyfy) == set()


@pytest.mark.usefixtures("worlds")
@pytest.mark.usefixtures("no_patience")
def test_a_run_that_a_retry_cannot_read_is_not_mistaken_for_a_deleted_one(tallyfy, tries, delete):
    (run_id,) = tallyfy.add_runs(1, archived=True)
    tallyfy.faults.add("status", method="DELETE", path=run_id, status=503)
    attempt(lambda: delete([run_id]).execute(tries.next()))
    tallyfy.faults.add("status", path=run_id, status=422, times=None)

    retry = attempt(lambda: delete([run_id]).execute(tries.next()))

    assert retry.state != "success"
    assert tries.pushed["changed"] == []
    assert left(tallyfy) == {run_id}


@pytest.mark.usefixtures("worlds")
@pytest.mark.usefixtures("no_patience")
def test_before_airflow_3_3_a_retry_learns_from_the_report_what_was_missing(
    tallyfy, tries_without_store, delete, tmp_path
):
    tries, ids = tries_without_store, tallyfy.add_runs(3, archived=True)
    tallyfy.faults.add("status", method="DELETE", path=ids[1], status=503)
    path = str(tmp_path / "report.jsonl")

    attempt(lambda: delete([*ids, NEVER_EXISTED], report_path=path).execute(tries.next()))
    retry = attempt(lambda: delete([*ids, NEVER_EXISTED], report_path=path).execute(tries.next()))

    assert (retry.state, retry.error) == ("failed", "TallyfyBulkRejectedError")
    assert sorted(tries.pushed["changed"]) == sorted(ids)
    assert [failure["id"] for failure in tries.pushed["failures"]] == [NEVER_EXISTED]


@pytest.mark.usefixtures("worlds")
@pytest.mark.usefixtures("no_patience")
def test_a_missing_run_without_a_checkpoint_is_unchanged_with_a_warning(
    tallyfy, tries_without_store, delete, tmp_path, caplog
):
    tries, ids = tries_without_store, tallyfy.add_runs(3, archived=True)
    tallyfy.faults.add("status", method="DELETE", path=ids[1], status=503)
    attempt(lambda: delete([*ids, NEVER_EXISTED]).execute(tries.next()))
    path = tmp_path / "report.jsonl"

    retry = attempt(lambda: delete([*ids, NEVER_EXISTED], report_path=str(path)).execute(tries.next()))

    assert retry.state == "success"
    assert retry.result["changed"] == [ids[1]]
    doubtful = {line["id"]: line["reason"] for line in report(path) if line["state"] == "unchanged"}
    assert doubtful.keys() == {ids[0], ids[2], NEVER_EXISTED}
    assert "nothing remembers" in doubtful[NEVER_EXISTED]
    warning = next(r.getMessage() for r in caplog.records if "nothing remembers" in r.getMessage())
    assert "3 runs" in warning
    assert NEVER_EXISTED in warning


@pytest.mark.usefixtures("worlds")
def test_without_checkpoint_and_report_a_snapshot_shows_that_a_run_existed(
    tallyfy, tries_without_store, delete, tmp_path, monkeypatch
):
    tries, ids = tries_without_store, tallyfy.add_runs(3)
    options = {"archive_first": True, "snapshot_dir": str(tmp_path)}
    with monkeypatch.context() as patch:
        patch.setattr(BulkJob, "_hand_on", Mock(side_effect=Killed))
        attempt(lambda: delete([*ids, NEVER_EXISTED], **options).execute(tries.next()))

    retry = attempt(lambda: delete([*ids, NEVER_EXISTED], **options).execute(tries.next()))

    assert (retry.state, retry.error) == ("failed", "TallyfyBulkRejectedError")
    assert [failure["id"] for failure in tries.pushed["failures"]] == [NEVER_EXISTED]
    assert tries.pushed["counts"]["unchanged"] == 3


@pytest.mark.usefixtures("worlds")
def test_a_run_that_was_missing_before_a_clear_still_counts_as_missing(tallyfy, tries, delete):
    ends = [attempt(lambda: delete([NEVER_EXISTED]).execute(tries.next())) for _ in range(2)]

    assert [(end.state, end.error) for end in ends] == [("failed", "TallyfyBulkRejectedError")] * 2


@pytest.mark.usefixtures("worlds")
def test_a_retry_claims_only_what_a_killed_try_deleted(tallyfy, tries, delete, monkeypatch):
    ids = tallyfy.add_runs(3, archived=True)
    with monkeypatch.context() as patch:
        patch.setattr(BulkJob, "_hand_on", Mock(side_effect=Killed))
        attempt(lambda: delete([*ids, NEVER_EXISTED]).execute(tries.next()))
    assert left(tallyfy) == set()

    retry = attempt(lambda: delete([*ids, NEVER_EXISTED]).execute(tries.next()))

    assert retry.state == "failed"
    assert sorted(tries.pushed["changed"]) == sorted(ids)
    assert [failure["id"] for failure in tries.pushed["failures"]] == [NEVER_EXISTED]


@pytest.mark.usefixtures("no_patience")
def test_a_retry_claims_runs_that_lists_did_not_show_yet(tallyfy, tries, delete):
    """They were not planned, because no list showed them."""
    ids = tallyfy.add_runs(4, archived=True)
    listed = [{"id": run["id"], "status": "archived"} for run in tallyfy.runs if run["id"] in ids[1:3]]
    page = {"data": listed, "meta": {"pagination": {"current_page": 1, "total_pages": 1}}}
    tallyfy.faults.add("status", method="GET", path="/runs\\?.*archived=only", status=200, body=page)
    tallyfy.faults.add("status", method="DELETE", path=ids[1], status=503)

    first = attempt(lambda: delete(ids).execute(tries.next()))
    retry = attempt(lambda: delete(ids).execute(tries.next()))

    assert (first.state, retry.state) == ("up_for_retry", "success")
    assert sorted(retry.result["changed"]) == sorted(ids)


@pytest.mark.usefixtures("worlds")
def test_a_dry_run_deletes_nothing_and_names_the_requests(tallyfy, tries, delete):
    ids = tallyfy.add_runs(3, archived=True)

    end = attempt(lambda: delete(ids, dry_run=True, snapshot_dir="/nowhere/to/be/written").execute(tries.next()))

    assert end.state == "success"
    assert len(end.result["requests"]) == 3
    assert not writes(tallyfy)


def test_the_text_false_does_not_mean_to_archive_first(tallyfy, tries, delete):
    ids = tallyfy.add_runs(2)

    end = attempt(lambda: delete(ids, archive_first="False").execute(tries.next()))

    assert end.state == "failed"
    assert left(tallyfy) == set(ids)
