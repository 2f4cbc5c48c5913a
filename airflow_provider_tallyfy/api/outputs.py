"""What hooks and tasks return: plain JSON about runs and what belongs to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, cast

from airflow_provider_tallyfy.api.inputs.checks import parse_list
from airflow_provider_tallyfy.api.inputs.problems import invalid, invalid_items
from airflow_provider_tallyfy.api.inputs.queries import shown_tags
from airflow_provider_tallyfy.api.inputs.wording import did_you_mean, quoted_list
from airflow_provider_tallyfy.api.models.envelope import optional_text
from airflow_provider_tallyfy.api.models.run import Run, format_time
from airflow_provider_tallyfy.api.models.template import fields_named
from airflow_provider_tallyfy.api.text import short_repr

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.models.answers import Answers
    from airflow_provider_tallyfy.api.models.comment import CommentChange
    from airflow_provider_tallyfy.api.models.form import FormValues
    from airflow_provider_tallyfy.api.models.records import Activity, Task, TaskChange, Titled

__all__ = [
    "ActivityResult",
    "AnswersResult",
    "CommentResult",
    "FormFieldResult",
    "NamedResult",
    "RunResult",
    "TaskResult",
    "TitledResult",
    "UserResult",
]

#: The names of facts: one as text for a flat list of values, several for dicts.
Fields = str | tuple[str, ...]

# How much of a name goes into a list about many runs, in bytes of JSON text.
_MAX_NAME = 80

_LONGEST_TIME = "2026-01-01T00:00:00+00:00"
_LONGEST_VALUES = {
    "status": "complete",
    "archived_at": _LONGEST_TIME,
    "completed_at": _LONGEST_TIME,
    "created_at": _LONGEST_TIME,
    "template_id": "t" * 32,
    "percent_complete": 33.333333333333336,
    "changed": False,
    "outcome": "reached",
}


class RunResult(TypedDict):
    """
    A run, with the keys that operators return and those of listed runs. Moments are ISO 8601 text, UTC.

    ``changed`` says whether the call changed the run. ``template_name``, the titles of ``tags``, and ``raw``,
    everything Tallyfy sent, are there if they were asked for.
    """

    id: str
    name: str | None
    status: str
    archived_at: str | None
    completed_at: str | None
    url: str
    changed: bool
    template_id: str | None
    created_at: str | None
    percent_complete: int | None
    template_name: NotRequired[str | None]
    tags: NotRequired[list[str]]
    raw: NotRequired[dict[str, Any]]


class TaskResult(TypedDict):
    """
    A task of a run. Moments are ISO 8601 text, UTC.

    ``is_done`` says whether it is completed or skipped, ``changed`` whether the call changed it, where it could.
    ``raw`` is everything Tallyfy sent, if it was asked for.
    """

    id: str
    title: str
    alias: str | None
    status: str
    is_done: bool
    completed_at: str | None
    deadline: str | None
    changed: NotRequired[bool]
    raw: NotRequired[dict[str, Any]]


class FormFieldResult(TypedDict):
    """A field of a run's forms with its value; ``task_id`` is ``None`` for the kick-off form."""

    id: str
    alias: str | None
    label: str
    value: Any
    task_id: str | None


class AnswersResult(TypedDict):
    """The answers of a run by label; ``hidden`` has the labels of the fields that a rule of the template hides."""

    run_id: str
    run_name: str
    answers: dict[str, Any]
    hidden: list[str]


class CommentResult(TypedDict):
    """
    A comment on a run or a task. ``created_at`` is ISO 8601 text, UTC.

    ``changed`` says whether the call wrote it. ``id`` is ``None`` where Tallyfy shows it only in the run's activity.
    """

    id: str | None
    run_id: str
    task_id: str | None
    created_at: str | None
    changed: bool


class ActivityResult(TypedDict):
    """An entry of a run's audit trail. ``created_at`` is ISO 8601 text, UTC."""

    id: int
    verb: str
    kind: str
    subject_id: str | None
    description: str
    actor_name: str | None
    actor_email: str | None
    created_at: str | None


class TitledResult(TypedDict):
    """A template or a tag. ``raw`` is everything Tallyfy sent, if it was asked for."""

    id: str
    title: str
    raw: NotRequired[dict[str, Any]]


class NamedResult(TypedDict):
    """A folder or a group. ``raw`` is everything Tallyfy sent, if it was asked for."""

    id: str
    name: str
    raw: NotRequired[dict[str, Any]]


class UserResult(TypedDict):
    """A user. ``raw`` is everything Tallyfy sent, if it was asked for."""

    id: int
    name: str
    email: str | None
    raw: NotRequired[dict[str, Any]]


def run_result(
    run: Run, url: str, *, changed: bool = False, raw: bool = False, details: Iterable[str] = ()
) -> RunResult:
    """Describe a run, with those of :data:`DETAILS` that are asked for."""
    result = cast(
        "RunResult",
        {
            **run.describe(url, changed=changed),
            "template_id": run.template_id,
            "created_at": format_time(run.created_at),
            "percent_complete": run.progress.percent,
        },
    )
    if "template_name" in details:
        result["template_name"] = optional_text(run.raw.get("checklist_title"))
    if "tags" in details:
        result["tags"] = [link.title or link.tag_id for link in shown_tags(run)]
    if raw:
        result["raw"] = dict(run.raw)
    return result


def deleted_result(run: Run | None, run_id: str, url: str) -> RunResult:
    """Describe a run that does not exist any more."""
    result = run_result(run or Run(run_id, "", ""), url, changed=run is not None)
    result["status"] = "deleted"
    if run is None:
        result["name"] = None
    return result


