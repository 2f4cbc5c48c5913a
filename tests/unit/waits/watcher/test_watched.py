from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyServerError
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.waits.probes import Key, Observation, RunProbe
from airflow_provider_tallyfy.waits.watcher.subscriptions import Subscription, Watched
from tests.unit.waits.watcher.virtual_waits import is_over, until

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def run(status: str, updated: datetime | None = NOON) -> Run:
    return Run("run", "Name", status, last_updated=updated)


def subscription(watch: RunProbe) -> Subscription:
    return Subscription([watch], 60, 0, 0, until(is_over))


def unread(each: Subscription) -> Observation | None:
    """What a subscriber has received and not yet read."""
    return asyncio.run(asyncio.wait_for(each.updates(), 1)).get(Key("run", "run")) if each._arrived.is_set() else None


def believes(watch: RunProbe, row: Run) -> bool:
    """Let a watched run be shown by a list, as the watcher does."""
    one, each = Watched(watch), subscription(watch)
    one.join(each, watch)
    believed = one.publish(Observation(row), 0, may_end=watch.is_newer(row))
    assert unread(each) == (Observation(row) if believed else None)
    if believed:
        watch.remember(row)
    return believed


@pytest.mark.parametrize(
    ("row", "believed"),
    [
        (run("active", NOON - timedelta(days=1)), True),
        (run("active", None), True),
        (run("complete", NOON + timedelta(milliseconds=1)), True),
        (run("complete", NOON), False),
        (run("complete", NOON - timedelta(days=1)), False),
        (run("complete", None), False),
    ],
)
def test_a_listed_end_counts_only_if_it_is_newer_than_the_wait(row, believed):
    assert believes(RunProbe("org", "run", newer_than=NOON.isoformat()), row) is believed


def test_a_listed_end_does_not_count_if_the_age_of_the_wait_is_unknown():
    assert not believes(RunProbe("org", "run"), run("complete"))


def test_a_listed_end_counts_if_it_is_newer_than_a_row_seen_before():
    watch = RunProbe("org", "run")
    assert believes(watch, run("active", NOON))
    assert believes(watch, run("complete", NOON + timedelta(seconds=1)))


@pytest.mark.parametrize(
    ("status", "list_status"),
    [("active", "active"), ("problem", "problem"), ("issue", "issue"), ("archived", "archived"), ("paused", None)],
)
def test_a_run_is_looked_for_in_the_list_of_its_last_status(status, list_status):
    watch = RunProbe("org", "run")
    assert watch.list_status == "active"
    assert believes(watch, run(status))
    assert watch.list_status == list_status


def test_a_later_wait_gets_what_is_known_at_once():
    watch = RunProbe("org", "run")
    one = Watched(watch)
    one.join(subscription(watch), watch)
    one.publish(Observation(run("active")), 0)
    late = subscription(watch)
    assert one.join(late, watch)
    assert unread(late) == Observation(run("active"))


def test_an_observation_from_before_a_wait_does_not_end_it():
    one = Watched(RunProbe("org", "run"))
    one.publish(Observation(run("complete", NOON)), 0)
    own = RunProbe("org", "run", newer_than=NOON + timedelta(hours=1))
    late = subscription(own)
    assert not one.join(late, own)
    assert unread(late) is None


def test_an_observation_from_after_the_beginning_of_a_wait_ends_it_at_once():
    one = Watched(RunProbe("org", "run"))
    one.publish(Observation(run("complete", NOON)), 0)
    own = RunProbe("org", "run", newer_than=NOON - timedelta(hours=1))
    late = subscription(own)
    assert one.join(late, own)
    assert unread(late) == Observation(run("complete"))


def test_a_subscriber_gets_changes_only():
    watch = RunProbe("org", "run")
    one, each = Watched(watch), subscription(watch)
    one.join(each, watch)
    one.publish(Observation(run("active")), 0)
    assert unread(each) == Observation(run("active"))
    one.publish(Observation(run("active")), 0)
    assert unread(each) is None
    one.publish(Observation(run("problem")), 0)
    assert unread(each) == Observation(run("problem"))


def test_a_subscriber_gets_every_failure_and_its_end():
    watch, error = RunProbe("org", "run"), TallyfyServerError("503")
    one, each = Watched(watch), subscription(watch)
    one.join(each, watch)
    for observation in (
        Observation(run("active")),
        Observation(error=error),
        Observation(error=error),
        Observation(run("active")),
    ):
        one.publish(observation, 0)
        assert unread(each) == observation


def test_a_slow_subscriber_gets_the_latest_observation_only():
    watch = RunProbe("org", "run")
    one, each = Watched(watch), subscription(watch)
    one.join(each, watch)
    for status in ("active", "problem", "complete"):
        one.publish(Observation(run(status)), 0)
    assert unread(each) == Observation(run("complete"))
