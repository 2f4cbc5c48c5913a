from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyRateLimitError, TallyfyServerError
from airflow_provider_tallyfy.api.models.envelope import Page
from airflow_provider_tallyfy.waits.probes import RunProbe
from airflow_provider_tallyfy.waits.scan import Scan
from airflow_provider_tallyfy.waits.watcher.planning import (
    Budget,
    ListRecord,
    ReadList,
    ReadOne,
    ReadPage,
    Rest,
    Trouble,
    looks_at_a_time,
    next_step,
)
from airflow_provider_tallyfy.waits.watcher.subscriptions import Subscription, Watched


def watched(name: str, due: float, list_status: str | None = "active", interval: float = 60) -> Watched:
    one = Watched(RunProbe("org", name), wanted=due, due=due, list_status=list_status)
    one.subscriptions.add(Subscription([], interval, 0, 0, lambda *_: True))
    return one


def step(all_watched, now=100.0, lists=None, **reading):
    records = {status: ListRecord() for status in ("active", "complete", "problem", "archived", "issue")}
    return next_step(all_watched, records | (lists or {}), now, **reading)


def test_many_due_runs_are_looked_for_in_their_list():
    due = [watched(f"run{number}", 100) for number in range(4)]
    assert step(due) == ReadList("active", tuple(due))


def test_few_due_runs_are_read_one_by_one_and_the_longest_due_first():
    due = [watched("late", 99), watched("later", 98), watched("not yet", 101)]
    assert step(due) == ReadOne(due[1])


def test_a_run_that_probably_changed_is_read_first():
    due = [watched("late", 50, None), watched("changed", 99)]
    due[1].hurry(99)
    assert step(due) == ReadOne(due[1])


def test_a_run_that_is_never_listed_gets_no_priority():
    one = watched("run", 100)
    one.was_not_listed()
    assert not one.is_urgent
    one.is_listed = True
    one.was_not_listed()
    assert one.is_urgent


def test_nothing_is_sent_before_a_run_is_due():
    assert step([watched("b", 130), watched("a", 120)]) == Rest(120)


def test_without_waits_there_is_nothing_to_do():
    assert step([]) == Rest(float("inf"))


def test_a_list_also_covers_runs_that_are_due_soon():
    now_and_soon = [watched("now", 100), *(watched(f"soon{number}", 105) for number in range(3))]
    later = watched("later", 107)
    assert step([*now_and_soon, later]) == ReadList("active", tuple(now_and_soon))


def test_runs_that_are_due_soon_cause_no_list_by_themselves():
    assert step([watched(f"soon{number}", 105) for number in range(10)]) == Rest(105)


def test_the_list_that_shows_most_is_read_first():
    problems = [watched(f"p{number}", 90, "problem") for number in range(4)]
    active = [watched(f"a{number}", 100) for number in range(5)]
    assert step([*problems, *active]) == ReadList("active", tuple(active))


def test_a_look_under_way_is_not_started_again():
    one = watched("run", 100)
    one.in_flight = True
    assert step([one]) == Rest(float("inf"))


def test_pages_of_a_list_and_single_looks_take_turns():
    single = watched("single", 90, None)
    assert step([single], page_due=0, page_first=True) == ReadPage()
    assert step([single], page_due=0) == ReadOne(single)
    assert step([], page_due=0) == ReadPage()
    assert step([single], page_due=120, page_first=True) == ReadOne(single)
    assert step([], page_due=120) == Rest(120)


def test_a_run_that_probably_changed_does_not_wait_for_a_list():
    changed, listed = watched("changed", 100), [watched(f"run{number}", 100) for number in range(4)]
    changed.hurry(100)
    assert step([changed, *listed]) == ReadOne(changed)
    assert step([changed, *listed], page_due=0, page_first=True) == ReadOne(changed)


