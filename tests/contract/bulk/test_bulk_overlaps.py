"""A bulk launch whose tries overlap, or whose DAG run is made again, leaves one run for each row."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from airflow_provider_tallyfy.bulk import LaunchAction
from airflow_provider_tallyfy.bulk.summary import Progress
from airflow_provider_tallyfy.operators.bulk import TallyfyArchiveRunsOperator, TallyfyLaunchRunsOperator
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunsStatusSensor
from tests.airflow_driver import FakeTaskInstance, attempt
from tests.contract.bulk.observing import report


@pytest.fixture
def launch(tallyfy):
    template = tallyfy.add_template("Onboarding", kickoff=[{"label": "Company", "field_type": "text"}])

    def make(count=6, **options):
        rows = [{"Company": f"Company {number}", "order": f"A-{number}"} for number in range(count)]
        options = {"name_column": None, "key_column": "order"} | options
        if options["key_column"] is None:
            rows = [{"Company": row["Company"]} for row in rows]
        return TallyfyLaunchRunsOperator(task_id="launch", template_id=template["id"], rows=rows, **options)

    return make


def live(tallyfy):
    """Return the live runs by company."""
    runs = [run for run in tallyfy.runs if not run["archived_at"]]
    return Counter(next(iter(run["prerun"].values()), None) for run in runs), {run["id"] for run in runs}


def launched(tallyfy):
    return sum(request.method == "POST" for request in tallyfy.requests)


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("key_column", [None, "order"])
def test_a_dag_run_that_was_deleted_and_made_again_adopts_its_runs(tallyfy, tries, launch, key_column):
    first = launch(key_column=key_column).execute(tries.next())
    again = {"ti": FakeTaskInstance()}
    second = launch(key_column=key_column).execute(again)
    assert launched(tallyfy) == 6
    assert live(tallyfy)[1] == set(first["changed"])
    assert second["changed"] == []
    assert [run["id"] for run in again["ti"].pushed["runs"]] == [run["id"] for run in tries.pushed["runs"]]


class Overlap:
    """Another try of the task, which launches every row again just after this one has launched them all."""

    def __init__(self, monkeypatch, tallyfy, launch, tries, **other):
        self.other = other
        self.ends = []
        real = LaunchAction.load

        def load(action, loop, previous, concurrency):
            real(action, loop, previous, concurrency)
            if not self.ends:
                self.ends.append(None)
                self.ends[0] = attempt(lambda: launch(**other).execute(tries.next()))

        monkeypatch.setattr(LaunchAction, "load", load)


@pytest.mark.usefixtures("worlds")
def test_a_launch_by_an_overlapping_try_of_the_task_counts_as_changed(tallyfy, tries, launch, monkeypatch):
    overlap = Overlap(monkeypatch, tallyfy, launch, tries, key_column=None)
    end = attempt(lambda: launch(key_column=None).execute(tries.next()))
    companies, run_ids = live(tallyfy)
    assert launched(tallyfy) == 12
    assert set(companies.values()) == {1}
    assert (end.state, overlap.ends[0].state) == ("success", "success")
    assert set(end.result["changed"]) == set(overlap.ends[0].result["changed"]) == run_ids


@pytest.mark.usefixtures("worlds")
def test_a_launch_by_another_task_with_the_same_key_is_unchanged(tallyfy, tries, launch, monkeypatch):
    class OtherTask:
        def next(self):
            return {"ti": FakeTaskInstance(task_id="other")}

    overlap = Overlap(monkeypatch, tallyfy, launch, OtherTask())
    end = attempt(lambda: launch().execute(tries.next()))
    companies, run_ids = live(tallyfy)
    assert set(companies.values()) == {1}
    assert (set(end.result["changed"]), set(overlap.ends[0].result["changed"])) == (set(), run_ids)


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("key_column", [None, "order"])
def test_a_try_killed_while_it_archives_leaves_the_rest_to_the_next(tallyfy, tries, launch, key_column, monkeypatch):
    """Two tries launch every row. The later one is killed while it archives surplus runs. A third one finishes."""
    Overlap(monkeypatch, tallyfy, launch, tries, key_column=key_column)
    # Only the later one finds rivals: the earlier one has ended before it launched.
    tallyfy.faults.add(method="DELETE", status=403, times=None)
    second = attempt(lambda: launch(key_column=key_column).execute(tries.next()))
    assert second.state != "success"
    assert set(live(tallyfy)[0].values()) == {2}
    tallyfy.faults.clear()
    third = attempt(lambda: launch(key_column=key_column).execute(tries.next()))
    companies, run_ids = live(tallyfy)
    assert set(companies.values()) == {1}
    assert third.state == "success"
    assert set(third.result["changed"]) == run_ids
    assert launched(tallyfy) == 12


@pytest.mark.usefixtures("worlds")
def test_a_try_ended_by_a_signal_while_it_archives_leaves_the_rest_to_the_next(tallyfy, tries, launch, monkeypatch):
    """As above, but the signal really comes: two surplus runs are archived by then, four are not."""

    class Terminated(BaseException):
        """What Airflow raises in a task's main thread on SIGTERM."""

    Overlap(monkeypatch, tallyfy, launch, tries, key_column=None)
    hang = tallyfy.faults.add("hang", method="DELETE", times=None, after=2)
    line = Progress.line

    def interrupted(progress):
        if hang.hits:
            raise Terminated
        return line(progress)

    monkeypatch.setattr("airflow_provider_tallyfy.bulk.job._SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr("airflow_provider_tallyfy.bulk.job._TICK", 0.001)
    monkeypatch.setattr("airflow_provider_tallyfy.bulk.job.GRACE_SECONDS", 0.3)
    monkeypatch.setattr(Progress, "line", interrupted)
    with pytest.raises(Terminated):
        launch(key_column=None, max_concurrency=1).execute(tries.next())
    assert Counter(live(tallyfy)[0].values()) == {1: 2, 2: 4}

    tallyfy.faults.clear()
    monkeypatch.setattr(Progress, "line", line)
    third = attempt(lambda: launch(key_column=None).execute(tries.next()))
    companies, run_ids = live(tallyfy)
    assert set(companies.values()) == {1}
    assert third.state == "success"
    assert set(third.result["changed"]) == run_ids
    assert launched(tallyfy) == 12


def test_surplus_runs_are_archived_several_at_a_time_and_the_log_says_so(tallyfy, tries, launch, monkeypatch):
    Overlap(monkeypatch, tallyfy, launch, tries, key_column=None)
    hang = tallyfy.faults.add("hang", method="DELETE", times=4)
    lines = []
    real = Progress.line

    def line(progress):
        lines.append(real(progress))
        if hang.hits == 4:
            tallyfy.faults.clear()
        return lines[-1]

    monkeypatch.setattr(Progress, "line", line)
    monkeypatch.setattr("airflow_provider_tallyfy.bulk.job._SECONDS_BETWEEN_LINES", 0.0)
    launch(key_column=None, max_concurrency=4).execute(tries.next())
    assert hang.hits == 4
    assert "Launch: 6/6 done, 6 runs that overlapping tries launched twice are left to archive" in lines


def test_a_dry_run_archives_no_surplus_run(tallyfy, tries, launch, monkeypatch):
    Overlap(monkeypatch, tallyfy, launch, tries, key_column=None)
    tallyfy.faults.add(method="DELETE", status=403, times=None)
    attempt(lambda: launch(key_column=None).execute(tries.next()))
    tallyfy.faults.clear()
    launch(key_column=None, dry_run=True).execute(tries.next())
    assert set(live(tallyfy)[0].values()) == {2}


def test_further_live_runs_with_a_shared_key_are_reported_and_left_alone(tallyfy, tries, launch, tmp_path):
    [first] = launch(1).execute(tries.next())["changed"]
    copy = tallyfy.add_run("Onboarding", summary=tallyfy.run(first)["summary"])
    path = tmp_path / "report.jsonl"
    other_task = {"ti": FakeTaskInstance(task_id="other")}
    launch(1, report_path=str(path)).execute(other_task)
    [line] = report(path)
    assert (line["id"], line["state"], line["key"]) == (first, "unchanged", "A-0")
    assert line["reason"] == f"launched before; further live runs have this key: {copy['id']}"
    assert live(tallyfy)[1] == {first, copy["id"]}


@pytest.mark.usefixtures("worlds")
def test_launch_wait_for_all_and_collect_works_on_the_second_day_too(tallyfy, tries, launch, tmp_path):
    keys = [f"A-{number}" for number in range(6)]
    results = []
    for day in (1, 2):
        context = {"ti": FakeTaskInstance(run_id=f"day {day}")}
        launch(report_path=str(tmp_path / f"{day}.jsonl")).execute(context)
        runs = context["ti"].pushed["runs"]
        assert [run["key"] for run in runs] == keys
        for run in runs:
            tallyfy.complete_run(run["id"])
        wait = TallyfyRunsStatusSensor(task_id="wait", run_ids=runs, mode="reschedule", timeout=0)
        results.append([row["id"] for row in wait.poke(context).xcom_value])
        assert results[-1] == [run["id"] for run in runs]
        # Several rows are launched at a time, and a report has them as they end.
        assert sorted(line["key"] for line in report(tmp_path / f"{day}.jsonl")) == keys
    assert results[0] == results[1]
    assert set(results[0]) == {run["id"] for run in tallyfy.runs}


def test_the_runs_of_many_rows_are_a_reference_that_sensors_and_bulk_operators_take(tallyfy, launch, tmp_path):
    path = tmp_path / "report.jsonl"
    launch(3).execute({"ti": FakeTaskInstance()})
    tallyfy.faults.add(method="POST", status=422, times=1)
    context = {"ti": FakeTaskInstance(run_id="day 2")}
    attempt(lambda: launch(6, report_path=str(path), max_xcom_bytes=100, max_concurrency=1).execute(context))
    runs = context["ti"].pushed["runs"]
    assert runs == {"path": str(path), "state": ["changed", "unchanged"], "count": 5}
    waited = TallyfyRunsStatusSensor(task_id="wait", run_ids=runs, target_status="active", timeout=0)
    assert len(attempt(lambda: waited.execute(context)).result) == 5
    TallyfyArchiveRunsOperator(task_id="undo", run_ids=runs).execute({"ti": FakeTaskInstance()})
    assert live(tallyfy)[1] == set()


def test_rows_without_a_key_column_are_named_by_their_number(tallyfy, tries, launch):
    launch(2, key_column=None).execute(tries.next())
    assert [run["row"] for run in tries.pushed["runs"]] == [1, 2]
    assert all(set(run) == {"row", "id"} for run in tries.pushed["runs"])


def test_more_rows_than_an_xcom_holds_are_refused_before_anything_is_launched(tallyfy, tries, launch):
    end = attempt(lambda: launch(700).execute(tries.next()))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "Set report_path" in str(end.exception)
    assert launched(tallyfy) == 0
    assert json.dumps(tries.pushed) == "{}"
