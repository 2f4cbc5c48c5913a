"""Waiting for what belongs to a run: one of its tasks, or the answer in one of its form fields."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from airflow_provider_tallyfy.api.call import T
from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.checks import (
    checked_flag,
    checked_id,
    free_text,
    is_rendered_none,
    parse_list,
)
from airflow_provider_tallyfy.api.inputs.numbers import text_of
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.inputs.wording import quoted_list
from airflow_provider_tallyfy.api.models.answers import chosen
from airflow_provider_tallyfy.api.models.records import Task, TaskOrStep, tasks_named
from airflow_provider_tallyfy.api.models.run import Run, RunStatus, format_time
from airflow_provider_tallyfy.api.models.template import KickoffField, Step, Template, fields_named
from airflow_provider_tallyfy.api.text import quoted, short_repr
from airflow_provider_tallyfy.waits.goals import Goal, checked_missing, checked_statuses, state_of
from airflow_provider_tallyfy.waits.probes import FormProbe, RunForm, RunTasks, TasksProbe
from airflow_provider_tallyfy.waits.results import Outcome, WaitResult


@dataclass(frozen=True, kw_only=True)
class DetailGoal(Goal):
    """
    Base of the goals about something that belongs to a run.

    :param name: what it is called: its id, alias or title.
    :param may_appear_later: wait on for a name that neither the run nor its template knows.
    """

    #: What kind of thing is waited for.
    kind: ClassVar[str]

    name: str
    may_appear_later: bool = False

    @abstractmethod
    def things(self, seen: Any) -> Sequence[Any]:
        """Give the things of this kind that a run has."""

    @abstractmethod
    def template_things(self, template: Template) -> Sequence[Any] | None:
        """Give the things of this kind that a template has; ``None`` if the answer does not show them all."""

    @abstractmethod
    def names(self, things: Sequence[Any]) -> dict[str, str]:
        """Give the names of things of this kind, each with how to show it in a message."""

    @abstractmethod
    def matching(self, things: Sequence[Any]) -> list[Any]:
        """Give the things that have the name."""

    def _only(self, things: Sequence[T]) -> T | None:
        hits = self.matching(things)
        if len(hits) > 1:
            raise TallyfyValidationError(
                f"The run has {len(hits)} {self.kind}s called {self.name!r}.\nGive an alias or id instead.",
                fields={f"{self.kind}s": ["ambiguous"]},
            )
        return hits[0] if hits else None

    def _not_yet(self, run: Run, description: str) -> WaitResult:
        """Judge the run of something that is not yet there."""
        is_too_late = any(map(run.has_status, (*self.failure, RunStatus.COMPLETE)))
        outcome = Outcome.FAILED if is_too_late else Outcome.WAITING
        return WaitResult(outcome, f"{description}.\n{state_of(run, outcome)}")


@dataclass(frozen=True, kw_only=True)
class TaskGoal(DetailGoal):
    """
    A task is to be completed, or skipped by a rule of its template.

    :param target: ``done``, or ``turn``: all tasks before it are done.
    """

    kind = "task"

    target: str = "done"

    @classmethod
    def checked(
        cls,
        run_id: object,
        task: object,
        failure: str | Iterable[str],
        missing: str,
        *,
        target: str = "done",
        may_appear_later: object = False,
    ) -> TaskGoal:
        """Check what a user asked to wait for."""
        if target not in ("done", "turn"):
            raise invalid("target", target, "is neither 'done' nor 'turn'")
        return cls(
            target=target,
            run_ids=(checked_id(run_id),),
            name=free_text(task, "task_name", may_be_empty=False),
            failure=checked_statuses(failure, "failure_status"),
            missing=checked_missing(missing),
            may_appear_later=checked_flag(may_appear_later, "may_appear_later"),
        )

    @property
    def text(self) -> str:
        """The task and its run."""
        wanted = "completed" if self.target == "done" else "next: all before it done"
        return f"task {short_repr(self.name)} of run {self.run_id} to be {wanted}"

    def probe(self, organization_id: str, run_id: str) -> TasksProbe:
        """Make what reads the tasks."""
        return TasksProbe(organization_id, run_id)

    def things(self, seen: RunTasks) -> Sequence[Task]:
        """Give the run's tasks."""
        return seen.tasks

    def template_things(self, template: Template) -> Sequence[Step] | None:
        """Give the template's steps."""
        return template.steps

    def names(self, things: Sequence[Task | Step]) -> dict[str, str]:
        """Give titles and aliases."""
        return {name: task.title for task in things for name in (task.title, task.alias) if name}

    def matching(self, things: Sequence[TaskOrStep]) -> list[TaskOrStep]:
        """Give the tasks with this id, else with this alias, else with this title."""
        return tasks_named(things, self.name)

    def judge(self, seen: RunTasks, run_url: str) -> WaitResult:
        """Judge the tasks. A task that is not there may still come: rules show and hide tasks."""
        task = self._only(seen.tasks)
        if task is None:
            return self._not_yet(seen.run, f"There is no task {self.name!r}")
        if not task.is_done and self.target == "done":
            return self._not_yet(seen.run, f"Task {task.title!r} is {task.status}")
        before = [each.title for each in seen.tasks if each.position < task.position and not each.is_done]
        if not task.is_done and before:
            return self._not_yet(seen.run, f"Task {task.title!r} comes after {quoted_list(before)}")
        result = {
            "id": task.id,
            "title": task.title,
            "alias": task.alias,
            "status": task.status,
            "completed_at": format_time(task.completed_at),
            "deadline": format_time(task.deadline),
            "run_id": seen.run.id,
            "url": run_url,
        }
        return WaitResult(Outcome.REACHED, f"Task {task.title!r} of run {seen.run.id} is {task.status}", result)