def test_one_list_is_read_at_a_time_and_its_runs_wait_for_it():
    sought, due = watched("sought", 90), [watched(f"run{number}", 100) for number in range(4)]
    sought.is_sought = True
    assert step([sought, *due], page_due=float("inf")) == Rest(float("inf"))
    assert step([sought, due[0]], page_due=float("inf")) == ReadOne(due[0])


def test_a_list_that_showed_hardly_anything_is_skipped_for_a_while():
    due, record = [watched(f"run{number}", 100) for number in range(8)], ListRecord()
    record.note(sought=8, paid_off=False, now=90)
    assert step(due, lists={"active": record}) == ReadOne(due[0])
    assert record.is_worth_reading(8, now=90 + 601)


def test_a_list_that_showed_hardly_anything_is_tried_again_for_many_more_runs():
    record = ListRecord()
    record.note(sought=8, paid_off=False, now=90)
    assert record.is_worth_reading(17, now=100)


def test_a_run_that_left_the_active_list_is_looked_for_in_the_complete_one_first():
    one = watched("run", 100)
    one.was_not_listed()
    assert one.list_status == "complete"
    one.was_not_listed()
    assert one.list_status is None


def test_a_run_that_may_have_moved_up_in_a_shorter_list_is_looked_for_there_again():
    one, lists = watched("run", 100), []
    while one.list_status is not None:
        lists.append(str(one.list_status))
        one.was_not_listed(list_shrank=True)
    assert lists == ["active", "complete", "active"]


@pytest.mark.parametrize("per_minute", [1, 10, 60, 300, 600])
def test_no_minute_sees_more_requests_than_the_budget(per_minute):
    budget, now, sent = Budget(per_minute, now=0.0), 0.0, []
    while now < 300:
        now = max(now, budget.free_at)
        budget.spend(1, now)
        sent.append(now)
    assert max(sum(start <= moment < start + 60 for moment in sent) for start in sent) <= max(2, per_minute + 1)
    assert len(sent) > 300 / 60 * per_minute * 0.4


def test_a_round_of_lists_fits_into_the_burst_of_the_default_budget():
    budget = Budget(300, now=0.0)
    budget.spend(20, now=0.0)
    assert budget.free_at <= 0


def test_an_interval_that_doubles_does_so_from_look_to_look_up_to_its_limit():
    pace, moments = Subscription([], 10, 60, 100, lambda *_: True), [100.0]
    while len(moments) < 7:
        moments.append(moments[-1] + pace.interval_at(moments[-1]))
    assert [later - earlier for earlier, later in pairwise(moments)] == [10, 20, 40, 60, 60, 60]


def test_the_shortest_interval_sets_the_pace():
    one = watched("run", 0, interval=60)
    one.subscriptions.add(Subscription([], 5, 0, 0, lambda *_: True))
    assert one.interval_at(1000) == 5


def test_a_retry_after_delays_every_look():
    trouble = Trouble()
    trouble.note_failure("run", TallyfyRateLimitError("slow down", retry_after=30), asked_at=100, now=100, chance=0)
    assert trouble.is_general
    assert not trouble.is_outage
    assert trouble.until >= 130


def test_a_good_answer_does_not_shorten_a_retry_after():
    trouble = Trouble()
    trouble.note_failure("run", TallyfyRateLimitError("slow down", retry_after=30), asked_at=100, now=100, chance=0)
    trouble.note_success()
    assert not trouble.is_general
    assert trouble.until >= 130


def test_repeated_failures_of_one_run_are_no_outage():
    trouble = Trouble()
    for _ in range(20):
        trouble.note_failure("run", TallyfyServerError("503"), asked_at=0, now=0, chance=0.5)
    assert not trouble.is_general
    assert trouble.until == float("-inf")


def test_failures_of_many_runs_in_a_row_are_an_outage_with_growing_pauses():
    trouble, now, pauses = Trouble(), 0.0, []
    for number in range(3000):
        trouble.note_failure(f"run{number}", TallyfyServerError("503"), asked_at=now, now=now, chance=0.5)
        pauses.append(trouble.until - now)
        now = max(now, trouble.until)
    assert trouble.is_outage
    assert pauses[:4] == [float("-inf")] * 4
    assert 0 < pauses[4] < 2
    assert pauses[4:] == sorted(pauses[4:])
    assert 30 < pauses[-1] <= 60


