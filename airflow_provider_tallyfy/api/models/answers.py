"""What people answered, as plain values by label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeAlias

from airflow_provider_tallyfy.api.call import Answer
from airflow_provider_tallyfy.api.models.envelope import optional_text, read_item
from airflow_provider_tallyfy.api.models.form import FormValue, FormValues
from airflow_provider_tallyfy.api.models.records import Task
from airflow_provider_tallyfy.api.models.run import Run, format_time, parse_time
from airflow_provider_tallyfy.api.models.template import KickoffField

#: Kinds of people: users by number, guests by e-mail address, groups by id.
KINDS = ("users", "guests", "groups")

#: Name and e-mail address of users and groups, by kind and id.
Directory: TypeAlias = Mapping[tuple[str, str], tuple[str | None, str | None]]

_KICKOFF = "kick-off form"
_HIDDEN = "auto-skipped"
_DATES = ("date", "datetime")


@dataclass(frozen=True)
class Answers:
    """
    What people answered in the forms of a run.

    :param by_label: plain values, of all fields; ``None`` for those that are not answered, or hidden.
    :param hidden: labels of the fields that a rule of the template hides.
    :param fields: the fields by the same labels.
    """

    run: Run
    by_label: Mapping[str, Any]
    hidden: tuple[str, ...]
    fields: Mapping[str, KickoffField]


def answers_of(run: Run, form: FormValues, tasks: Sequence[Task], directory: Directory) -> Answers:
    """Reduce the fields of a run's forms to plain values by label; fields of the same label are called by step, too."""
    steps = {task.id: task for task in tasks}
    labels = _labels(form, {task.id: task.title for task in tasks})
    hidden = {
        label
        for label, entry in zip(labels, form, strict=True)
        if entry.task_id in steps and steps[entry.task_id].status == _HIDDEN
    }
    return Answers(
        run=run,
        by_label={
            label: None if label in hidden else plain_value(entry.field, entry.value, directory)
            for label, entry in zip(labels, form, strict=True)
        },
        hidden=tuple(label for label in labels if label in hidden),
        fields={label: entry.field for label, entry in zip(labels, form, strict=True)},
    )


def people_in(form: FormValues) -> list[tuple[str, str]]:
    """Give kind and id of the users and groups who stand in the fields of a form, each once."""
    found = [
        (kind, str(each))
        for entry in form
        if _is_people(entry.value)
        for kind in ("users", "groups")
        for each in _members(entry.value, kind)
        if str(each).isalnum()
    ]
    return list(dict.fromkeys(found))


def read_person(answer: Answer) -> tuple[str | None, str | None]:
    """Read name and e-mail address of a user; a group has a name only."""
    shown = read_item(answer)
    return optional_text(shown.get("full_name")) or optional_text(shown.get("name")), optional_text(shown.get("email"))


def plain_value(field: KickoffField, value: Any, directory: Directory) -> Any:
    """Reduce a stored value to what people chose or wrote; ``None`` if that is nothing."""
    if value in (None, [], {}) or (isinstance(value, str) and not value.strip()):
        return None
    if _is_people(value):
        return [_person(kind, each, directory) for kind in KINDS for each in _members(value, kind)] or None
    if isinstance(value, list) and all(isinstance(item, Mapping) and "filename" in item for item in value):
        return [{"name": item["filename"], "url": item.get("full_url") or item.get("url")} for item in value]
    if isinstance(value, list) and field.field_type == "table":
        return _table(field, value)
    if isinstance(value, str) and field.field_type in _DATES:
        return _moment(value)
    return chosen(value) or None if isinstance(value, list) else chosen(value)


def chosen(value: Any) -> Any:
    """Reduce an option to its text, and several to a list of the chosen ones' texts; leave all else as it is."""
    if isinstance(value, Mapping) and "text" in value:
        return value["text"]
    if isinstance(value, list) and all(isinstance(item, Mapping) and "text" in item for item in value):
        return [item["text"] for item in value if item.get("selected", True)]
    return value


def _is_people(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and value.keys() <= set(KINDS)


def _members(value: Mapping[str, Any], kind: str) -> list[Any]:
    members = value.get(kind)
    return members if isinstance(members, list) else []


def _person(kind: str, each: Any, directory: Directory) -> dict[str, Any]:
    name, email = (None, str(each)) if kind == "guests" else directory.get((kind, str(each)), (None, None))
    return {"id": None if kind == "guests" else each, "name": name, "email": email}


def _table(field: KickoffField, columns: list[Any]) -> list[Any]:
    """Give the rows of a table, by column label; Tallyfy stores a cell per column, or a list of cells for many rows."""
    has_many = any(isinstance(column, list) for column in columns)
    rows = zip_longest(*(column if isinstance(column, list) else [column] for column in columns))
    cells = [[None if cell == "" else cell for cell in row] for row in (rows if has_many else [columns])]
    labels = [column.text for column in field.columns]
    if not len(set(filter(None, labels))) == len(labels) == len(columns):
        return cells
    return [dict(zip(labels, row, strict=True)) for row in cells]


def _moment(text: str) -> str:
    try:
        return format_time(parse_time(text)) or text
    except (ValueError, OverflowError):
        return text  # organizations choose how dates are written


def _labels(entries: Sequence[FormValue], steps: Mapping[str, str]) -> list[str]:
    """Call each field by its label, else by its alias or id; where that is not unique add the step, or take the id."""
    names = [entry.field.name for entry in entries]
    times = Counter(names)
    told_apart = [
        name if times[name] == 1 else f"{name} ({steps.get(entry.task_id, '') if entry.task_id else _KICKOFF})"
        for name, entry in zip(names, entries, strict=True)
    ]
    times = Counter(told_apart)
    return [name if times[name] == 1 else entry.field.id for name, entry in zip(told_apart, entries, strict=True)]
