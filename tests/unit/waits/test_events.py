from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.waits.run_events import Event, EventLog, beginning, checked_events, merged

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NO_TIME = timedelta()


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def run(run_id: str = "a", *, created: float = -1000, updated: float | None = None, **facts) -> Run:
    moments = {name: at(facts.pop(name)) for name in ("completed_at", "archived_at") if name in facts}
    status = facts.pop("status", "complete" if "completed_at" in moments else "active")
    return Run(run_id, "Name", status, created_at=at(created), last_updated=at(updated or created), **moments)


def log(state=None, replay: timedelta = NO_TIME, events=tuple(Event)) -> EventLog:
    return EventLog(events, beginning(NOON - replay) if state is None else state)


def read(event_log: EventLog, runs, now: datetime):
    return collected(event_log.read(runs, now))[0]


def collected(work):
    """Return the result of a generator, and how often it paused."""
    parts = 0
    while True:
        parts += 1
        try:
            next(work)
        except StopIteration as end:
            return end.value, parts


def fired(event_log: EventLog, *runs: Run, now: float = 0) -> list[tuple[str, str]]:
    return [(event.event.value, event.run.id) for event in read(event_log, runs, at(now))]


def begun(*runs: Run) -> EventLog:
    event_log = log()
    assert fired(event_log, *runs) == []
    return event_log


def restarted(event_log: EventLog) -> EventLog:
    return log(json.loads(json.dumps(event_log.state())))


def test_the_state_at_the_beginning_fires_no_event():
    assert fired(log(), run("a"), run("b", completed_at=-5), run("c", archived_at=-5)) == []


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        (None, run(created=1), ["launched"]),
        (None, run(created=1, completed_at=2), ["launched", "completed"]),
        (run(), run(updated=1), []),
        (run(), run(updated=1, completed_at=1), ["completed"]),
        (run(), run(updated=1, status="problem"), ["problem"]),
        (run(), run(updated=1, status="issue"), ["problem"]),
        (run(status="problem"), run(updated=1, status="issue"), []),
        (run(status="problem"), run(updated=1), []),
        (run(), run(updated=1, archived_at=1), ["archived"]),
        (run(archived_at=-5), run(updated=1), ["restored"]),
        (run(completed_at=-5, archived_at=-5), run(updated=1, completed_at=-5), ["restored"]),
        (run(completed_at=-5), run(updated=1, completed_at=1), ["completed"]),
    ],
)
@pytest.mark.parametrize("restart", [False, True])
def test_an_event_between_two_lists_fires_once(before, after, events, restart):
    event_log = begun(*([before] if before else []), run("other"))
    event_log = restarted(event_log) if restart else event_log
    assert [event for event, _ in fired(event_log, after, run("other"))] == events
    event_log = restarted(event_log) if restart else event_log
    assert fired(event_log, after, run("other")) == []


def test_events_fire_in_the_order_in_which_they_happened():
    assert fired(begun(), run("b", created=2), run("a", created=1, completed_at=3)) == [
        ("launched", "a"),
        ("launched", "b"),
        ("completed", "a"),
    ]


def test_only_events_of_interest_fire():
    event_log = log(events=[Event.COMPLETED])
    fired(event_log)
    assert fired(event_log, run(created=1, completed_at=2, archived_at=3)) == [("completed", "a")]


def test_a_list_that_leaves_runs_out_fires_no_event():
    event_log = begun(run("a", status="problem"), run("b", archived_at=-5))
    assert fired(event_log) == []
    assert fired(event_log, run("a", status="problem"), run("b", archived_at=-5)) == []


def test_an_event_that_shows_up_after_a_later_one_fires():
    event_log = begun(run("old"))
    assert fired(event_log, run("later", created=5)) == [("launched", "later")]
    assert fired(event_log, run("earlier", created=1), run("later", created=5)) == [("launched", "earlier")]


def test_an_old_event_does_not_fire_because_its_run_was_tagged_today():
    event_log = begun(run("new", created=0))
    assert fired(event_log, run("tagged", created=-500), run("new", created=0)) == []


