"""Readers of what belongs to a run, its tasks and its activity, and of what lists only name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from airflow_provider_tallyfy.api.call import Answer
from airflow_provider_tallyfy.api.models.envelope import is_code, optional_id, optional_text, read_item
from airflow_provider_tallyfy.api.models.run import format_time, parse_time
from airflow_provider_tallyfy.api.models.template import KickoffField, Step, first_hits, normalized, rows_of
from airflow_provider_tallyfy.api.text import MAX_NAME, truncated, without_bom

# fmt: off
#: What a run's activity can say was done (page "Get process activity"; ``executed`` was measured, but not documented).
VERBS = frozenset({
    "archived", "comment-deleted", "commented", "completed", "created", "deleted", "disabled", "emitted", "enabled",
    "executed", "invite-accepted", "invited", "issue-reported", "issue-resolved", "linked", "owners-updated",
    "re-opened", "re-ordered", "unarchived", "uncompleted", "unlinked", "updated", "uploaded",
})
# fmt: on

_SKIPPED = frozenset({"auto-skipped", "skipped"})
_DONE = frozenset({"completed", "complete"}) | _SKIPPED


@dataclass(frozen=True)
class Task:
    """
    A task of a run (documentation page "List tasks"). Moments are UTC.

    :param alias: name of the step for machines.
    :param status: ``not-started``, ``in-progress``, ``completed``, ``auto-skipped`` or ``skipped``.
    :param kind: ``task``, ``approval`` ..., if Tallyfy shows it.
    :param is_approved: as Tallyfy shows it, which may be ``false`` before anybody decides; see ``decision``.
    :param completer: kind and id of the person who completed it: ``users`` or ``guests``, and a number or an address.
    :param raw: everything Tallyfy sent.
    """

    id: str
    title: str
    alias: str | None
    status: str
    completed_at: datetime | None = None
    deadline: datetime | None = None
    kind: str | None = None
    is_approved: bool | None = None
    completer: tuple[str, str] | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Task:
        """Read a task."""
        if not is_code(data.get("id")) or not is_code(data.get("status")):
            raise ValueError("the task in the answer has no id or no status")
        people = (("users", "completer_id"), ("guests", "completer_guest_id"))
        completers = [(kind, person) for kind, key in people if (person := optional_id(data.get(key)))]
        return cls(
            id=data["id"],
            title=truncated(str(data.get("title") or ""), MAX_NAME),
            alias=optional_text(data.get("alias")),
            status=data["status"],
            completed_at=parse_time(data.get("completed_at")),
            deadline=parse_time(data.get("deadline")),
            kind=optional_text(data.get("task_type")),
            is_approved=data["is_approved"] if isinstance(data.get("is_approved"), bool) else None,
            completer=completers[0] if completers else None,
            raw=data,
        )

    @property
    def position(self) -> int:
        """Its place among the tasks of its run, counted from 1; where Tallyfy shows none, before all others."""
        position = self.raw.get("position")
        return position if isinstance(position, int) else 0

    @property
    def fields(self) -> tuple[KickoffField, ...]:
        """The fields of its form, if it was read with them."""
        return tuple(map(KickoffField.from_json, rows_of(self.raw, "form_fields")))

    @property
    def values(self) -> dict[str, Any]:
        """What stands in its form, by field id."""
        shown = {str(row.get("id")): row.get("value") for row in rows_of(self.raw, "form_fields")}
        stored = self.raw.get("taskdata")
        return {**shown, **(stored if isinstance(stored, Mapping) else {})}

    @property
    def is_done(self) -> bool:
        """Whether it is completed or skipped."""
        return self.completed_at is not None or self.status in _DONE

    @property
    def is_skipped(self) -> bool:
        """Whether a rule of the template skipped it."""
        return self.status in _SKIPPED

    @property
    def is_approval(self) -> bool:
        """Whether people may approve or reject it."""
        return self.kind in (None, "approval")

    @property
    def is_undecided(self) -> bool:
        """Whether somebody completed it, and Tallyfy does not show the decision."""
        return self.is_done and not self.is_skipped and self.decision is None

    @property
    def decision(self) -> bool | None:
        """Whether somebody approved or rejected it; ``None`` if nobody did, or Tallyfy does not show it."""
        return None if self.completed_at is None or self.is_skipped else self.is_approved


TaskOrStep = TypeVar("TaskOrStep", Task, Step)


def tasks_named(tasks: Sequence[TaskOrStep], name: str) -> list[TaskOrStep]:
    """Find the tasks or steps with this id, else alias, else title, else title without regard to case and spaces."""
    return first_hits(
        tasks,
        lambda task: task.id == name,
        lambda task: task.alias == name,
        lambda task: task.title == name,
        lambda task: normalized(task.title) == normalized(name),
    )


@dataclass(frozen=True)
class TaskChange:
    """A task, and whether this try changed it."""

    task: Task
    changed: bool


@dataclass(frozen=True)
class Activity:
    """
    One entry of a run's audit trail (documentation page "Get process activity").

    :param kind: what it was done to: ``Process``, ``Task``, ``Comment`` ...
    :param subject_id: id of that thing.
    :param description: the sentence Tallyfy shows.
    :param text: the words of a comment, where Tallyfy shows them.
    """

    id: int
    verb: str
    kind: str
    subject_id: str | None
    description: str
    actor_name: str | None
    actor_email: str | None
    created_at: datetime | None
    text: str = field(default="", repr=False, compare=False)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Activity:
        """Read an entry; Tallyfy wraps most of its values in one-element arrays."""
        verb = _only(row.get("verb"))
        if not isinstance(row.get("id"), int) or not is_code(verb):
            raise ValueError("the activity has no id or no verb")
        actor = _only(row.get("actor"))
        actor = actor if isinstance(actor, Mapping) else {}
        return cls(
            id=row["id"],
            verb=verb,
            kind=str(_only(row.get("type")) or ""),
            subject_id=optional_id(_only(row.get("auditable_id"))),
            description=str(_only(row.get("description")) or ""),
            actor_name=optional_text(actor.get("full_name")),
            actor_email=optional_text(actor.get("email")),
            created_at=parse_time(_only(row.get("created_at"))),
            text=str(_only(row.get("text")) or ""),
        )

    def describe(self) -> dict[str, Any]:
        """Reduce it to plain JSON types."""
        shown = {name: value for name, value in vars(self).items() if name != "text"}
        return {**shown, "created_at": format_time(self.created_at)}


@dataclass(frozen=True)
class Titled:
    """
    A template, tag, folder, user or group as a list shows it.

    :param title: its title, or its name; empty where Tallyfy shows none.
    :param email: a user's address.
    :param raw: everything Tallyfy sent.
    """

    id: str
    title: str
    email: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Titled:
        """Read an item of a list; the ids of users are numbers, and their names may be shown in two parts."""
        item_id = optional_id(data.get("id"))
        if item_id is None:
            raise ValueError("it has no id")
        parts = " ".join(str(data[part]) for part in ("first_name", "last_name") if data.get(part))
        title = data.get("title") or data.get("full_name") or data.get("name") or parts
        return cls(item_id, truncated(without_bom(title), MAX_NAME), optional_text(data.get("email")), raw=data)

    @property
    def names(self) -> tuple[str, ...]:
        """By what it can be called instead of its id."""
        return tuple(filter(None, (self.title, self.email)))

    @property
    def holds_templates(self) -> bool:
        """Whether it is a folder for templates, which holds no runs."""
        return "checklist" in str(self.raw.get("folder_type")).lower()


@dataclass(frozen=True)
class TagLink:
    """A tag on a run, with its title where Tallyfy shows it; it is removed by the number of the association."""

    association_id: int
    tag_id: str
    title: str | None = None

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> TagLink:
        """Read a tag of a run. Which key holds the tag's id is not documented."""
        tag = row.get("tag")
        tag = tag.get("data", tag) if isinstance(tag, Mapping) else {}
        tag = tag if isinstance(tag, Mapping) else {}
        tag_id = row.get("tag_id") or tag.get("id")
        if not isinstance(row.get("id"), int) or not is_code(tag_id):
            raise ValueError("a tag of the run has no number or no tag id")
        return cls(row["id"], tag_id, optional_text(row.get("title") or tag.get("title")))


