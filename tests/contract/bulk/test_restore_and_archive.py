"""Many runs are restored or archived with few requests, in both behaviors of the sandbox."""

from __future__ import annotations

import json
import threading

import pytest

from airflow_provider_tallyfy.operators.bulk import TallyfyActivateRunsOperator, TallyfyArchiveRunsOperator
from tests.airflow_driver import attempt, eventually
from tests.contract.bulk.observing import archived, report, requests, writes


def restore(run_ids=None, **options):
    return TallyfyActivateRunsOperator(task_id="restore", run_ids=run_ids, **options)


def archive(run_ids=None, **options):
    return TallyfyArchiveRunsOperator(task_id="archive", run_ids=run_ids, **options)


@pytest.mark.usefixtures("worlds")
def test_archived_runs_come_back_and_live_ones_stay(tallyfy, tries):
    gone, live = tallyfy.add_runs(12, archived=True), tallyfy.add_runs(5)

    end = attempt(lambda: restore([*gone, *live]).execute(tries.next()))

    assert end.state == "success"
    assert end.result["counts"] == {
        "total": 17, "changed": 12, "unchanged": 5, "failed": 0, "unknown": 0, "skipped": 0,
    }  # fmt: skip
    assert sorted(end.result["changed"]) == sorted(gone)
    assert archived(tallyfy) == set()
    assert writes(tallyfy) == {f"PUT {run_id}/activate": 1 for run_id in gone}


@pytest.mark.usefixtures("worlds")
def test_live_runs_go_and_archived_ones_stay(tallyfy, tries):
    gone, live = tallyfy.add_runs(5, archived=True), tallyfy.add_runs(12)

    end = attempt(lambda: archive([*gone, *live]).execute(tries.next()))

    assert end.state == "success"
    assert sorted(end.result["changed"]) == sorted(live)
    assert end.result["counts"]["unchanged"] == 5
    assert archived(tallyfy) == {*gone, *live}
    assert writes(tallyfy) == {f"DELETE {run_id}": 1 for run_id in live}


@pytest.mark.usefixtures("worlds")
def test_a_token_that_is_replaced_meanwhile_stops_nothing(tallyfy, tries, monkeypatch):
    """The connection is changed first, then the old token is revoked."""
    live, old = tallyfy.add_runs(12), tallyfy.token
    hang = tallyfy.faults.add("hang", method="DELETE", after=4, times=None)

    def replace_token() -> None:
        assert eventually(lambda: hang.hits == 4)
        connection = tallyfy.connection() | {"password": tallyfy.issue_token()}
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
        tallyfy.revoke_token(old)
        tallyfy.faults.clear()

    other = threading.Thread(target=replace_token)
    other.start()
    end = attempt(lambda: archive(live, max_concurrency=4).execute(tries.next()))
    other.join()

    assert end.state == "success"
    assert archived(tallyfy) == set(live)


@pytest.mark.usefixtures("worlds")
def test_an_undo_restores_what_the_archive_changed(tallyfy, tries, tries_without_store):
    before, live = tallyfy.add_runs(4, archived=True), tallyfy.add_runs(6)
    archive([*before, *live]).execute(tries.next())

    end = attempt(lambda: restore(tries.pushed["changed"]).execute(tries_without_store.next()))

    assert end.state == "success"
    assert archived(tallyfy) == set(before)


def test_restoring_many_takes_one_request_each_and_the_pages_of_the_list(tallyfy, tries):
    ids = tallyfy.add_runs(320, archived=True)
    tallyfy.clear_requests()

    restore(ids, max_concurrency=4).execute(tries.next())

    assert requests(tallyfy) == {"GET runs": 4, "PUT run": 320}
    assert tallyfy.connections_opened <= 4


def test_archiving_many_takes_one_request_each_and_the_pages_of_the_list(tallyfy, tries):
    ids = tallyfy.add_runs(320)
    tallyfy.clear_requests()

    archive(ids).execute(tries.next())

    assert requests(tallyfy) == {"GET runs": 4, "DELETE run": 320}
    assert tallyfy.connections_opened <= 8


def test_few_among_many_are_read_one_by_one(tallyfy, tries):
    tallyfy.add_runs(600, archived=True)
    wanted = tallyfy.add_runs(4, archived=True)
    tallyfy.clear_requests()

    end = attempt(lambda: restore(wanted).execute(tries.next()))

    assert end.result["counts"]["changed"] == 4
    assert requests(tallyfy) == {"GET runs": 1, "GET run": 4, "PUT run": 4}


def test_a_single_run_needs_no_list(tallyfy, tries):
    (wanted,) = tallyfy.add_runs(1, archived=True)
    tallyfy.clear_requests()

    restore([wanted]).execute(tries.next())

    assert requests(tallyfy) == {"GET run": 1, "PUT run": 1}


@pytest.mark.usefixtures("worlds")
def test_filters_choose_the_runs_and_their_list_shows_how_they_are(tallyfy, tries):
    tallyfy.add_template("One")
    template = tallyfy.add_template("Other")
    chosen = tallyfy.add_runs(110, template="Other", archived=True)
    others = [*tallyfy.add_runs(3, template="One", archived=True), *tallyfy.add_runs(3, template="Other")]
    tallyfy.clear_requests()

    end = attempt(lambda: restore(template_id=template["id"]).execute(tries.next()))

    assert sorted(end.result["changed"]) == sorted(chosen)
    assert requests(tallyfy)["GET runs"] == 2
    assert archived(tallyfy) == set(others[:3])


