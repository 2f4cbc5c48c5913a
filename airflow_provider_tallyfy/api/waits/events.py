"""What happened to runs, told apart by comparing lists of them with what was known before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from airflow_provider_tallyfy.api.checks import listed
from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.models import Run, RunStatus, format_time, parse_time
from airflow_provider_tallyfy.api.waits.run_list import LATENESS

#: Most runs of which the state is kept across restarts; Airflow stores at most 64 KB.
_MOST_KEPT = 500


class Event(StrEnum):
    """What can happen to a run."""

    LAUNCHED = "launched"
    COMPLETED = "completed"
    PROBLEM = "problem"
    ARCHIVED = "archived"
    RESTORED = "restored"


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
        """Identify the event: the same whenever and wherever it is noticed."""
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

    What is known is a moment, the events after it, and which runs were archived or had a problem. The moment is ten
    minutes before the latest event, by Tallyfy's clock, because lists lag behind.

    :param events: which events are of interest.
    :param state: what :meth:`state` gave before a restart; ``None`` to begin with the first list.
    :param replay: without a state, also tell what happened so long before the first list was read.
    """

    def __init__(self, events: Iterable[Event], state: Mapping[str, Any] | None, replay: timedelta) -> None:
        self._events = frozenset(events)
        self._replay = replay
        self._is_new = state is None
        state = state or {}
        self._since = parse_time(state.get("since")) or datetime.min.replace(tzinfo=UTC)
        self._known = {event_id: parse_time(at) for event_id, at in state.get("known", {}).items()}
        self._kept = {name: set(state.get(name, ())) for name in ("problem", "archived")}

    def read(self, runs: Iterable[Run], now: datetime) -> list[RunEvent]:
        """
        Compare a list with what is known.

        :param runs: the list; a run that it leaves out is as it was.
        :param now: wall clock, for ``replay``.
        :return: the new events, the earliest first.
        """
        runs = list(runs)
        found = [event for run in runs for event in self._events_of(run)]
        if self._is_new:
            fresh = [event for event in found if event.at > now - self._replay] if self._replay else []
        else:
            fresh = [event for event in found if self._is_fresh(event)]
        for run in runs:
            self._keep(run)
        self._since = max([self._since, *(event.at - LATENESS for event in found)])
        known = self._known | {event.id: event.at for event in found}
        self._known = {event_id: at for event_id, at in known.items() if at is not None and at > self._since}
        self._is_new = False
        return sorted((event for event in fresh if event.event in self._events), key=lambda event: event.at)

    def state(self) -> dict[str, Any]:
        """Reduce what is known to plain JSON types."""
        return {
            "since": self._since.isoformat(),
            "known": {event_id: at.isoformat() for event_id, at in self._known.items() if at is not None},
            **{name: sorted(ids)[:_MOST_KEPT] for name, ids in self._kept.items()},
        }

    def _is_fresh(self, event: RunEvent) -> bool:
        is_change = event.event in (Event.PROBLEM, Event.RESTORED)
        return event.id not in self._known and (is_change or event.at > self._since)

    def _events_of(self, run: Run) -> Iterator[RunEvent]:
        moments = {
            Event.LAUNCHED: run.created_at,
            Event.COMPLETED: run.completed_at,
            Event.ARCHIVED: run.archived_at,
            Event.PROBLEM: run.last_updated if self._got_problem(run) else None,
            Event.RESTORED: run.last_updated if self._was_restored(run) else None,
        }
        for event, moment in moments.items():
            if moment is not None:
                yield RunEvent(event, moment, run)

    def _got_problem(self, run: Run) -> bool:
        return _has_problem(run) and run.id not in self._kept["problem"]

    def _was_restored(self, run: Run) -> bool:
        return not run.is_archived and run.id in self._kept["archived"]

    def _keep(self, run: Run) -> None:
        for name, is_so in (("problem", _has_problem(run)), ("archived", run.is_archived)):
            if is_so:
                self._kept[name].add(run.id)
            else:
                self._kept[name].discard(run.id)


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