def tag_links(run: Mapping[str, Any]) -> tuple[TagLink, ...]:
    """Read the tags of a run that was read with them."""
    tags = run.get("tags")
    rows = tags.get("data") if isinstance(tags, Mapping) else tags
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError("the run in the answer does not show its tags")
    return tuple(map(TagLink.from_json, rows))


def read_tag_links(answer: Answer) -> tuple[TagLink, ...]:
    """Read only the tags of a run."""
    return tag_links(read_item(answer))


def read_task(answer: Answer) -> Task:
    """Read one task. See :meth:`Task.from_json`."""
    return Task.from_json(read_item(answer))


def read_task_form(answer: Answer) -> Task:
    """Read one task with the fields of its form, as far as they are shown."""
    task = read_task(answer)
    _ = task.fields, task.values  # what is not readable is refused here
    return task


def read_project_run_id(answer: Answer) -> str:
    """Find the run in the answer to a project launch: ``data.run.id``, ``data.run.data.id`` or ``data.run_id``."""
    task = read_item(answer)
    run = task.get("run")
    if isinstance(run, Mapping):
        run = run.get("data", run)
    run_id = run.get("id") if isinstance(run, Mapping) else task.get("run_id")
    if not is_code(run_id):
        raise ValueError("the answer does not say which run was launched")
    return run_id


def _only(value: Any) -> Any:
    if isinstance(value, list):
        return value[0] if value else None
    return value
