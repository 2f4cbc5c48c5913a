from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.models import Run
from airflow_provider_tallyfy.api.waits.events import Event, EventLog, checked_events

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NO_TIME = timedelta()


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def run(run_id: str = "a", *, created: float = -1000, updated: float | None = None, **facts) -> Run:
    moments = {name: at(facts.pop(name)) for name in ("completed_at", "archived_at") if name in facts}
    status = facts.pop("status", "complete" if "completed_at" in moments else "active")
    return Run(run_id, "Name", status, created_at=at(created), last_updated=at(updated or created), **moments)


def log(state=None, replay: timedelta = NO_TIME, events=tuple(Event)) -> EventLog:
    return EventLog(events, state, replay)


def told(story: EventLog, *runs: Run, now: float = 0) -> list[tuple[str, str]]:
    return [(event.event.value, event.run.id) for event in story.read(runs, at(now))]


def begun(*runs: Run) -> EventLog:
    story = log()
    assert told(story, *runs) == []
    return story


def restarted(story: EventLog) -> EventLog:
    return log(json.loads(json.dumps(story.state())))


def test_what_was_there_at_the_beginning_is_not_told():
    assert told(log(), run("a"), run("b", completed_at=-5), run("c", archived_at=-5)) == []


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
def test_what_happened_between_two_lists_is_told_once(before, after, events, restart):
    story = begun(*([before] if before else []), run("other"))
    story = restarted(story) if restart else story
    assert [event for event, _ in told(story, after, run("other"))] == events
    story = restarted(story) if restart else story
    assert told(story, after, run("other")) == []


def test_events_are_told_in_the_order_in_which_they_happened():
    assert told(begun(), run("b", created=2), run("a", created=1, completed_at=3)) == [
        ("launched", "a"),
        ("launched", "b"),
        ("completed", "a"),
    ]


def test_only_events_of_interest_are_told():
    story = log(events=[Event.COMPLETED])
    told(story)
    assert told(story, run(created=1, completed_at=2, archived_at=3)) == [("completed", "a")]


def test_a_list_that_leaves_runs_out_makes_nothing_happen():
    story = begun(run("a", status="problem"), run("b", archived_at=-5))
    assert told(story) == []
    assert told(story, run("a", status="problem"), run("b", archived_at=-5)) == []


def test_an_event_that_shows_up_after_a_later_one_is_told():
    story = begun(run("old"))
    assert told(story, run("later", created=5)) == [("launched", "later")]
    assert told(story, run("earlier", created=1), run("later", created=5)) == [("launched", "earlier")]


def test_an_event_of_long_ago_is_not_told_because_its_run_was_tagged_today():
    story = begun(run("new", created=0))
    assert told(story, run("tagged", created=-500), run("new", created=0)) == []


@pytest.mark.parametrize(("minutes", "events"), [(60, ["completed"]), (5, [])])
def test_without_a_state_what_happened_lately_is_told_again_if_that_is_wished(minutes, events):
    story = log(replay=timedelta(minutes=minutes))
    assert [event for event, _ in told(story, run(completed_at=-30))] == events
    assert told(story, run(completed_at=-30)) == []


def test_an_event_has_the_same_id_wherever_it_is_noticed():
    ids = [log(replay=timedelta(days=1)).read([run(completed_at=-30)], NOON)[-1].id for _ in range(2)]
    assert ids[0] == ids[1]
    other = log(replay=timedelta(days=1)).read([run(completed_at=-29)], NOON)[-1].id
    assert other != ids[0]


def test_what_is_kept_stays_small():
    story = log()
    runs = [run(f"{number:032x}", created=number, status="problem", archived_at=number) for number in range(3000)]
    story.read(runs, at(3000))
    assert len(json.dumps(story.state())) < 60_000


def test_the_payload_is_plain_and_small():
    (event,) = log(replay=timedelta(days=1), events=["completed"]).read([run(completed_at=-30)], NOON)
    payload = event.describe("https://web/a")
    assert json.loads(json.dumps(payload)) == payload
    assert payload["event"] == "completed"
    assert payload["at"] == "2026-01-01T11:30:00Z"
    assert payload["run"]["id"] == "a"


@pytest.mark.parametrize("events", ["finished", "", [], None, [None], ["completed", "finished"]])
def test_unknown_events_are_refused_with_the_known_ones(events):
    with pytest.raises(TallyfyValidationError, match="launched, completed, problem, archived, restored"):
        checked_events(events)


@pytest.mark.parametrize("events", [5, {"completed": True}])
def test_events_that_are_no_list_are_refused(events):
    with pytest.raises(TallyfyValidationError, match="is not a list"):
        checked_events(events)


@pytest.mark.parametrize("events", ["problem,completed", ["problem", "completed", "problem"], {"completed", "problem"}])
def test_events_are_the_same_however_they_are_written(events):
    assert checked_events(events) == (Event.COMPLETED, Event.PROBLEM)
