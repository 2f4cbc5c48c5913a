"""Do a step of a run: fill in its form, complete it, reopen it, assign it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Call, Flow
from airflow_provider_tallyfy.api.errors import (
    TallyfyNotFoundError,
    TallyfyResponseError,
    TallyfyUnknownOutcomeError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.flows.contents import list_tasks
from airflow_provider_tallyfy.api.flows.lifecycle import find_run
from airflow_provider_tallyfy.api.flows.replica_lag import look_until
from airflow_provider_tallyfy.api.inputs.kickoff import encode_kickoff
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.inputs.wording import did_you_mean, quoted_list
from airflow_provider_tallyfy.api.models.answers import KINDS, plain_value
from airflow_provider_tallyfy.api.models.records import Task, TaskChange, tasks_named
from airflow_provider_tallyfy.api.models.run import Run, RunStatus
from airflow_provider_tallyfy.api.models.template import KickoffField
from airflow_provider_tallyfy.api.text import quoted


def find_task(organization_id: str, run_id: str, name: str) -> Flow[Task]:
    """
    Find a task of a run by its id, alias or title.

    :raises TallyfyValidationError: if the run has no such task, or several, naming the candidates.
    """

    def look() -> Flow[list[Task]]:
        return list_tasks(organization_id, run_id)

    tasks: list[Task] = yield from look_until(look, lambda tasks: bool(tasks_named(tasks, name)))
    hits = tasks_named(tasks, name)
    if len(hits) == 1:
        return hits[0]
    if hits:
        problem = f"stands for {len(hits)} tasks of run {run_id}"
        advice = f"Give an alias or id: {', '.join(task.alias or task.id for task in hits)}."
    else:
        problem = f"is no task of run {run_id}"
        names = {each: task.title for task in tasks for each in (task.title, task.alias) if each}
        guess = did_you_mean(name, names)
        advice = guess[:1].upper() + guess[1:] or f"It has {quoted_list(task.title for task in tasks) or 'none'}."
    raise invalid("task_name", name, problem, advice, run_id=run_id)


def _find_live_task(organization_id: str, run_id: str, name: str) -> Flow[tuple[Run, Task]]:
    run: Run = yield from find_run(organization_id, run_id)
    if run.is_archived:
        raise TallyfyValidationError(
            f"Run {run.id} ({run.name!r}) is archived.\nNothing was sent.\nRestore it first.", run_id=run_id
        )
    return run, (yield from find_task(organization_id, run_id, name))


@dataclass(frozen=True)
class Completion:
    """
    What there is to do to complete a task.

    :param filled: encoded answers by field id that the task does not show yet.
    """

    organization_id: str
    run: Run
    task: Task
    is_approved: bool | None
    filled: Mapping[str, Any] = field(default_factory=dict)

    def calls(self) -> list[Call[Task]]:
        """Make the requests, in order; none if the task shows all of it."""
        where = (self.organization_id, self.run.id, self.task.id)
        requests: list[Call[Task]] = []
        if self.filled:
            # Whether Tallyfy keeps values that are left out is not documented, so they are sent along.
            values = {key: value for key, value in self.task.values.items() if value is not None}
            action = f"fill in the form of task {quoted(self.task.title)}"
            requests.append(calls.update_task(*where, action, {"taskdata": {**values, **self.filled}}))
        if not self.task.is_done:
            requests.append(calls.complete_task(*where, self.is_approved))
        return requests


def plan_completion(
    organization_id: str,
    run_id: str,
    name: str,
    answers: Mapping[str, Any] | None = None,
    is_approved: bool | None = None,
) -> Flow[Completion]:
    """
    Look what there is to do to complete a task with these answers; everything that would be refused is refused here.

    :raises TallyfyValidationError: if the answers do not fit, the task is done with other ones, or cannot be done.
    """
    run, task = yield from _find_live_task(organization_id, run_id, name)
    wanted: dict[str, Any] = {}
    if answers or is_approved is not None:
        task = yield calls.get_task(organization_id, run_id, task.id)
    if answers:
        values = task.values
        optional = (replace(each, required=each.required and values.get(each.id) in (None, "")) for each in task.fields)
        form = f"the form of task {quoted(task.title)} of run {run_id}"
        wanted = encode_kickoff(tuple(optional), answers, name=form)
    missing = {key: value for key, value in wanted.items() if not _shows(task, key, value)}
    if task.is_done:
        _check_same(run, task, missing, is_approved)
    else:
        _check_completable(run, task, is_approved)
    return Completion(organization_id, run, task, is_approved, missing)


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
    for call in plan.calls():
        if call.method == "PUT":
            yield from _fill_in(plan, call)
        else:
            return (yield from _complete(plan, call))
    return TaskChange(plan.task, changed=False)


def _fill_in(plan: Completion, call: Call[Task]) -> Flow[None]:
    """Fill in the form, and see that the answers are there: Tallyfy drops what it does not know without an error."""

    def is_filled(task: Task) -> bool:
        return all(_shows(task, key, value) for key, value in plan.filled.items())

    shown: Task = yield call
    if not is_filled(shown):
        shown = yield from look_until(lambda: _read(plan), is_filled)
    if not is_filled(shown):
        raise _not_shown(call, "these answers in the task")


def _complete(plan: Completion, call: Call[Task]) -> Flow[TaskChange]:
    """Complete the task; if the answer is lost, or says that it is complete, what Tallyfy shows decides."""
    changed = True
    try:
        completed: Task = yield call
    except (TallyfyUnknownOutcomeError, TallyfyResponseError, TallyfyValidationError) as error:
        completed = yield from look_until(lambda: _read(plan), lambda task: task.is_done, allow_lag=not error.permanent)
        if not completed.is_done:
            raise
        _check_same(plan.run, completed, {}, plan.is_approved)
        changed = not error.permanent
    if not completed.is_done:
        raise _not_shown(call, "the task as completed")
    return TaskChange(completed, changed)


def reopen_task(organization_id: str, run_id: str, name: str) -> Flow[TaskChange]:
    """Reopen a completed task; an open one is a success that changed nothing."""
    _, task = yield from _find_live_task(organization_id, run_id, name)
    if not task.is_done:
        return TaskChange(task, changed=False)
    call = calls.reopen_task(organization_id, run_id, task.id)
    refusal: TallyfyNotFoundError | TallyfyValidationError | None = None
    try:
        yield call
    except (TallyfyNotFoundError, TallyfyValidationError) as error:
        refusal = error  # an answer may have been lost
    shown: Task = yield from look_until(
        lambda: _ask(calls.get_task(organization_id, run_id, task.id)), lambda task: not task.is_done
    )
    if shown.is_done:
        raise refusal or _not_shown(call, "the task as open")
    return TaskChange(shown, changed=True)


def assign_task(
    organization_id: str, run_id: str, name: str, people: Mapping[str, Sequence[Any] | None], *, replaces: bool
) -> Flow[TaskChange]:
    """
    Assign a task to people; kinds that are not named stay as they are, although Tallyfy empties what is left out.

    :param people: users, guests and groups; ``None`` for a kind that is not named.
    :param replaces: whether they take the place of those of their kind who are assigned now.
    :raises TallyfyResponseError: if the task does not show who is assigned now.
    """
    _, found = yield from _find_live_task(organization_id, run_id, name)
    task: Task = yield calls.get_task(organization_id, run_id, found.id)
    now = _owners(task)
    wanted = {
        kind: now[kind] if people.get(kind) is None else _merged([] if replaces else now[kind], people[kind] or ())
        for kind in KINDS
    }
    if _same_people(now, wanted):
        return TaskChange(task, changed=False)
    action = f"assign task {quoted(task.title)}"
    call = calls.update_task(organization_id, run_id, task.id, action, {"owners": wanted})
    yield call
    shown: Task = yield from look_until(
        lambda: _ask(calls.get_task(organization_id, run_id, task.id)),
        lambda task: _same_people(_owners(task), wanted),
    )
    if not _same_people(_owners(shown), wanted):
        raise _not_shown(call, "these assignees")
    return TaskChange(shown, changed=True)


def _read(plan: Completion) -> Flow[Task]:
    return _ask(calls.get_task(plan.organization_id, plan.run.id, plan.task.id))


def _ask(call: Call[Task]) -> Flow[Task]:
    task: Task = yield call
    return task


def _shows(task: Task, field_id: str, value: Any) -> bool:
    """Whether a task has a value in a field, however Tallyfy wrote it down."""
    shape: Callable[[Any], Any] = lambda stored: plain_value(_field(task, field_id), stored, {})  # noqa: E731
    return bool(shape(task.values.get(field_id)) == shape(value))


def _field(task: Task, field_id: str) -> KickoffField:
    return next((each for each in task.fields if each.id == field_id), KickoffField(field_id, "text"))


def _check_same(run: Run, task: Task, missing: Mapping[str, Any], is_approved: bool | None) -> None:
    """Refuse to change a task that is done: people may have acted on it."""
    differs = [_field(task, key).name for key in missing]
    if is_approved is not None and task.raw.get("is_approved") != is_approved:
        differs.append("the decision")
    if differs:
        raise TallyfyValidationError(
            f"Task {quoted(task.title)} of run {run.id} ({run.name!r}) is {task.status} already, with other answers.\n"
            f"Different: {quoted_list(differs)}.\nNothing was sent.\nTo answer anew, reopen the task first.",
            run_id=run.id,
            fields={name: ["the task is done with another answer"] for name in differs},
        )


def _check_completable(run: Run, task: Task, is_approved: bool | None) -> None:
    kind, what = task.raw.get("task_type"), f"Task {quoted(task.title)} of run {run.id} ({run.name!r})"
    if kind == "approval" and is_approved is None:
        problem = f"{what} asks for a decision.\nGive is_approved."
    elif kind not in (None, "approval") and is_approved is not None:
        problem = f"{what} asks for no decision.\nLeave is_approved out."
    elif task.raw.get("has_open_issue") or run.has_status(RunStatus.ISSUE):
        problem = f"{what} cannot be completed, because somebody reported a problem.\nResolve it in Tallyfy first."
    else:
        return
    raise TallyfyValidationError(f"{problem}\nNothing was sent.", run_id=run.id, fields={"task_name": [kind or ""]})


def _not_shown(call: Call[Any], what: str) -> TallyfyResponseError:
    return TallyfyResponseError(
        f"Could not {call.action}.\n"
        f"Tallyfy accepted {call.method} {call.path}, but does not show {what} afterwards.\n"
        f"Look at the run in Tallyfy, or try again.",
        method=call.method,
        path=call.path,
        run_id=call.run_id,
    )


def _owners(task: Task) -> dict[str, list[Any]]:
    owners = task.raw.get("owners")
    if not isinstance(owners, Mapping) or not all(isinstance(owners.get(kind), list) for kind in KINDS):
        raise TallyfyResponseError(
            f"Task {quoted(task.title)} does not show who is assigned now.\n"
            f"Nothing was sent, because Tallyfy would empty what is left out."
        )
    return {kind: list(owners[kind]) for kind in KINDS}


def _merged(now: Sequence[Any], added: Sequence[Any]) -> list[Any]:
    known = set(map(str, now))
    return [*now, *(each for each in dict.fromkeys(added) if str(each) not in known)]


def _same_people(now: Mapping[str, Sequence[Any]], wanted: Mapping[str, Sequence[Any]]) -> bool:
    return all(set(map(str, now[kind])) == set(map(str, wanted[kind])) for kind in KINDS)
