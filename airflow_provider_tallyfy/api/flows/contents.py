"""What belongs to a run: tasks, activity, and all of it together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Call, Flow, T
from airflow_provider_tallyfy.api.calls.pager import Pager
from airflow_provider_tallyfy.api.errors import (
    TallyfyNotFoundError,
    TallyfyServerError,
)
from airflow_provider_tallyfy.api.flows.lifecycle import find_archived_run, find_run
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.models.form import FormValue, FormValues, fill_in
from airflow_provider_tallyfy.api.models.records import VERBS, Activity, Task
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.api.models.template import Template


def collect(pager: Pager[T]) -> Flow[list[T]]:
    """Read a list to its end."""
    items: list[T] = []
    while (call := pager.next_call()) is not None:
        page = yield call
        items += pager.accept(page)
    return items


def list_tasks(organization_id: str, run_id: str) -> Flow[list[Task]]:
    """Read all tasks of a run, hidden ones included; Tallyfy may not find those of an archived run."""
    pager = Pager(lambda page: calls.list_tasks(organization_id, run_id, page), Task.from_json, lambda task: task.id)
    return (yield from explain_archived(organization_id, run_id, collect(pager)))


def list_activity(
    organization_id: str,
    run_id: str,
    since: datetime | None = None,
    until: datetime | None = None,
    verbs: tuple[str, ...] = (),
) -> Flow[list[Activity]]:
    """Read the audit trail of a run, oldest entry first; an unknown verb is refused, or an audit would be empty."""
    unknown = sorted(set(verbs) - VERBS)
    if unknown:
        raise invalid(
            "verbs",
            list(verbs),
            f"names {', '.join(unknown)}",
            f"The activity of a run knows: {', '.join(sorted(VERBS))}.",
            run_id=run_id,
        )
    entries: list[Activity] = yield from explain_archived(
        organization_id, run_id, newest_activity(organization_id, run_id, since)
    )
    return [
        entry
        for entry in reversed(entries)
        if (not verbs or entry.verb in verbs)
        and (since is None or (entry.created_at is not None and entry.created_at >= since))
        and (until is None or (entry.created_at is not None and entry.created_at < until))
    ]


def newest_activity(organization_id: str, run_id: str, since: datetime | None) -> Flow[list[Activity]]:
    """Read the audit trail of a run, the newest entry first, down to the page that holds an entry before a moment."""
    pager = Pager(
        lambda page: calls.list_activity(organization_id, run_id, page), Activity.from_json, lambda entry: entry.id
    )
    entries: list[Activity] = []
    while (call := pager.next_call()) is not None:
        page = yield call
        entries += pager.accept(page)
        last = entries[-1].created_at if entries else None
        if since is not None and last is not None and last < since:
            break
    return entries


def export_run(organization_id: str, run_id: str) -> Flow[Any]:
    """Let Tallyfy export a run: the JSON that it answers, without the ``data`` it may be wrapped in."""
    exported: Any = yield from explain_archived(organization_id, run_id, ask(calls.export_run(organization_id, run_id)))
    return exported


def get_form_values(organization_id: str, run_id: str) -> Flow[FormValues]:
    """
    Read what people have filled in: the kick-off form and the forms of the tasks.

    The list of fields is known to fail for some runs (500, for good). Then the values of the tasks' forms are known
    by field id only, and those of the kick-off form by what the template says.
    """
    run: Run = yield from find_run(organization_id, run_id)
    tasks: list[Task] = yield from list_tasks(organization_id, run_id)
    return (yield from form_values_of(organization_id, run, tasks))


def form_values_of(organization_id: str, run: Run, tasks: Sequence[Task]) -> Flow[FormValues]:
    """Read what people have filled in, of a run that was read with its tasks. See :func:`get_form_values`."""
    try:
        fields: tuple[FormValue, ...] = yield calls.list_form_fields(organization_id, run.id)
    except TallyfyServerError:
        fields = yield from _kickoff_fields(organization_id, run)
    stored = {task.id: task.raw.get("taskdata") for task in tasks}
    filled = {task_id: values for task_id, values in stored.items() if isinstance(values, Mapping)}
    prerun = run.raw.get("prerun")
    return fill_in(fields, prerun if isinstance(prerun, Mapping) else {}, filled)


def _kickoff_fields(organization_id: str, run: Run) -> Flow[tuple[FormValue, ...]]:
    try:
        template: Template = yield calls.get_template(organization_id, str(run.template_id))
    except TallyfyNotFoundError:
        return ()  # an archived template is not shown; the values are still known by their ids
    return tuple(map(FormValue, template.fields))


def snapshot(organization_id: str, run_id: str, known: Run | None = None) -> Flow[dict[str, Any]]:
    """Read everything about a run: itself, its tasks, form values and activity, as Tallyfy shows them."""
    run: Run = known or (yield from find_run(organization_id, run_id))
    tasks: list[Task] = yield from list_tasks(organization_id, run_id)
    form: FormValues = yield from form_values_of(organization_id, run, tasks)
    activity: list[Activity] = yield from list_activity(organization_id, run_id)
    return {
        "run": run.raw,
        "tasks": [task.raw for task in tasks],
        "form_values": [entry.describe() for entry in form],
        "activity": [entry.describe() for entry in activity],
    }


def explain_archived(organization_id: str, run_id: str, reading: Flow[T]) -> Flow[T]:
    """Read or change a part of a run; if Tallyfy does not find it because the run is archived, say that."""
    try:
        return (yield from reading)
    except TallyfyNotFoundError as hidden:
        archived: Run | None = yield from find_archived_run(organization_id, run_id)
        if archived is not None:
            hidden.args = (
                f"{hidden}\nThe run is archived, and Tallyfy hides this part of archived runs.\nRestore it first.",
            )
        raise


def ask(call: Call[T]) -> Flow[T]:
    """Make a flow of a single call."""
    answer: T = yield call
    return answer
