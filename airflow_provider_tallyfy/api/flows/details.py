"""What belongs to a run: tasks, activity, and all of it together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.exchange import Flow, T
from airflow_provider_tallyfy.api.flows.runs import find_run
from airflow_provider_tallyfy.api.models import Run
from airflow_provider_tallyfy.api.paging import Pager
from airflow_provider_tallyfy.api.records import Activity, Task


def collect(pager: Pager[T]) -> Flow[list[T]]:
    """
    Read a list to its end.

    :param pager: the list.
    """
    items: list[T] = []
    while (call := pager.next_call()) is not None:
        page = yield call
        items += pager.accept(page)
    return items


def list_tasks(organization_id: str, run_id: str) -> Flow[list[Task]]:
    """
    Read all tasks of a run, hidden ones included.

    :param organization_id: the run's organization.
    :param run_id: the run.
    """
    pager = Pager(lambda page: calls.list_tasks(organization_id, run_id, page), Task.from_json, lambda task: task.id)
    return (yield from collect(pager))


def list_activity(
    organization_id: str,
    run_id: str,
    since: datetime | None = None,
    until: datetime | None = None,
    verbs: tuple[str, ...] = (),
) -> Flow[list[Activity]]:
    """
    Read the audit trail of a run, the oldest entry first.

    :param organization_id: the run's organization.
    :param run_id: the run.
    :param since: only entries from this moment on.
    :param until: only entries before this moment.
    :param verbs: only entries with one of these verbs; none for all.
    """
    pager = Pager(
        lambda page: calls.list_activity(organization_id, run_id, page), Activity.from_json, lambda entry: entry.id
    )
    entries: list[Activity] = yield from collect(pager)
    wanted = [
        entry
        for entry in entries
        if (not verbs or entry.verb in verbs)
        and (since is None or (entry.created_at is not None and entry.created_at >= since))
        and (until is None or (entry.created_at is not None and entry.created_at < until))
    ]
    return wanted[::-1]


def snapshot(organization_id: str, run_id: str) -> Flow[dict[str, Any]]:
    """
    Read everything about a run: itself, its tasks, form values and activity, as Tallyfy shows them.

    :param organization_id: the run's organization.
    :param run_id: the run.
    :raises TallyfyError: if any part cannot be read; half a snapshot is none.
    """
    run: Run = yield from find_run(organization_id, run_id)
    tasks: list[Task] = yield from list_tasks(organization_id, run_id)
    form_fields: Mapping[str, Any] = yield calls.get_form_fields(organization_id, run_id)
    activity: list[Activity] = yield from list_activity(organization_id, run_id)
    return {
        "run": run.raw,
        "tasks": [task.raw for task in tasks],
        "form_fields": form_fields,
        "activity": [entry.describe() for entry in activity],
    }


def complete_task(organization_id: str, run_id: str, task_id: str, is_approved: bool | None = None) -> Flow[Task]:
    """
    Complete a task unless it is completed: doing it twice would fire its webhooks twice.

    :param organization_id: the run's organization.
    :param run_id: the run.
    :param task_id: the task.
    :param is_approved: the decision, for approval tasks.
    """
    tasks: list[Task] = yield from list_tasks(organization_id, run_id)
    for task in tasks:
        if task.id == task_id and task.is_done:
            return task
    completed: Task = yield calls.complete_task(organization_id, run_id, task_id, is_approved)
    return completed
