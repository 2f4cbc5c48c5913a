"""What the hook's methods return: plain dicts, which a ``@task`` can hand on."""

from __future__ import annotations

from collections import Counter
from typing import Any, NotRequired, TypedDict, cast

from airflow_provider_tallyfy.api.models.form import FormValues
from airflow_provider_tallyfy.api.models.records import Activity, Task
from airflow_provider_tallyfy.api.models.run import Run, format_time


class RunResult(TypedDict):
    """
    A run, with the keys that operators return and those of listed runs. Moments are ISO 8601 text, UTC.

    ``changed`` says whether the call changed the run. ``raw`` is everything Tallyfy sent, if it was asked for.
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
    raw: NotRequired[dict[str, Any]]


class TaskResult(TypedDict):
    """
    A task of a run. Moments are ISO 8601 text, UTC.

    ``is_done`` says whether nobody has to do anything about it any more. ``raw`` is everything Tallyfy sent, if it was
    asked for.
    """

    id: str
    title: str
    alias: str | None
    status: str
    is_done: bool
    completed_at: str | None
    deadline: str | None
    raw: NotRequired[dict[str, Any]]


class FormFieldResult(TypedDict):
    """A field of a run's forms with its value; ``task_id`` is ``None`` for the kick-off form."""

    id: str
    alias: str | None
    label: str
    value: Any
    task_id: str | None


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


def run_result(run: Run, url: str, *, changed: bool = False, raw: bool = False) -> RunResult:
    """
    Describe a run.

    :param run: the run.
    :param url: its address in the web app.
    :param changed: whether the call changed it.
    :param raw: whether to add everything Tallyfy sent.
    """
    result = cast("RunResult", {**run.describe(url, changed=changed), **run.describe_further()})
    if raw:
        result["raw"] = dict(run.raw)
    return result


def deleted_result(run: Run | None, run_id: str, url: str) -> RunResult:
    """
    Describe a run that does not exist any more.

    :param run: the run as it was before the call deleted it; ``None`` if it was gone before.
    :param run_id: its id.
    :param url: where it was.
    """
    result = run_result(run or Run(run_id, "", ""), url, changed=run is not None)
    result["status"] = "deleted"
    if run is None:
        result["name"] = None
    return result


def task_result(task: Task, *, raw: bool = False) -> TaskResult:
    """
    Describe a task.

    :param task: the task.
    :param raw: whether to add everything Tallyfy sent.
    """
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


def field_results(values: FormValues) -> list[FormFieldResult]:
    """
    Describe the fields of a run's forms.

    :param values: the fields with their values.
    """
    return [cast("FormFieldResult", entry.describe()) for entry in values.entries]


def values_by_label(values: FormValues) -> dict[str, Any]:
    """
    Give the values of a run's forms by label, or by id where a label is missing or not the only one.

    :param values: the fields with their values.
    """
    labels = Counter(entry.field.label for entry in values.entries)
    return {
        entry.field.label if entry.field.label and labels[entry.field.label] == 1 else entry.field.id: entry.value
        for entry in values.entries
    }


def activity_result(entry: Activity) -> ActivityResult:
    """
    Describe an entry of the audit trail.

    :param entry: the entry.
    """
    return cast("ActivityResult", entry.describe())