@pytest.mark.parametrize(("minutes", "events"), [(60, ["completed"]), (5, [])])
def test_replay_fires_events_from_before_the_beginning(minutes, events):
    event_log = log(replay=timedelta(minutes=minutes))
    assert [event for event, _ in fired(event_log, run(completed_at=-30))] == events
    assert fired(event_log, run(completed_at=-30)) == []


@pytest.mark.parametrize("restart", [False, True])
def test_the_first_list_fires_what_happened_since_the_beginning_and_nothing_older(restart):
    event_log = restarted(log()) if restart else log()
    runs = [
        run("completed", completed_at=2),
        run("long completed", completed_at=-5),
        run("archived", updated=3, archived_at=3),
        run("long archived", archived_at=-5),
        run("problem", updated=4, status="problem"),
        run("long problem", updated=-4, status="problem"),
        run("launched", created=5),
    ]
    events = [
        ("completed", "completed"),
        ("archived", "archived"),
        ("problem", "problem"),
        ("launched", "launched"),
    ]
    assert fired(event_log, *runs, now=6) == events
    assert fired(restarted(event_log), *runs, now=7) == []
    runs[3], runs[5] = run("long archived", updated=8), run("long problem", updated=8, status="problem")
    assert fired(restarted(event_log), *runs, now=9) == [("restored", "long archived")]


def test_merging_a_beginning_and_a_state_loses_nothing():
    event_log = begun(run("old", updated=-5, status="problem"), run("new"))
    fired(event_log, run("new", completed_at=1), now=1)
    merger = log(merged([log().state(), beginning(at(-2)), event_log.state()]))
    runs = [run("old", updated=-5, status="problem"), run("new", completed_at=1), run("early", completed_at=-1)]
    assert fired(merger, *runs, now=2) == [("completed", "early"), ("completed", "new")]
    assert fired(merger, *runs, now=3) == []


def test_a_list_is_compared_in_parts_to_let_other_tasks_run():
    event_log, archive = log(replay=timedelta(days=10)), many(completed_at=-4500, archived_at=-4000)
    compared: list[int] = [0]
    event_log._keep = lambda run: compared.append(compared.pop() + 1)  # type: ignore[method-assign]
    work, parts = event_log.read(archive, NOON), []
    for _ in work:
        parts.append(compared.pop())
        compared.append(0)
    assert sum(parts) + compared[0] == len(archive)
    assert max(parts) <= 500


def test_runs_that_lists_have_not_shown_for_longer_than_their_lag_are_forgotten():
    event_log = begun(run("problem", status="problem"), run("archived", archived_at=-5), run("other"))
    for minute in (1, 10, 20):
        fired(event_log, run("other"), now=minute)
    kept = {name: ids for name, ids in event_log.state().items() if name in ("problem", "archived")}
    assert kept == {"problem": [], "archived": []}
    assert list(event_log._seen) == ["other"]


def test_a_run_that_one_list_leaves_out_is_not_forgotten():
    event_log = begun(run("a", status="problem"))
    fired(event_log, now=1)
    fired(event_log, run("a", status="problem"), now=9)
    fired(event_log, now=15)
    assert fired(event_log, run("a", updated=16, status="problem"), now=16) == []


def test_runs_that_were_archived_long_ago_are_not_remembered():
    event_log = log(events=[Event.RESTORED])
    read(event_log, [run("recent", archived_at=-5), run("old", archived_at=-100 * 24 * 60)], NOON)
    assert event_log.state()["archived"] == ["recent"]


def test_an_event_has_the_same_id_in_every_process():
    ids = [read(log(replay=timedelta(days=1)), [run(completed_at=-30)], NOON)[-1].id for _ in range(2)]
    assert ids[0] == ids[1]
    other = read(log(replay=timedelta(days=1)), [run(completed_at=-29)], NOON)[-1].id
    assert other != ids[0]


def many(**facts) -> list[Run]:
    return [run(f"{number:032x}", created=-5000, updated=-4000, **facts) for number in range(3000)]


def test_runs_that_are_the_same_as_before_are_not_compared_again(monkeypatch):
    archive, event_log = many(archived_at=-4000), log()
    read(event_log, archive, NOON)
    compared = []
    monkeypatch.setattr(EventLog, "_keep", lambda self, run: compared.append(run.id))
    assert fired(event_log, *archive, run("new", created=1), now=1) == [("launched", "new")]
    assert compared == ["new"]


