"""A task that is killed in the middle of a bulk job: what it reports for each run, and what the next try does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_tallyfy.files.report import Report
from airflow_provider_tallyfy.operators.bulk import TallyfyActivateRunsOperator, TallyfyArchiveRunsOperator
from tests.airflow_driver import attempt, eventually
from tests.contract.bulk.observing import archived, report, writes


class Terminated(BaseException):
    """What Airflow raises in a task's main thread on SIGTERM or when execution_timeout is over."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Check for a kill so often that most runs are still to be done, and leave open requests little time."""
    monkeypatch.setattr("airflow_provider_tallyfy.bulk.job._TICK", 0.001)
    monkeypatch.setattr("airflow_provider_tallyfy.bulk.job.GRACE_SECONDS", 0.3)


@pytest.fixture
def end_after(monkeypatch):
    """End the task, as a signal does, when the report gets its n-th line. A later try goes on."""

    def arrange(lines: int) -> None:
        written = 0
        write = Report.write

        def interrupted(self: Report, outcome: object) -> None:
            nonlocal written
            write(self, outcome)
            written += 1
            if written == lines:
                raise Terminated

        monkeypatch.setattr(Report, "write", interrupted)

    return arrange


def archive(run_ids=None, **options):
    return TallyfyArchiveRunsOperator(task_id="archive", run_ids=run_ids, **options)


def restore(run_ids=None, **options):
    return TallyfyActivateRunsOperator(task_id="restore", run_ids=run_ids, **options)


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("action", [archive, restore])
def test_a_retry_does_the_remaining_runs_and_writes_nothing_twice(tallyfy, tries, end_after, tmp_path, action):
    ids = tallyfy.add_runs(60, archived=action is restore)
    other = tallyfy.add_runs(5, archived=action is archive)
    path = tmp_path / "report.jsonl"
    end_after(20)
    with pytest.raises(Terminated):
        action([*ids, *other], report_path=str(path)).execute(tries.next())
    first = tries.pushed
    first_lines = report(path)

    end = attempt(lambda: action([*ids, *other], report_path=str(path)).execute(tries.next()))

    assert end.state == "success"
    assert 0 < len(first["changed"]) < 60
    assert first["counts"]["skipped"] > 0
    assert len(first_lines) == 65
    assert all(count == 1 for count in writes(tallyfy).values())
    assert sorted(end.result["changed"]) == sorted(ids), "an undo has to restore what either try changed"
    assert {line["id"]: line["state"] for line in report(path)} == {
        **dict.fromkeys(ids, "changed"),
        **dict.fromkeys(other, "unchanged"),
    }


@pytest.mark.usefixtures("worlds")
def test_runs_that_a_filter_no_longer_matches_on_a_retry_are_still_reported(tallyfy, tries, end_after):
    ids = tallyfy.add_runs(60)
    tallyfy.add_runs(5, archived=True)
    end_after(20)
    with pytest.raises(Terminated):
        archive(query="Run").execute(tries.next())

    end = attempt(lambda: archive(query="Run").execute(tries.next()))

    assert end.state == "success"
    assert sorted(end.result["changed"]) == sorted(ids)
    assert all(count == 1 for count in writes(tallyfy).values())


def test_a_try_that_fails_before_it_begins_keeps_the_checkpoint(tallyfy, tries, end_after, tmp_path):
    ids = tallyfy.add_runs(60)
    end_after(20)
    with pytest.raises(Terminated):
        archive(ids).execute(tries.next())
    (tmp_path / "file").write_text("")
    attempt(lambda: archive(ids, report_path=str(tmp_path / "file" / "report.jsonl")).execute(tries.next()))

    end = attempt(lambda: archive(ids).execute(tries.next()))

    assert end.state == "success"
    assert sorted(end.result["changed"]) == sorted(ids)


def test_a_run_that_somebody_reverted_between_the_tries_is_not_claimed(tallyfy, tries, end_after):
    """A try that ended by a signal knows what it changed, not only what it set out to change."""
    ids = tallyfy.add_runs(60)
    end_after(20)
    with pytest.raises(Terminated):
        archive(ids).execute(tries.next())
    skipped = sorted(set(ids) - archived(tallyfy))
    tallyfy.archive_run(skipped[0])

    end = attempt(lambda: archive(ids).execute(tries.next()))

    assert end.state == "success"
    assert sorted(end.result["changed"]) == sorted(set(ids) - {skipped[0]})


def test_before_airflow_3_3_a_retry_reads_the_report(tallyfy, tries_without_store, end_after, tmp_path):
    ids = tallyfy.add_runs(60)
    path = tmp_path / "report.jsonl"
    end_after(20)
    with pytest.raises(Terminated):
        archive(ids, report_path=str(path)).execute(tries_without_store.next())

    end = attempt(lambda: archive(ids, report_path=str(path)).execute(tries_without_store.next()))

    assert end.state == "success"
    assert sorted(end.result["changed"]) == sorted(ids)
    assert all(count == 1 for count in writes(tallyfy).values())


@contextmanager
def killed_at_line(lines: int) -> Iterator[None]:
    """Act as ``kill -9`` at the n-th line of the report: nothing is written afterwards. Line 0 creates the file."""
    written = 0
    enter, write = Report.__enter__, Report.write

    def opened(self: Report) -> Report:
        enter(self)
        if lines == 0:
            raise Terminated
        return self

    def interrupted(self: Report, outcome: object) -> None:
        nonlocal written
        if written == lines:
            raise Terminated
        write(self, outcome)
        written += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Report, "__enter__", opened)
        patch.setattr(Report, "write", interrupted)
        patch.setattr(Report, "__exit__", lambda *_: None)
        with pytest.raises(Terminated):
            yield


