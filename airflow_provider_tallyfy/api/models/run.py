"""Readers of Tallyfy's JSON: tolerant of what the API varies, strict about what a decision rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from airflow_provider_tallyfy.api.call import Answer
from airflow_provider_tallyfy.api.models.envelope import is_code, kind_of, optional_id, read_item
from airflow_provider_tallyfy.api.text import MAX_NAME, one_line, truncated, without_bom

#: The largest number of tasks or percent that is believed; NaN is not below it either.
_MAX_COUNT = 10**9


class RunStatus(StrEnum):
    """
    The states a run can be in (documentation pages "List processes" and "Archive process").

    ``archived`` is how Tallyfy presents a run with an ``archived_at``; the status from before survives
    underneath and is back after the run is restored.
    """

    ACTIVE = "active"
    COMPLETE = "complete"
    PROBLEM = "problem"
    ISSUE = "issue"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class Progress:
    """
    How far a run is. Tallyfy sends an object, a number, or nothing, and the next task on request.

    :param next_task: title of the first task that is not done.
    :param next_deadline: when that is due, UTC.
    """

    percent: int | None = None
    complete: int | None = None
    total: int | None = None
    next_task: str | None = None
    next_deadline: datetime | None = None

    @classmethod
    def from_run(cls, data: Mapping[str, Any]) -> Progress:
        """Read what a run object says about it."""
        progress = data.get("progress")
        counts = progress if isinstance(progress, Mapping) else {"percent": progress}
        task = _first_object(data.get("next_task"))
        title = task.get("title")
        return cls(
            percent=_rounded(counts.get("percent")),
            complete=_rounded(counts.get("complete")),
            total=_rounded(counts.get("total")),
            next_task=truncated(title, MAX_NAME) if isinstance(title, str) else None,
            next_deadline=_time_if_readable(task.get("deadline")),
        )

    def __str__(self) -> str:
        parts = []
        if self.total and self.complete is not None:
            parts.append(f"{self.complete} of {self.total} tasks")
        elif self.percent is not None:
            parts.append(f"{self.percent} %")
        if self.next_task:
            parts.append(f"next: {one_line(self.next_task)}")
        if self.next_task and self.next_deadline:
            parts.append(f"due {format_time(self.next_deadline)}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Run:
    """
    A run; the Tallyfy web app says "process". Moments are UTC.

    :param name: name, without the byte order marks Tallyfy's auto-naming puts between its parts.
    :param stored_status: ``status`` as Tallyfy sent it, known to this package or not.
    :param template_id: the template (API: ``checklist_id``) it was launched from.
    :param raw: everything Tallyfy sent.
    """

    id: str
    name: str
    stored_status: str
    template_id: str | None = None
    archived_at: datetime | None = None
    completed_at: datetime | None = None
    created_at: datetime | None = None
    last_updated: datetime | None = None
    progress: Progress = field(default_factory=Progress, repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: object) -> Run:
        """Read a run."""
        if not isinstance(data, Mapping):
            raise ValueError(f"expected a run, got {kind_of(data)}")
        if not is_code(data.get("id")):
            raise ValueError("the run in the answer has no id")
        if not is_code(data.get("status")):
            raise ValueError("the run in the answer has no status")
        return cls(
            id=data["id"],
            name=truncated(without_bom(data.get("name") or ""), MAX_NAME),
            stored_status=data["status"],
            template_id=optional_id(data.get("checklist_id")),
            archived_at=parse_time(data.get("archived_at")),
            completed_at=parse_time(data.get("completed_at")),
            created_at=parse_time(data.get("created_at")),
            last_updated=_time_if_readable(data.get("last_updated")),
            progress=Progress.from_run(data),
            raw=data,
        )

    @property
    def is_archived(self) -> bool:
        """Whether it is archived, by either sign Tallyfy gives."""
        return self.archived_at is not None or self.stored_status == RunStatus.ARCHIVED

    @property
    def status(self) -> str:
        """``archived`` for an archived run, otherwise Tallyfy's ``status``."""
        return RunStatus.ARCHIVED.value if self.is_archived else self.stored_status

    def has_status(self, status: str) -> bool:
        """Whether the run is in a status; a finished run stays ``complete`` when it is auto-archived."""
        is_complete = self.completed_at is not None or self.stored_status == RunStatus.COMPLETE
        return status == self.status or (status == RunStatus.COMPLETE and is_complete)

    def without_raw(self) -> Run:
        """Give the run without what takes most of its memory, for those who keep many."""
        return replace(self, raw={})

    def describe(self, url: str, *, changed: bool = False) -> dict[str, Any]:
        """Reduce the run to the few facts that every task about it hands on."""
        return {
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "archived_at": format_time(self.archived_at),
            "completed_at": format_time(self.completed_at),
            "url": url,
            "changed": changed,
        }


@dataclass(frozen=True)
class RunChange:
    """A run as it is now, and whether it was in another state before."""

    run: Run
    changed: bool


def read_run(answer: Answer) -> Run:
    """Read one run. See :meth:`Run.from_json`."""
    return Run.from_json(read_item(answer))


def read_run_if_shown(answer: Answer) -> Run | None:
    """Read the run that a write answers with, or ``None`` where Tallyfy sends an empty body."""
    return read_run(answer) if answer.body.strip() else None


#: Orders what has no time after everything that has one.
NEVER = datetime.max.replace(tzinfo=UTC)


def parse_time(value: object) -> datetime | None:
    """Read a timestamp: ISO 8601 with or without milliseconds, or ``2026-09-29 21:00:21``; always UTC."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError(f"expected a timestamp, got {kind_of(value)}")
    moment = datetime.fromisoformat(value)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a timestamp, got one at the end of time") from None


def format_time(moment: datetime | None) -> str | None:
    """Write a timestamp as ``2026-09-29T21:00:21Z``."""
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def format_request_time(moment: datetime) -> str:
    """Write a moment as requests carry deadlines: ``2026-09-29 21:00:21``, UTC."""
    return (moment if moment.tzinfo is None else moment.astimezone(UTC)).strftime("%Y-%m-%d %H:%M:%S")


def _time_if_readable(value: object) -> datetime | None:
    """Read a timestamp that no decision needs."""
    try:
        return parse_time(value)
    except ValueError:
        return None


def _first_object(value: object) -> Mapping[str, Any]:
    """Read an object that may be wrapped in ``data``, in a list, or in both; without one an empty object."""
    unwrapped = value.get("data", value) if isinstance(value, Mapping) else value
    first = next(iter(unwrapped), None) if isinstance(unwrapped, list) else unwrapped
    return first if isinstance(first, Mapping) else {}


def _rounded(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MAX_COUNT:
        return None
    return round(value)