@dataclass(frozen=True, kw_only=True)
class FormFieldGoal(DetailGoal):
    """
    A form field is to have a value.

    :param values: values that end the wait; none for any.
    """

    kind = "form field"

    values: tuple[str, ...] = ()

    @classmethod
    def checked(
        cls,
        run_id: object,
        field: object,
        values: Iterable[Any] | None,
        failure: str | Iterable[str],
        missing: str,
        *,
        may_appear_later: object = False,
    ) -> FormFieldGoal:
        """Check what a user asked to wait for; ``values`` may be text of a list, and ``None`` is for any value."""
        return cls(
            run_ids=(checked_id(run_id),),
            name=free_text(field, "field", may_be_empty=False),
            failure=checked_statuses(failure, "failure_status"),
            missing=checked_missing(missing),
            may_appear_later=checked_flag(may_appear_later, "may_appear_later"),
            values=_checked_values(values),
        )

    @property
    def text(self) -> str:
        """The field, its run and its values."""
        wanted = f"one of {', '.join(self.values)}" if self.values else "a value"
        return f"form field {short_repr(self.name)} of run {self.run_id} to have {wanted}"

    def probe(self, organization_id: str, run_id: str) -> FormProbe:
        """Make what reads the form fields."""
        return FormProbe(organization_id, run_id)

    def things(self, seen: RunForm) -> Sequence[KickoffField]:
        """Give the run's form fields."""
        return [entry.field for entry in seen.values]

    def template_things(self, template: Template) -> Sequence[KickoffField] | None:
        """Give the fields of the template's forms."""
        return template.all_fields

    def names(self, things: Sequence[KickoffField]) -> dict[str, str]:
        """Give labels and aliases."""
        return {name: field.name for field in things for name in (field.label, field.alias) if name}

    def matching(self, things: Sequence[KickoffField]) -> list[KickoffField]:
        """Give the fields with the name."""
        return fields_named(things, self.name)

    def judge(self, seen: RunForm, run_url: str) -> WaitResult:
        """Judge the form fields."""
        field = self._only(self.things(seen))
        if field is None:
            return self._not_yet(seen.run, f"There is no form field {self.name!r}")
        value = next(chosen(each.value) for each in seen.values if each.field is field)
        if _is_blank(value):
            return self._not_yet(seen.run, f"Form field {quoted(field.name)} is empty")
        items = value if isinstance(value, list) else [value]
        if self.values and not set(self.values).intersection(map(str, items)):
            return self._not_yet(seen.run, f"Form field {quoted(field.name)} has another value")
        return WaitResult(Outcome.REACHED, f"Form field {quoted(field.name)} of run {seen.run.id} has a value", value)


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value in ([], {})


def _checked_values(values: object) -> tuple[str, ...]:
    """Read the values that end a wait. An empty list must not mean any value, nor wait for one that never comes."""
    if values is None:
        return ()
    if isinstance(values, str):
        items = parse_list(values)
        values = items if items is not None else [] if is_rendered_none(values) else [values]
    elif text_of(values) is not None:
        values = [values]
    if not isinstance(values, Iterable) or isinstance(values, Mapping | bytes):
        raise invalid("values", values, "is not a list of values")
    given = list(values)
    texts = [str(item) if isinstance(item, bool) else text_of(item) or "" for item in given]
    if not given or not all(map(str.strip, texts)):
        raise invalid(
            "values",
            given,
            "names no value to wait for (did the upstream task push an XCom?)",
            "Leave it out to wait for any value.",
            "Write ['None'] for the text None.",
        )
    return tuple(texts)