@pytest.mark.parametrize("lines", [0, 1, 25])
def test_a_killed_retry_keeps_what_earlier_tries_reported(tallyfy, tries_without_store, tmp_path, lines):
    ids = tallyfy.add_runs(60)
    path = tmp_path / "reports" / "report.jsonl"
    path.parent.mkdir()
    (path.parent / "report.jsonl.of-another-job.1.partial").write_text("")
    for killed_at in (20, lines):
        with killed_at_line(killed_at):
            archive(ids, report_path=str(path)).execute(tries_without_store.next())
    lines_left = [line for file in path.parent.iterdir() for line in report(file)]
    reported = {line["id"] for line in lines_left if line["state"] == "changed"}

    end = attempt(lambda: archive(ids, report_path=str(path)).execute(tries_without_store.next()))

    assert end.state == "success"
    assert len(reported) >= 20
    assert reported <= set(end.result["changed"])
    assert all(count == 1 for count in writes(tallyfy).values())
    assert sorted(line["id"] for line in report(path)) == sorted(ids)
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "report.jsonl",
        "report.jsonl.of-another-job.1.partial",
    ]


def test_a_report_appears_when_it_is_complete(tallyfy, tries, tmp_path):
    ids = tallyfy.add_runs(60)
    path = tmp_path / "report.jsonl"
    path.write_text("of yesterday")
    with killed_at_line(20):
        archive(ids, report_path=str(path)).execute(tries.next())

    [partial] = set(tmp_path.iterdir()) - {path}
    assert path.read_text() == "of yesterday"
    assert len(report(partial)) == 20


def test_nothing_is_written_twice_without_store_and_report(tallyfy, tries_without_store, end_after):
    ids = tallyfy.add_runs(60)
    end_after(20)
    with pytest.raises(Terminated):
        archive(ids).execute(tries_without_store.next())
    first = tries_without_store.pushed["changed"]

    end = attempt(lambda: archive(ids).execute(tries_without_store.next()))

    assert end.state == "success"
    assert end.result["counts"]["unchanged"] == len(first)
    assert all(count == 1 for count in writes(tallyfy).values())


@contextmanager
def signal_when(condition: Callable[[], bool], act: Callable[[], None]) -> Iterator[None]:
    """Interrupt the main thread with a signal, as Airflow does to end a task, and act in its handler."""
    handler = signal.signal(signal.SIGUSR1, lambda *_: act())

    def send() -> None:
        if eventually(condition):
            os.kill(os.getpid(), signal.SIGUSR1)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, handler)


def terminate(operator):
    """Do what Airflow 2 does on SIGTERM; Airflow 3 calls on_kill only, and execute goes on."""
    operator.on_kill()
    raise Terminated


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (lambda operator: operator.on_kill(), ("up_for_retry", "TallyfyBulkError")),
        (terminate, ("up_for_retry", "Terminated")),
    ],
    ids=["on_kill", "terminated"],
)
def test_a_kill_makes_hanging_runs_unknown_and_skips_the_rest(tallyfy, tries, tmp_path, end, outcome):
    ids = tallyfy.add_runs(30)
    path = tmp_path / "report.jsonl"
    hang = tallyfy.faults.add("hang", method="DELETE", after=10, times=None, applied=True)
    operator = archive(ids, report_path=str(path), max_concurrency=3)

    with signal_when(lambda: hang.hits == 3, lambda: end(operator)):
        killed = attempt(lambda: operator.execute(tries.next()))

    assert (killed.state, killed.error) == outcome
    assert tries.pushed["counts"] == {
        "total": 30, "changed": 10, "unchanged": 0, "failed": 0, "unknown": 3, "skipped": 17,
    }  # fmt: skip
    assert len(report(path)) == 30

    tallyfy.faults.clear()
    assert len(archived(tallyfy)) == 13, "Tallyfy did what it was sent"
    again = attempt(lambda: archive(ids, report_path=str(path)).execute(tries.next()))

    assert again.state == "success"
    assert sorted(again.result["changed"]) == sorted(ids)
    assert all(count == 1 for count in writes(tallyfy).values())


def test_a_kill_lets_open_requests_finish(tallyfy, tries, monkeypatch):
    monkeypatch.setattr("airflow_provider_tallyfy.bulk.job.GRACE_SECONDS", 30.0)
    ids = tallyfy.add_runs(30)
    hang = tallyfy.faults.add("hang", method="DELETE", after=10, times=3)
    operator = archive(ids, max_concurrency=3)

    def kill() -> None:
        operator.on_kill()
        tallyfy.faults.clear()

    with signal_when(lambda: hang.hits == 3, kill):
        attempt(lambda: operator.execute(tries.next()))

    assert tries.pushed["counts"]["changed"] == 13
    assert tries.pushed["counts"]["unknown"] == 0


def test_a_kill_before_the_first_write_keeps_it_from_being_sent(tallyfy, tries):
    ids = tallyfy.add_runs(30)
    operator = archive(ids)
    operator.on_kill()

    end = attempt(lambda: operator.execute(tries.next()))

    assert (end.state, end.error) == ("up_for_retry", "TallyfyBulkError")
    assert not writes(tallyfy)


def test_killing_a_task_that_has_not_begun_or_has_ended_is_no_error(tallyfy, tries):
    operator = archive(tallyfy.add_runs(2))
    operator.execute(tries.next())

    operator.on_kill()

    archive([]).on_kill()


def test_no_thread_is_left_over(tallyfy, tries, end_after):
    ids = tallyfy.add_runs(30)
    before = set(threading.enumerate())
    archive(ids).execute(tries.next())
    end_after(5)
    with pytest.raises(Terminated):
        restore(ids).execute(tries.next())

    assert set(threading.enumerate()) <= before