def test_a_limit_counts_as_a_filter(tallyfy, tries):
    tallyfy.add_runs(5)

    end = attempt(lambda: archive(limit="2").execute(tries.next()))

    assert end.result["counts"]["changed"] == 2


def test_each_run_has_a_line_in_the_report(tallyfy, tries, tmp_path):
    gone, live = tallyfy.add_runs(3, archived=True), tallyfy.add_runs(2)
    path = tmp_path / "new folder" / "report.jsonl"

    end = attempt(lambda: restore([*gone, *live, "f" * 32], report_path=str(path)).execute(tries.next()))

    assert end.state == "failed"
    lines = {line["id"]: line for line in report(path)}
    assert {run_id: line["state"] for run_id, line in lines.items()} == {
        **dict.fromkeys(gone, "changed"),
        **dict.fromkeys(live, "unchanged"),
        "f" * 32: "failed",
    }
    assert lines[gone[0]]["url"] == tallyfy.run_url(gone[0])
    assert "404" in lines["f" * 32]["reason"]
    assert len({line["job"] for line in lines.values()}) == 1


@pytest.mark.parametrize("report_path", [None, ""], ids=repr)
def test_ids_that_may_not_fit_into_an_xcom_are_refused_before_anything_is_written(tallyfy, tries, report_path):
    ids = tallyfy.add_runs(30)

    end = attempt(lambda: archive(ids, max_xcom_bytes=1000, report_path=report_path).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "report_path" in str(end.exception)
    assert not writes(tallyfy)


def test_a_result_too_long_for_xcom_refers_to_the_report(tallyfy, tries, tries_without_store, tmp_path):
    before, live = tallyfy.add_runs(2, archived=True), tallyfy.add_runs(30)
    path = str(tmp_path / "report.jsonl")
    archive([*before, *live], max_xcom_bytes=1000, report_path=path).execute(tries.next())
    changed = tries.pushed["changed"]

    end = attempt(lambda: restore(changed).execute(tries_without_store.next()))

    assert changed == {"path": path, "state": "changed", "count": 30}
    assert sorted(end.result["changed"]) == sorted(live)
    assert archived(tallyfy) == set(before)


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("way", ["{0}/report.jsonl", "file://{0}/report.jsonl", "{0}/x/../report.jsonl", "{0}/link"])
def test_a_report_in_place_of_the_ids_that_it_reports_on_is_refused(tallyfy, tries, tmp_path, way, dry_run):
    """Opening the report would empty the file with the ids. The next try would find nothing to undo, and succeed."""
    path = tmp_path / "report.jsonl"
    (tmp_path / "x").mkdir()
    (tmp_path / "link").symlink_to(path)
    archive(tallyfy.add_runs(30), max_xcom_bytes=1000, report_path=str(path)).execute(tries.next())
    changed, before = tries.pushed["changed"], path.read_text()
    tallyfy.clear_requests()

    undo = restore(changed, report_path=way.format(tmp_path), dry_run=dry_run)
    end = attempt(lambda: undo.execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "is the file that this task takes its input from" in str(end.exception)
    assert path.read_text() == before
    assert not tallyfy.requests


def test_without_xcom_push_nothing_is_pushed_and_no_result_is_too_large(tallyfy, tries):
    ids = tallyfy.add_runs(30)

    end = attempt(lambda: archive(ids, max_xcom_bytes=1000, do_xcom_push=False).execute(tries.next()))

    assert end.state == "success"
    assert tries.pushed == {}


@pytest.mark.usefixtures("worlds")
def test_a_dry_run_says_what_would_happen_and_writes_nothing(tallyfy, tries):
    gone, live = tallyfy.add_runs(3, archived=True), tallyfy.add_runs(2)

    end = attempt(lambda: restore([*gone, *live], dry_run=True).execute(tries.next()))

    assert end.state == "success"
    assert end.result["dry_run"] is True
    assert {request["method"] for request in end.result["requests"]} == {"PUT"}
    assert len(end.result["requests"]) == 3
    assert end.result["counts"]["skipped"] == 3
    assert end.result["counts"]["unchanged"] == 2
    assert end.result["changed"] == []
    assert not writes(tallyfy)
    assert not tries.store.values, "it leaves no plan behind that a later try would take for changes"


def test_a_read_only_connection_refuses_and_says_so(tallyfy, tries, monkeypatch):
    ids = tallyfy.add_runs(20)
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(read_only=True))

    end = attempt(lambda: archive(ids).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyConfigurationError")
    assert "read-only" in str(end.exception)
    assert not writes(tallyfy)


def test_client_credentials_are_exchanged_once_for_all(tallyfy, tries, monkeypatch):
    ids = tallyfy.add_runs(20)
    connection = tallyfy.connection_json(auth="client_credentials", user_email=tallyfy.user_email)
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", connection)

    end = attempt(lambda: archive(ids).execute(tries.next()))

    assert end.state == "success"
    assert archived(tallyfy) == set(ids)


@pytest.mark.parametrize("concurrency", [0, 33, "x", True])
def test_an_invalid_concurrency_is_refused(tallyfy, tries, concurrency):
    end = attempt(lambda: archive([], max_concurrency=concurrency).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyValidationError")


def test_results_hold_no_token(tallyfy, tries, tmp_path):
    ids = tallyfy.add_runs(3)
    path = tmp_path / "report.jsonl"
    tallyfy.faults.add("echo_authorization", method="DELETE", status=403, times=None)

    attempt(lambda: archive(ids, report_path=str(path)).execute(tries.next()))

    assert tries.pushed["failures"], "the fault struck"
    assert tallyfy.token not in json.dumps(tries.pushed)
    assert tallyfy.token not in path.read_text()
