"""When some of many runs fail: which runs go on, what is reported, what is retried, and when the task stops."""

from __future__ import annotations

import json
import logging

import pytest

from airflow_provider_tallyfy.operators.bulk import TallyfyActivateRunsOperator, TallyfyArchiveRunsOperator
from tests.airflow_driver import attempt
from tests.contract.bulk.observing import Log, archived, report, writes
from tests.full_disk import full_disk

NOWHERE = "f" * 32


def restore(run_ids, **options):
    return TallyfyActivateRunsOperator(task_id="restore", run_ids=run_ids, **options)


def archive(run_ids, **options):
    return TallyfyArchiveRunsOperator(task_id="archive", run_ids=run_ids, **options)


@pytest.fixture
def short_budget(tallyfy, monkeypatch):
    """Let calls fail at once instead of after two minutes."""
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))


@pytest.mark.usefixtures("worlds")
def test_a_missing_run_fails_the_task_without_retries_and_does_not_stop_the_others(tallyfy, tries):
    ids = tallyfy.add_runs(10, archived=True)

    end = attempt(lambda: restore([NOWHERE, *ids]).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyBulkRejectedError")
    assert f"- {NOWHERE}: " in str(end.exception)
    assert "10 changed" in str(end.exception)
    assert archived(tallyfy) == set()
    assert sorted(tries.pushed["changed"]) == sorted(ids), "an undo knows them although the task failed"
    assert [failure["id"] for failure in tries.pushed["failures"]] == [NOWHERE]


@pytest.mark.usefixtures("worlds")
def test_fail_on_errors_false_succeeds_and_returns_the_failures(tallyfy, tries):
    ids = tallyfy.add_runs(3, archived=True)

    end = attempt(lambda: restore([NOWHERE, *ids], fail_on_errors=False).execute(tries.next()))

    assert end.state == "success"
    assert end.result["counts"]["failed"] == 1
    assert end.result["counts"]["changed"] == 3


@pytest.mark.usefixtures("worlds")
def test_a_server_error_on_a_write_makes_its_run_unknown_and_the_task_retryable(tallyfy, tries, short_budget):
    ids = tallyfy.add_runs(6)
    tallyfy.faults.add("status", method="DELETE", path=ids[2], status=503, times=1, applied=True)

    end = attempt(lambda: archive(ids).execute(tries.next()))
    (failure,) = tries.pushed["failures"]

    assert (end.state, end.error) == ("up_for_retry", "TallyfyBulkError")
    assert (failure["id"], failure["state"]) == (ids[2], "unknown")

    again = attempt(lambda: archive(ids).execute(tries.next()))

    assert again.state == "success"
    assert sorted(again.result["changed"]) == sorted(ids), "both tries' changes, the doubtful one among them"
    assert writes(tallyfy) == {f"DELETE {run_id}": 1 for run_id in ids}


def test_a_refused_write_is_failed_and_not_unknown(tallyfy, tries):
    ids = tallyfy.add_runs(3)
    tallyfy.faults.add("status", method="DELETE", path=ids[1], status=403, times=None)

    end = attempt(lambda: archive(ids).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyBulkRejectedError")
    assert [failure["state"] for failure in tries.pushed["failures"]] == ["failed"]


def test_an_error_after_an_accepted_write_makes_it_unknown_even_if_permanent(tallyfy, tries):
    tallyfy.behavior = tallyfy.behavior.changed({"archive_answers_body": False})
    ids = tallyfy.add_runs(120)
    tallyfy.faults.add("status", method="GET", path=f"/runs/{ids[1]}$", status=403, times=None)

    end = attempt(lambda: archive(ids).execute(tries.next()))

    assert (end.state, end.error) == ("up_for_retry", "TallyfyBulkError")
    assert [failure["state"] for failure in tries.pushed["failures"]] == ["unknown"]


@pytest.mark.usefixtures("worlds")
def test_a_write_that_is_refused_only_when_repeated_is_unknown(tallyfy, tries):
    """The first attempt was applied, but its answer was lost; the second is refused for another reason."""
    ids = tallyfy.add_runs(4, archived=True)
    tallyfy.faults.add("status", method="PUT", path=ids[1], status=503, applied=True, retry_after=0.01)
    tallyfy.faults.add("status", method="PUT", path=ids[1], status=403)

    end = attempt(lambda: restore(ids).execute(tries.next()))
    (failure,) = tries.pushed["failures"]
    again = attempt(lambda: restore(ids).execute(tries.next()))

    assert (end.state, end.error) == ("up_for_retry", "TallyfyBulkError")
    assert (failure["id"], failure["state"]) == (ids[1], "unknown")
    assert sorted(again.result["changed"]) == sorted(ids)


def test_a_request_that_was_never_sent_is_failed_and_not_unknown(tallyfy, tries, short_budget, monkeypatch):
    from airflow_provider_tallyfy.api.call import Loss
    from airflow_provider_tallyfy.hooks.httpx_transport import Transport

    ids = tallyfy.add_runs(120)
    exchange = Transport.exchange

    async def refuse_one(transport, call, token):
        if call.run_id == ids[3]:
            return Loss("refused", sent=False)
        return await exchange(transport, call, token)

    monkeypatch.setattr(Transport, "exchange", refuse_one)

    end = attempt(lambda: archive(ids).execute(tries.next()))

    assert (end.state, end.error) == ("up_for_retry", "TallyfyBulkError")
    assert [(failure["id"], failure["state"]) for failure in tries.pushed["failures"]] == [(ids[3], "failed")]


def test_a_transient_failure_is_retried_within_the_task(tallyfy, tries):
    ids = tallyfy.add_runs(20)
    tallyfy.faults.add("status", method="DELETE", status=503, times=2, retry_after=0.01)
    tallyfy.faults.add("reset", method="DELETE", times=1)

    end = attempt(lambda: archive(ids).execute(tries.next()))

    assert end.state == "success"
    assert archived(tallyfy) == set(ids)


@pytest.mark.parametrize(("max_failures", "begun"), [(0, 1), ("2", 3), ("10%", 3), ("0%", 1)])
def test_more_failures_than_allowed_stop_the_task(tallyfy, tries, tmp_path, max_failures, begun):
    ids = tallyfy.add_runs(29)
    tallyfy.faults.add("status", method="DELETE", status=403, times=None)
    path = tmp_path / "report.jsonl"

    end = attempt(
        lambda: archive(ids, max_failures=max_failures, max_concurrency=1, report_path=str(path)).execute(tries.next())
    )

    assert (end.state, end.error) == ("failed", "TallyfyBulkRejectedError")
    assert "max_failures" in str(end.exception)
    assert writes(tallyfy).total() == begun
    assert tries.pushed["counts"] == {
        "total": 29, "changed": 0, "unchanged": 0, "failed": begun, "unknown": 0, "skipped": 29 - begun,
    }  # fmt: skip
    assert len(report(path)) == 29


def test_as_many_failures_as_allowed_do_not_stop_it_but_fail_the_task(tallyfy, tries):
    ids = tallyfy.add_runs(10)
    tallyfy.faults.add("status", method="DELETE", status=403, times=2)

    end = attempt(lambda: archive(ids, max_failures=2, max_concurrency=1).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyBulkRejectedError")
    assert tries.pushed["counts"]["changed"] == 8


def test_an_error_that_concerns_every_run_stops_the_task(tallyfy, tries):
    ids = tallyfy.add_runs(60)
    tallyfy.faults.add("status", method="DELETE", status=402, times=None, after=5)

    end = attempt(lambda: archive(ids, max_concurrency=2).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyPermissionError")
    assert tries.pushed["counts"]["changed"] == 5
    assert tries.pushed["counts"]["failed"] <= 2
    assert tries.pushed["counts"]["skipped"] >= 53


def test_a_token_that_is_revoked_meanwhile_stops_the_task(tallyfy, tries):
    ids = tallyfy.add_runs(60)
    tallyfy.faults.add("status", method="DELETE", status=401, times=None, after=5)

    end = attempt(lambda: archive(ids, max_concurrency=2).execute(tries.next()))

    assert (end.state, end.error) == ("failed", "TallyfyAuthError")
    assert len(tries.pushed["changed"]) == 5


def test_an_hourly_limit_stops_the_task_and_says_when_to_try_again(tallyfy, tries):
    ids = tallyfy.add_runs(60)
    tallyfy.faults.add("status", method="DELETE", status=429, times=None, after=5, retry_after=1800)

    end = attempt(lambda: archive(ids, max_concurrency=2).execute(tries.next()))

    assert (end.state, end.error) == ("up_for_retry", "TallyfyRateLimitError")
    assert end.exception.retry_after == 900  # what one header can ask for at most
    assert tries.pushed["counts"]["unknown"] == 0, "what was declined was not done"


def test_failures_with_refusals_between_them_are_no_outage(tallyfy, tries, short_budget):
    ids = [f"{number:032x}" for number in range(60)]
    for run_id in ids[::10]:
        tallyfy.faults.add("status", path=run_id, status=500, times=None)

    attempt(lambda: restore(ids, max_concurrency=1).execute(tries.next()))

    assert tries.pushed["counts"]["skipped"] == 0
    assert tries.pushed["counts"]["failed"] + tries.pushed["counts"]["unknown"] == 60


def test_an_outage_stops_the_task_before_every_run_has_used_its_retries(tallyfy, tries, short_budget):
    ids = tallyfy.add_runs(60)
    tallyfy.faults.add("status", method="DELETE", status=503, times=None, after=5)

    end = attempt(lambda: archive(ids, max_concurrency=2).execute(tries.next()))

    assert (end.state, end.error) == ("up_for_retry", "TallyfyServerError")
    assert len(tries.pushed["changed"]) == 5
    assert tries.pushed["counts"]["unknown"] <= 7
    assert tries.pushed["counts"]["skipped"] >= 48


def test_a_list_that_cannot_be_read_fails_the_task_before_anything_is_written(tallyfy, tries, short_budget):
    ids = tallyfy.add_runs(60)
    tallyfy.faults.add("status", method="GET", path="/runs$", status=500, times=None)

    end = attempt(lambda: archive(ids).execute(tries.next()))

    assert (end.state, end.error) == ("up_for_retry", "TallyfyServerError")
    assert not writes(tallyfy)


def test_a_report_that_cannot_be_written_fails_the_task_but_its_result_is_pushed(tallyfy, tries, tmp_path):
    ids = tallyfy.add_runs(60)
    path = tmp_path / "report.jsonl"
    path.write_text("of yesterday")

    with full_disk(2000):
        end = attempt(lambda: archive(ids, report_path=str(path), max_concurrency=1).execute(tries.next()))

    assert (end.state, end.error) == ("up_for_retry", "OSError")
    assert set(tries.pushed["changed"]) == archived(tallyfy)
    assert path.read_text() == "of yesterday"


def test_one_429_slows_all_requests_and_fails_none(tallyfy, tries, caplog):
    ids = tallyfy.add_runs(30)
    tallyfy.faults.add("status", method="DELETE", status=429, times=8, after=10, retry_after=0.2)

    with caplog.at_level(logging.WARNING):
        end = attempt(lambda: archive(ids).execute(tries.next()))

    assert end.state == "success"
    assert archived(tallyfy) == set(ids)
    assert 1 <= sum("All requests pause" in record.getMessage() for record in caplog.records) <= 3


def test_progress_is_logged_now_and_then(tallyfy, tries, monkeypatch):
    log = Log()
    monkeypatch.setattr(TallyfyArchiveRunsOperator, "log", log)
    monkeypatch.setattr("airflow_provider_tallyfy.bulk.job._SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr("airflow_provider_tallyfy.bulk.job._TICK", 0.001)

    archive([*tallyfy.add_runs(30), *tallyfy.add_runs(2, archived=True)]).execute(tries.next())

    assert len(log.lines) > 2
    assert all(line.startswith("Archive: ") for line in log.lines)
    assert log.lines[-1].startswith("Archive: 32/32 done, 2 unchanged, 0 failed, ")


#: What makes one run of a list unreadable: an id that is no text, and values that are not as documented.
DEFECTS = [{"id": ["x"]}, {"id": {}}, {"status": None}, {"archived_at": 5}]


def show_a_defect_of_the_first(tallyfy, defect):
    """Archive six runs, and let Tallyfy show the first with a defect wherever it is read. Return the ids."""
    ids = tallyfy.add_runs(6, archived=True)
    rows = [dict(tallyfy.run(run_id)) for run_id in ids]
    rows[0] |= defect
    for path, shown in {r"/runs\?": rows, f"{ids[0]}$": rows[0]}.items():
        body = json.dumps({"data": shown})
        tallyfy.faults.add("status", status=200, body=body, path=path, method="GET", times=None)
    return ids


@pytest.mark.parametrize("defect", DEFECTS, ids=str)
def test_a_defect_of_one_run_ends_only_its_own_item(tallyfy, tries, defect):
    ids = show_a_defect_of_the_first(tallyfy, defect)
    end = attempt(lambda: restore(ids).execute(tries.next()))
    assert end.error == "TallyfyBulkError"
    assert [failure["id"] for failure in tries.pushed["failures"]] == ids[:1]
    assert sorted(tries.pushed["changed"]) == sorted(ids[1:])
    assert archived(tallyfy) == {ids[0]}


def test_an_odd_number_in_a_field_that_nothing_depends_on_is_ignored(tallyfy, tries):
    ids = show_a_defect_of_the_first(tallyfy, {"progress": {"percent": 10**400}})
    end = attempt(lambda: restore(ids).execute(tries.next()))
    assert end.state == "success"
    assert archived(tallyfy) == set()
