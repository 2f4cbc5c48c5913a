"""What happened to runs, found by comparing lists of them with what was known before."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from airflow_provider_tallyfy.api.inputs.checks import listed
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.models.run import Run, RunStatus, format_time
from airflow_provider_tallyfy.waits.run_list import LATENESS, LONG_AGO, RUNS_AT_A_TIME, is_long_archived


class Event(StrEnum):
    """What can happen to a run."""

    LAUNCHED = "launched"
    COMPLETED = "completed"
    PROBLEM = "problem"
    ARCHIVED = "archived"
    RESTORED = "restored"


_PROBLEM, _ARCHIVED = "problem", "archived"

# What an event log remembers of runs, to notice events of which Tallyfy keeps no time.
_KEPT = {Event.PROBLEM: _PROBLEM, Event.RESTORED: _ARCHIVED}


@dataclass(frozen=True)
class RunEvent:
    """
    Something that happened to a run.

    :param at: when; for a problem and a restore, of which Tallyfy keeps no time, when the run last changed.
    """

    event: Event
    at: datetime
    run: Run

    @property
    def id(self) -> str:
        """
        Identify the event: the same wherever it is noticed.

        A problem or a restore that is noticed twice has another id if the run was changed in between.
        """
        facts = f"{self.run.id} {self.event} {self.at.isoformat()}"
        return hashlib.sha256(facts.encode()).hexdigest()[:16]

    def describe(self, run_url: str) -> dict[str, Any]:
        """Reduce it to plain JSON types."""
        run = {**self.run.describe(run_url), "template_id": self.run.template_id}
        del run["changed"]
        return {"event_id": self.id, "event": self.event.value, "at": format_time(self.at), "run": run}


class EventLog:
    """
    Finds the events in one list after the other, each of them once.

    What is known is a moment and the events after it. The moment is when listening began, and later ten minutes before
    the latest event, by Tallyfy's clock, because an event may show up after a later one. Of problems and restores
    Tallyfy keeps no time; if they are of interest, it is also known which runs had a problem, or were archived.

    :param state: what :func:`beginning` gave, or :meth:`state` before a restart.
    """

    def __init__(self, events: Iterable[Event], state: Mapping[str, Any]) -> None:
        self._events = frozenset(events)
        names = [name for event, name in _KEPT.items() if event in self._events]
        self._is_first = not all(name in state for name in names)
        self._seen: dict[str, Run] = {}
        self._absent: dict[str, datetime] = {}  # runs of _kept that the list leaves out, with the first such list
        self._since = datetime.fromisoformat(state["since"])
        self._known = {event_id: datetime.fromisoformat(at) for event_id, at in state["known"].items()}
        self._kept = {name: set(state.get(name, ())) for name in names}

    @property
    def since(self) -> datetime:
        """Events after this moment are new, unless they are known."""
        return self._since

    def read(self, runs: Collection[Run], now: datetime) -> Generator[None, None, list[RunEvent]]:
        """
        Compare a list with what is known, some runs at a time: a large archive must not hold up an event loop.

        :param runs: the list; a run that it leaves out is as it was.
        :return: the new events, the earliest first.
        """
        found: list[RunEvent] = []
        latest = LONG_AGO
        for number, run in enumerate(runs, start=1):
            if number % RUNS_AT_A_TIME == 0:
                yield
            if self._seen.get(run.id) is not run:
                latest = max(latest, *filter(None, (run.created_at, run.completed_at, run.archived_at)), LONG_AGO)
                found += self._events_of(run)
                self._keep(run)
        yield
        fresh = [event for event in found if event.id not in self._known]
        # A time in the future must not hide the events until then.
        self._since = max(self._since, min(latest, now) - LATENESS) if latest > LONG_AGO else self._since
        self._known |= {event.id: event.at for event in found}
        self._known = {event_id: at for event_id, at in self._known.items() if at > self._since}
        self._seen = {run.id: run for run in runs}
        self._forget_absent(now)
        self._is_first = False
        return sorted(fresh, key=lambda event: event.at)

    def state(self) -> dict[str, Any]:
        """Reduce what is known to plain JSON types."""
        return {
            "since": self._since.isoformat(),
            "known": {event_id: at.isoformat() for event_id, at in self._known.items()},
            **{name: sorted(ids) for name, ids in self._kept.items() if not self._is_first},
        }

    def _forget_absent(self, now: datetime) -> None:
        """Forget runs that no list has shown for longer than lists lag behind: they were deleted, or are old."""
        absent = set().union(*self._kept.values()) - self._seen.keys()
        self._absent = {run_id: self._absent.get(run_id, now) for run_id in absent}
        gone = {run_id for run_id, first in self._absent.items() if now - first > LATENESS}
        for ids in self._kept.values():
            ids.difference_update(gone)

    def _events_of(self, run: Run) -> Iterator[RunEvent]:
        changed = run.last_updated or run.created_at
        moments = {
            Event.LAUNCHED: run.created_at,
            Event.COMPLETED: run.completed_at,
            Event.ARCHIVED: run.archived_at,
            Event.PROBLEM: changed if self._got_problem(run) else None,
            Event.RESTORED: changed if self._was_restored(run) else None,
        }
        for event, moment in moments.items():
            # Before the first list, nobody knows which runs had a problem. Those that changed since may have got one.
            is_change = event in _KEPT and not self._is_first
            if moment is not None and event in self._events and (is_change or moment > self._since):
                yield RunEvent(event, moment, run)

    def _got_problem(self, run: Run) -> bool:
        return _has_problem(run) and run.id not in self._kept.get(_PROBLEM, ())

    def _was_restored(self, run: Run) -> bool:
        return not run.is_archived and run.id in self._kept.get(_ARCHIVED, ())

    def _keep(self, run: Run) -> None:
        hides_problem = run.stored_status == RunStatus.ARCHIVED
        is_archived = run.is_archived and not is_long_archived(run, self._since)
        is_so = {_PROBLEM: None if hides_problem else _has_problem(run), _ARCHIVED: is_archived}
        for name, ids in self._kept.items():
            if is_so[name]:
                ids.add(run.id)
            elif is_so[name] is False:
                ids.discard(run.id)


def beginning(since: datetime) -> dict[str, Any]:
    """Give what an event log knows before the first list: since when events count."""
    return {"since": since.isoformat(), "known": {}}


def merged(states: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """
    Make one state of several: what it calls known was known to all of them.

    :param states: what :func:`beginning` or :meth:`EventLog.state` gave at different times, for the same events.
    """
    states = list(states)
    if not states:
        return None
    every = {event_id: at for state in states for event_id, at in state["known"].items()}
    merger: dict[str, Any] = {
        "since": min((state["since"] for state in states), key=datetime.fromisoformat),
        "known": {event_id: at for event_id, at in every.items() if all(_is_known(event_id, at, s) for s in states)},
    }
    if all(_PROBLEM in state for state in states):
        merger[_PROBLEM] = sorted(set.intersection(*(set(state[_PROBLEM]) for state in states)))
    if all(_ARCHIVED in state for state in states):
        merger[_ARCHIVED] = sorted(set.union(*(set(state[_ARCHIVED]) for state in states)))
    return merger


def _is_known(event_id: str, at: str, state: Mapping[str, Any]) -> bool:
    return event_id in state["known"] or datetime.fromisoformat(at) <= datetime.fromisoformat(state["since"])


def checked_events(events: object) -> tuple[Event, ...]:
    """Check the names of events, a list or a text with commas; give each once, in alphabetical order."""
    names = set(listed(events, "events"))
    if not names or not names <= set(Event):
        known = ", ".join(event.value for event in Event)
        raise invalid("events", events, "names an unknown event, or none", f"Valid: {known}.")
    return tuple(sorted(map(Event, names)))


def _has_problem(run: Run) -> bool:
    return run.status in (RunStatus.PROBLEM, RunStatus.ISSUE)
