"""Do a step of a run: fill in its form, complete it, reopen it, assign it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Call, Flow
from airflow_provider_tallyfy.api.errors import (
    TallyfyError,
    TallyfyNotFoundError,
    TallyfyResponseError,
    TallyfyUnknownOutcomeError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.flows.contents import ask, list_tasks
from airflow_provider_tallyfy.api.flows.lifecycle import find_run, not_shown
from airflow_provider_tallyfy.api.flows.replica_lag import look_until
from airflow_provider_tallyfy.api.inputs.kickoff import encode_kickoff
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.inputs.wording import did_you_mean, quoted_list
from airflow_provider_tallyfy.api.models.answers import KINDS, plain_value
from airflow_provider_tallyfy.api.models.records import Task, TaskChange, tasks_named
from airflow_provider_tallyfy.api.models.run import Run, RunStatus
from airflow_provider_tallyfy.api.models.template import KickoffField
from airflow_provider_tallyfy.api.text import quoted

#: A request, and whether a task is as the request wants it.
Write: TypeAlias = tuple[Call[Any], Callable[[Task], bool]]


def find_task(organization_id: str, run_id: str, name: str) -> Flow[Task]:
    """Find a task of a run by its id, alias or title. Unless exactly one fits, the error names candidates."""
    tasks: list[Task] = yield from look_until(
        lambda: list_tasks(organization_id, run_id), lambda tasks: bool(tasks_named(tasks, name))
    )
    hits = tasks_named(tasks, name)
    if len(hits) == 1:
        return hits[0]
    if hits:
        problem = f"stands for {len(hits)} tasks of run {run_id}"
        advice = f"Give an alias or id: {', '.join(task.alias or task.id for task in hits)}."
    else:
        problem = f"is no task of run {run_id}"
        guess = did_you_mean(name, {each: task.title for task in tasks for each in (task.title, task.alias) if each})
        advice = guess[:1].upper() + guess[1:] or f"It has {quoted_list(task.title for task in tasks) or 'none'}."
    raise invalid("task_name", name, problem, advice, run_id=run_id)


def _find_live_task(organization_id: str, run_id: str, name: str) -> Flow[tuple[Run, Task]]:
    """Find a task that can be changed, and read it with its form."""
    run: Run = yield from find_run(organization_id, run_id)
    if run.is_archived:
        raise TallyfyValidationError(
            f"Run {run.id} ({run.name!r}) is archived.\nNothing was sent.\nRestore it first.", run_id=run_id
        )
    found: Task = yield from find_task(organization_id, run_id, name)
    task: Task = yield calls.get_task(organization_id, run_id, found.id)
    return run, task


@dataclass(frozen=True)
class Completion:
    """What there is to do to complete a task: ``filled`` are encoded answers that it does not show yet, by field id."""

    organization_id: str
    run: Run
    task: Task
    is_approved: bool | None
    filled: Mapping[str, Any]

    def writes(self) -> list[Write]:
        """Make the requests, in order; none if the task shows all of it."""
        where = (self.organization_id, self.run.id, self.task.id)
        writes: list[Write] = []
        if self.filled:
            # Whether Tallyfy keeps values that are left out is not documented, so they are sent along.
            values = {key: value for key, value in self.task.values.items() if value is not None}
            action = f"fill in the form of task {quoted(self.task.title)}"
            call = calls.update_task(*where, action, {"taskdata": {**values, **self.filled}})
            writes.append((call, lambda task: not _unlike(task, self.filled)))
        if not self.task.is_done:
            writes.append((calls.complete_task(*where, self.is_approved), lambda task: task.is_done))
        return writes


def plan_completion(
    organization_id: str,
    run_id: str,
    name: str,
    answers: Mapping[str, Any] | None = None,
    is_approved: bool | None = None,
) -> Flow[Completion]:
    """
    Look what there is to do to complete a task with these answers.

    :raises TallyfyValidationError: if the answers do not fit, the task is done with other ones, or cannot be done.
    """
    run, task = yield from _find_live_task(organization_id, run_id, name)
    values, wanted = task.values, {}
    if answers:
        fields = [replace(each, required=each.required and values.get(each.id) in (None, "")) for each in task.fields]
        wanted = encode_kickoff(fields, answers, name=f"the form of task {quoted(task.title)} of run {run_id}")
    filled = _unlike(task, wanted)
    if task.is_done:
        _check_same(run, task, filled, is_approved)
    else:
        _check_completable(run, task, is_approved)
    return Completion(organization_id, run, task, is_approved, filled)


def complete_task(
    organization_id: str,
    run_id: str,
    name: str,
    answers: Mapping[str, Any] | None = None,
    is_approved: bool | None = None,
) -> Flow[TaskChange]:
    """
    Fill in the form of a task and complete it, unless it is so: completing twice would fire its webhooks twice.

    :return: the task; ``changed`` is ``False`` if it was complete before, with these answers.
    :raises TallyfyValidationError: see :func:`plan_completion`; also if Tallyfy refuses it.
    """
    plan: Completion = yield from plan_completion(organization_id, run_id, name, answers, is_approved)
    change = TaskChange(plan.task, changed=False)
    for write in plan.writes():
        change = yield from _carry_out(organization_id, run_id, plan.task.id, write)
    if not change.changed:
        _check_same(plan.run, change.task, {}, is_approved)
    return change


def reopen_task(organization_id: str, run_id: str, name: str) -> Flow[TaskChange]:
    """Reopen a completed task; an open one is a success that changed nothing."""
    _, task = yield from _find_live_task(organization_id, run_id, name)
    if not task.is_done:
        return TaskChange(task, changed=False)
    call = calls.reopen_task(organization_id, run_id, task.id)
    return (yield from _carry_out(organization_id, run_id, task.id, (call, lambda task: not task.is_done)))


def assign_task(
    organization_id: str, run_id: str, name: str, people: Mapping[str, Sequence[Any]], *, replaces: bool
) -> Flow[TaskChange]:
    """
    Assign a task to people; kinds that are not named stay as they are, although Tallyfy empties what is left out.

    :param replaces: whether they take the place of those of their kind who are assigned now.
    :raises TallyfyResponseError: if the task does not show who is assigned now.
    """
    _, task = yield from _find_live_task(organization_id, run_id, name)
    now = _owners(task)
    if now is None:
        raise TallyfyResponseError(
            f"Task {quoted(task.title)} does not show who is assigned now.\n"
            f"Nothing was sent, because Tallyfy would empty what is left out."
        )
    wanted = {
        kind: list({str(each): each for each in [*([] if replaces and kind in people else now[kind]), *added]}.values())
        for kind in KINDS
        for added in [people.get(kind, ())]
    }

    def is_assigned(task: Task) -> bool:
        owners = _owners(task)
        return owners is not None and all({*map(str, owners[kind])} == {*map(str, wanted[kind])} for kind in KINDS)

    if is_assigned(task):
        return TaskChange(task, changed=False)
    call = calls.update_task(organization_id, run_id, task.id, f"assign task {quoted(task.title)}", {"owners": wanted})
    return (yield from _carry_out(organization_id, run_id, task.id, (call, is_assigned)))


def _carry_out(organization_id: str, run_id: str, task_id: str, write: Write) -> Flow[TaskChange]:
    """
    Send a write, and believe it only if the task is so: Tallyfy drops what it does not know without an error.

    If the answer is lost, or is a refusal that may mean "already so", what Tallyfy shows decides.
    """
    call, is_so = write
    refusal: TallyfyError | None = None
    try:
        shown: Task | None = yield call
    except (
        TallyfyNotFoundError,
        TallyfyResponseError,
        TallyfyUnknownOutcomeError,
        TallyfyValidationError,
    ) as error:
        shown, refusal = None, error
    if shown is None or not is_so(shown):
        shown = yield from look_until(
            lambda: ask(calls.get_task(organization_id, run_id, task_id)),
            is_so,
            allow_lag=refusal is None or not refusal.permanent,
        )
    if not is_so(shown):
        raise refusal or not_shown(call, "the task like this")
    return TaskChange(shown, changed=refusal is None or not refusal.permanent)


def _unlike(task: Task, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values that a task does not show, however Tallyfy wrote them down."""
    fields = {each.id: each for each in task.fields}
    values = task.values

    def plain(key: str, value: Any) -> Any:
        return plain_value(fields.get(key, KickoffField(key, "text")), value, {})

    return {key: value for key, value in wanted.items() if plain(key, values.get(key)) != plain(key, value)}


