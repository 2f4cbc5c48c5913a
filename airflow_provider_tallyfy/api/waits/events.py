"""What happened to runs, told apart by comparing lists of them with what was known before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from airflow_provider_tallyfy.api.checks import listed
from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.models import Run, RunStatus, format_time
from airflow_provider_tallyfy.api.waits.run_list import LATENESS, LONG_AGO


class Event(StrEnum):
    """What can happen to a run."""

    LAUNCHED = "launched"
    COMPLETED = "completed"
    PROBLEM = "problem"
    ARCHIVED = "archived"
    RESTORED = "restored"


_PROBLEM, _ARCHIVED = "problem", "archived"

# What has to be known of runs to notice events that leave no time on the run.
_KEPT = {Event.PROBLEM: _PROBLEM, Event.RESTORED: _ARCHIVED}


@dataclass(frozen=True)
class RunEvent:
    """
    Something that happened to a run.

    :param event: what.
    :param at: when; for a problem and a restore, of which Tallyfy keeps no time, when the run last changed.
    :param run: the run as it is now.
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
        """
        Reduce it to plain JSON types.

        :param run_url: address of the run in the web app.
        """
        run = {**self.run.describe(run_url), "template_id": self.run.template_id}
        del run["changed"]
        return {"event_id": self.id, "event": self.event.value, "at": format_time(self.at), "run": run}


class EventLog:
    """
    Finds the events in one list after the other, each of them once.

    What is known is a moment and the events after it: ten minutes before the latest event, by Tallyfy's clock, because
    an event may show up after a later one. Of problems and restores Tallyfy keeps no time; if they are of interest, it
    is also known which runs had a problem, or were archived.

    :param events: which events are of interest.
    :param state: what :meth:`state` gave before a restart; ``None`` to begin with the first list.
    :param replay: without a state, also tell what happened so long before the first list was read.
    """

    def __init__(self, events: Iterable[Event], state: Mapping[str, Any] | None, replay: timedelta) -> None:
        self._events = frozenset(events)
        self._replay = replay
        self._is_new = state is None
        self._seen: dict[str, Run] = {}
        state = state or {}
        self._since = datetime.fromisoformat(state["since"]) if state else LONG_AGO
        self._known = {event_id: datetime.fromisoformat(at) for event_id, at in state.get("known", {}).items()}
        self._kept = {name: set(state.get(name, ())) for event, name in _KEPT.items() if event in self._events}

    def read(self, runs: Iterable[Run], now: datetime) -> list[RunEvent]:
        """
        Compare a list with what is known.

        :param runs: the list; a run that it leaves out is as it was.
        :param now: wall clock, for ``replay``.
        :return: the new events, the earliest first.
        """
        # A long archive that is the same as before must not hold up the event loop.
        runs = [run for run in runs if self._seen.get(run.id) is not run]
        self._seen |= {run.id: run for run in runs}
        told_until = self._since
        self._advance(runs, now)
        found = [event for run in runs for event in self._events_of(run)]
        if self._is_new:
            fresh = [event for event in found if event.at > now - self._replay] if self._replay else []
        else:
            fresh = [event for event in found if self._is_fresh(event, told_until)]
        for run in runs:
            self._keep(run)
        self._known = {event_id: at for event_id, at in self._known.items() if at > self._since}
        self._known |= {event.id: event.at for event in found if event.at > self._since}
        self._is_new = False
        return sorted(fresh, key=lambda event: event.at)

    def state(self) -> dict[str, Any]:
        """Reduce what is known to plain JSON types."""
        return {
            "since": self._since.isoformat(),
            "known": {event_id: at.isoformat() for event_id, at in self._known.items()},
            **{name: sorted(ids) for name, ids in self._kept.items()},
        }

    def _advance(self, runs: Iterable[Run], now: datetime) -> None:
        """Move on to ten minutes before the latest event; one in the future must not hide those until then."""
        moments = (moment for run in runs for moment in (run.created_at, run.completed_at, run.archived_at) if moment)
        latest = max(moments, default=None)
        if latest is not None:
            self._since = max(self._since, min(latest, now) - LATENESS)

    def _is_fresh(self, event: RunEvent, told_until: datetime) -> bool:
        is_change = event.event in _KEPT
        return (is_change or event.at > told_until) and event.id not in self._known

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
            if moment is not None and event in self._events:
                yield RunEvent(event, moment, run)

    def _got_problem(self, run: Run) -> bool:
        return _has_problem(run) and run.id not in self._kept.get(_PROBLEM, ())

    def _was_restored(self, run: Run) -> bool:
        return not run.is_archived and run.id in self._kept.get(_ARCHIVED, ())

    def _keep(self, run: Run) -> None:
        hides_problem = run.stored_status == RunStatus.ARCHIVED
        is_so = {_PROBLEM: None if hides_problem else _has_problem(run), _ARCHIVED: run.is_archived}
        for name, ids in self._kept.items():
            if is_so[name]:
                ids.add(run.id)
            elif is_so[name] is False:
                ids.discard(run.id)


def merged(states: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """
    Make one state of several: what it calls told was told according to all of them.

    :param states: what :meth:`EventLog.state` gave at different times, for the same events.
    """
    states = list(states)
    if not states:
        return None
    every = {event_id: at for state in states for event_id, at in state["known"].items()}
    merger: dict[str, Any] = {
        "since": min((state["since"] for state in states), key=datetime.fromisoformat),
        "known": {event_id: at for event_id, at in every.items() if all(_is_told(event_id, at, s) for s in states)},
    }
    if _PROBLEM in states[0]:
        merger[_PROBLEM] = sorted(set.intersection(*(set(state[_PROBLEM]) for state in states)))
    if _ARCHIVED in states[0]:
        merger[_ARCHIVED] = sorted(set.union(*(set(state[_ARCHIVED]) for state in states)))
    return merger


def _is_told(event_id: str, at: str, state: Mapping[str, Any]) -> bool:
    return event_id in state["known"] or datetime.fromisoformat(at) <= datetime.fromisoformat(state["since"])


def checked_events(events: object) -> tuple[Event, ...]:
    """
    Check what a user wants to hear of.

    :param events: names, or a text with one or, between commas, several.
    :return: each once, in alphabetical order.
    :raises TallyfyValidationError: if there is none or an unknown one, naming the valid ones.
    """
    names = set(listed(events, "events"))
    if not names or not names <= set(Event):
        known = ", ".join(event.value for event in Event)
        raise TallyfyValidationError(
            f"events={events!r} is not usable. Valid: {known}.", fields={"events": ["unknown"]}
        )
    return tuple(sorted(map(Event, names)))


def _has_problem(run: Run) -> bool:
    return run.status in (RunStatus.PROBLEM, RunStatus.ISSUE)