def task_result(task: Task, *, raw: bool = False) -> TaskResult:
    """Describe a task."""
    result = TaskResult(
        id=task.id,
        title=task.title,
        alias=task.alias,
        status=task.status,
        is_done=task.is_done,
        completed_at=format_time(task.completed_at),
        deadline=format_time(task.deadline),
    )
    if raw:
        result["raw"] = dict(task.raw)
    return result


def titled_results(items: Iterable[Titled], *, raw: bool) -> list[TitledResult]:
    """Describe templates or tags."""
    return [cast("TitledResult", _with_raw(item, raw, id=item.id, title=item.title)) for item in items]


def named_results(items: Iterable[Titled], *, raw: bool) -> list[NamedResult]:
    """Describe folders or groups."""
    return [cast("NamedResult", _with_raw(item, raw, id=item.id, name=item.title)) for item in items]


def user_results(items: Iterable[Titled], *, raw: bool) -> list[UserResult]:
    """Describe users, whose ids are numbers."""
    return [
        cast("UserResult", _with_raw(item, raw, id=item.raw["id"], name=item.title, email=item.email)) for item in items
    ]


def changed_task_result(change: TaskChange, *, raw: bool = False) -> TaskResult:
    """Describe a task that may have been changed."""
    result = task_result(change.task, raw=raw)
    result["changed"] = change.changed
    return result


def _with_raw(item: Titled, raw: bool, **facts: Any) -> dict[str, Any]:
    return {**facts, "raw": dict(item.raw)} if raw else facts


def field_results(values: FormValues) -> list[FormFieldResult]:
    """Describe the fields of a run's forms."""
    return [cast("FormFieldResult", entry.describe()) for entry in values]


def chosen_answers(answers: Answers, names: Sequence[str] | None) -> dict[str, Any]:
    """
    Give the answers in the fields that are asked for, by the names they were asked for with; ``None`` for all.

    :param names: labels, as answers are called, or aliases or ids of fields.
    :raises TallyfyValidationError: naming every field that the run does not have, or has several of, with candidates.
    """
    if names is None:
        return dict(answers.by_label)
    known = list(answers.fields.values())
    labels: dict[str, str] = {}
    problems: list[str] = []
    for name in names:
        hits = fields_named(known, name)
        found = [name] if name in answers.fields else [k for k, field in answers.fields.items() if field in hits]
        if len(found) == 1:
            labels[name] = found[0]
        elif found:
            problems.append(f"{short_repr(name)} stands for {quoted_list(found)}")
        else:
            called = {each: label for label, field in answers.fields.items() for each in (label, field.alias) if each}
            guess = did_you_mean(name, called) or f"it has {quoted_list(answers.fields) or 'none'}"
            problems.append(f"{short_repr(name)} is no field of the run; {guess}")
    if problems:
        raise invalid_items("fields", problems, f"That is run {answers.run.id} ({answers.run.name!r}).")
    return {name: answers.by_label[label] for name, label in labels.items()}


def answers_result(answers: Answers, names: Sequence[str] | None) -> AnswersResult:
    """Describe the answers of a run."""
    return AnswersResult(
        run_id=answers.run.id,
        run_name=answers.run.name,
        answers=chosen_answers(answers, names),
        hidden=list(answers.hidden),
    )


def answers_row(answers: Answers, names: Sequence[str] | None) -> dict[str, Any]:
    """Describe the answers of one of many runs, flat, as a row of a table."""
    row = {"run_id": answers.run.id, "run_name": answers.run.name}
    found = chosen_answers(answers, names)
    return row | {f"{label} (answer)" if label in row else label: value for label, value in found.items()}


def comment_result(change: CommentChange, run_id: str, task_id: str | None) -> CommentResult:
    """Describe a comment."""
    return CommentResult(
        id=change.comment.id,
        run_id=run_id,
        task_id=task_id,
        created_at=format_time(change.comment.created_at),
        changed=change.changed,
    )


def activity_result(entry: Activity) -> ActivityResult:
    """Describe an entry of the audit trail."""
    return cast("ActivityResult", entry.describe())


#: What else the dicts of listed runs can have.
DETAILS = ("template_name", "tags")

#: What is known of every run, and what a list of runs can hold.
RUN_FACTS = tuple(name for name in run_result(Run("", "", ""), "") if name != "changed")
LISTED_FACTS = (*RUN_FACTS, *DETAILS)


def checked_fields(fields: object, known: Sequence[str]) -> Fields:
    """Check which facts are asked for: one name, several, or text of a list as a template renders it."""
    given = parse_list(fields) or [fields] if isinstance(fields, str) else fields
    names = tuple(given) if isinstance(given, Iterable) else (given,)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        problem = f"names {', '.join(map(short_repr, unknown))}" if unknown else "is empty"
        raise invalid("fields", fields, problem, f"A run has: {', '.join(known)}.")
    return str(names[0]) if given == [fields] else names


def select_fields(facts: Mapping[str, Any], fields: Fields) -> Any:
    """Give the facts that are asked for; those that are not known are ``None``."""
    return facts.get(fields) if isinstance(fields, str) else {name: facts.get(name) for name in fields}


def shortened(name: str) -> str:
    """Cut a name that takes more than 80 bytes as JSON text."""
    if len(json.dumps(name)) <= _MAX_NAME:
        return name
    name = name[:_MAX_NAME]
    while len(json.dumps(f"{name}...")) > _MAX_NAME:
        name = name[:-1]
    return f"{name}..."


def max_bytes(count: int, fields: Fields, run_id: str, url: str) -> int:
    """Give the size of the facts of some runs at most, as JSON text, by the longest id and the longest address."""
    name = "n" * (_MAX_NAME - len('""'))
    row = select_fields({"id": run_id, "url": url, "name": name, **_LONGEST_VALUES}, fields)
    return len("[]") + count * (len(json.dumps(row)) + len(", "))