def test_requests_that_fail_together_are_one_failure():
    trouble = Trouble()
    for number in range(8):
        error = TallyfyRateLimitError("slow down", retry_after=1)
        trouble.note_failure(f"run{number}", error, asked_at=10, now=10.1, chance=0.5)
    assert 11.1 <= trouble.until <= 12.5


def test_an_answer_ends_an_outage():
    trouble = Trouble()
    for number in range(10):
        trouble.note_failure(f"run{number}", TallyfyServerError("503"), asked_at=0, now=0, chance=0.5)
    trouble.note_success()
    assert not trouble.is_general


def page(ids: list[str], number: int, total_pages: int) -> Page:
    return Page(tuple({"id": run_id, "status": "active"} for run_id in ids), number, total_pages)


def read(scan: Scan, pages: list[list[str]]) -> int:
    """Answer a scan with these pages, and return how many it requested."""
    asked = 0
    while scan.next_call() is not None:
        scan.accept(page(pages[asked], asked + 1, len(pages)))
        asked += 1
    return asked


def test_a_scan_stops_when_it_has_found_everything():
    scan = Scan("org", "active", ["a", "b", "c"])
    assert read(scan, [["a", "b", "x"], ["c"], ["y"], ["z"]]) == 2
    assert (scan.missing, scan.found, scan.paid_off) == (set(), 3, True)


def test_a_scan_stops_where_the_rest_is_cheaper_one_by_one():
    scan = Scan("org", "active", ["a", "b", "c", "d"])
    assert read(scan, [["a", "b"], ["x"], *([["y"]] * 20)]) == 2
    assert scan.missing == {"c", "d"}


def test_a_scan_goes_on_while_fewer_pages_than_runs_are_left():
    sought = [f"run{number}" for number in range(10)]
    scan = Scan("org", "active", sought)
    assert read(scan, [["x"], ["y"], sought]) == 3
    assert scan.paid_off


def test_a_scan_reads_on_although_runs_leave_the_list():
    sought = [f"run{number}" for number in range(10)]
    scan = Scan("org", "active", sought)
    for number, (shown, total) in enumerate([(["x"], 300), (["y"], 250), (sought[:2], 201)], start=1):
        call = scan.next_call()
        assert call is not None
        assert ("page", str(number)) in call.query
        scan.accept(replace(page(shown, number, 3), total=total))
    assert scan.next_call() is None


def test_a_scan_that_read_many_pages_for_little_did_not_pay_off():
    scan = Scan("org", "active", [f"run{number}" for number in range(10)])
    assert read(scan, [["run1"], ["x"], ["y"], ["z"]]) == 4
    assert not scan.paid_off


def test_an_empty_list_pays_off_because_it_shows_that_the_runs_left():
    scan = Scan("org", "active", [f"run{number}" for number in range(10)])
    assert read(scan, [[]]) == 1
    assert scan.paid_off


def test_a_scan_begins_with_the_newest_runs_in_the_status():
    call = Scan("org", "problem", ["a"]).next_call()
    assert call is not None
    assert {("status", "problem"), ("sort", "-created_at"), ("per_page", "100")} <= set(call.query)


@pytest.mark.parametrize(
    ("per_second", "seconds_for_one", "at_a_time"),
    [(4.5, 0.0, 1), (4.5, 0.05, 1), (4.5, 0.2, 1), (4.5, 1.0, 5), (4.5, 30.0, 8), (9000, 0.05, 8)],
)
def test_looks_overlap_only_as_far_as_the_rate_needs(per_second, seconds_for_one, at_a_time):
    assert looks_at_a_time(per_second, seconds_for_one, most=8) == at_a_time