def _check_same(run: Run, task: Task, unlike: Mapping[str, Any], is_approved: bool | None) -> None:
    """Refuse to change a task that is done: people may have acted on it."""
    differs = [each.name for each in task.fields if each.id in unlike]
    if is_approved is not None and task.decision != is_approved:
        differs.append("the decision")
    if differs:
        raise TallyfyValidationError(
            f"Task {quoted(task.title)} of run {run.id} ({run.name!r}) is {task.status} already, with other answers.\n"
            f"Different: {quoted_list(differs)}.\nNothing was sent.\nTo answer anew, reopen the task first.",
            run_id=run.id,
            fields={name: ["the task is done with another answer"] for name in differs},
        )


def _check_completable(run: Run, task: Task, is_approved: bool | None) -> None:
    if task.kind == "approval" and is_approved is None:
        problem = "asks for a decision.\nGive is_approved."
    elif not task.is_approval and is_approved is not None:
        problem = "asks for no decision.\nLeave is_approved out."
    elif task.raw.get("has_open_issue") or run.has_status(RunStatus.ISSUE):
        problem = "cannot be completed, because somebody reported a problem.\nResolve it in Tallyfy first."
    else:
        return
    what = f"Task {quoted(task.title)} of run {run.id} ({run.name!r})"
    raise TallyfyValidationError(f"{what} {problem}\nNothing was sent.", run_id=run.id)


def _owners(task: Task) -> dict[str, list[Any]] | None:
    owners = task.raw.get("owners")
    if not isinstance(owners, Mapping) or not all(isinstance(owners.get(kind), list) for kind in KINDS):
        return None
    return {kind: list(owners[kind]) for kind in KINDS}