@pytest.mark.parametrize("facts", [{"status": "problem"}, {"archived_at": -4000}])
def test_a_restart_fires_nothing_twice_however_many_runs_there_are(facts):
    event_log = begun(*many(**facts))
    assert fired(restarted(event_log), *many(**facts)) == []


def test_a_restart_loses_no_restore_however_many_runs_there_are():
    event_log = begun(*many(archived_at=-4000))
    assert len(fired(restarted(event_log), *many())) == 3000


@pytest.mark.parametrize("event", [Event.LAUNCHED, Event.COMPLETED, Event.ARCHIVED])
def test_events_with_a_time_on_the_run_are_remembered_by_time(event):
    event_log = log(events=[event])
    read(event_log, many(completed_at=-4500, archived_at=-4000, status="problem"), NOON)
    read(event_log, [run("new", created=1)], at(1))
    assert len(json.dumps(event_log.state())) < 200


@pytest.mark.parametrize("event", [Event.PROBLEM, Event.RESTORED])
def test_only_what_the_events_of_interest_need_is_remembered(event):
    event_log = log(events=[event])
    read(event_log, [run("a", status="problem"), run("b", archived_at=-5)], NOON)
    kept = {Event.PROBLEM: {"problem": ["a"]}, Event.RESTORED: {"archived": ["b"]}}[event]
    assert {name: ids for name, ids in event_log.state().items() if name not in ("since", "known")} == kept


def test_a_hidden_problem_does_not_fire_again_after_the_run_is_restored():
    event_log = begun(run(status="problem"))
    assert fired(event_log, run(status="archived", updated=1, archived_at=1)) == [("archived", "a")]
    assert fired(event_log, run(status="problem", updated=2)) == [("restored", "a")]


def test_an_event_in_the_future_hides_no_earlier_one():
    event_log = log()
    fired(event_log, run("a", created=1_000_000))
    assert fired(event_log, run("b", created=1), now=1) == [("launched", "b")]


def test_states_that_are_equal_merge_into_the_same():
    event_log = begun(run("a", status="problem"), run("b", archived_at=-5))
    assert merged([event_log.state()] * 2) == merged([event_log.state()]) == event_log.state()
    assert merged([]) is None


def test_merged_states_keep_only_what_all_of_them_fired():
    runs = [run("problem", status="problem"), run("old", archived_at=-500)]
    event_log = begun(*runs)
    runs += [run("early", created=1)]
    fired(event_log, *runs, now=1)
    early = event_log.state()
    runs += [run("later", created=30), run("solved", created=-10, updated=29, status="problem")]
    runs[1] = run("old", updated=28)
    fired(event_log, *runs, now=30)
    event_log = log(merged([early, event_log.state()]))
    assert fired(event_log, *runs, now=31) == [("restored", "old"), ("problem", "solved"), ("launched", "later")]
    assert fired(event_log, *runs, now=31) == []


def test_the_payload_is_small_and_plain_json():
    (event,) = read(log(replay=timedelta(days=1), events=["completed"]), [run(completed_at=-30)], NOON)
    payload = event.describe("https://web/a")
    assert json.loads(json.dumps(payload)) == payload
    assert payload["event"] == "completed"
    assert payload["at"] == "2026-01-01T11:30:00Z"
    assert payload["run"]["id"] == "a"


@pytest.mark.parametrize("events", ["finished", "", [], None, ["completed", "finished"]])
def test_unknown_events_are_refused_with_the_known_ones(events):
    with pytest.raises(TallyfyValidationError, match="launched, completed, problem, archived, restored"):
        checked_events(events)


@pytest.mark.parametrize("events", [5, {"completed": True}, [None]])
def test_an_invalid_list_of_events_is_refused(events):
    with pytest.raises(TallyfyValidationError, match=r"is not a list|is missing"):
        checked_events(events)


@pytest.mark.parametrize("events", ["problem,completed", ["problem", "completed", "problem"], {"completed", "problem"}])
def test_events_can_be_written_as_text_or_list_or_set(events):
    assert checked_events(events) == (Event.COMPLETED, Event.PROBLEM)
