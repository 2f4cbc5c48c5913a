"""Waiting for what belongs to a run: one of its tasks, or the answer in one of its form fields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

from airflow_provider_tallyfy.api.call import Flow, T
from airflow_provider_tallyfy.api.errors import TallyfyNotFoundError, TallyfyResponseError, TallyfyValidationError
from airflow_provider_tallyfy.api.flows.records import form_values_of, list_tasks
from airflow_provider_tallyfy.api.inputs.checks import (
    checked_flag,
    checked_id,
    free_text,
    is_rendered_for_nothing,
    list_in_text,
)
from airflow_provider_tallyfy.api.inputs.numbers import text_of
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.models.form import FormValues
from airflow_provider_tallyfy.api.models.records import Task
from airflow_provider_tallyfy.api.models.run import Run, RunStatus, format_time
from airflow_provider_tallyfy.api.models.template import KickoffField, Step, Template, fields_named, folded
from airflow_provider_tallyfy.api.parsing import parsed
from airflow_provider_tallyfy.api.presentable import presentable, quote
from airflow_provider_tallyfy.waits.goals import (
    Missing,
    Outcome,
    Verdict,
    checked_missing,
    checked_statuses,
)
from airflow_provider_tallyfy.waits.probes import RunWatch, Watch

TaskOrStep = TypeVar("TaskOrStep", Task, Step)


@dataclass(frozen=True)
class RunTasks:
    """A run and its tasks."""

    run: Run
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class RunForm:
    """A run and its form fields, those of the kick-off form included, with their values."""

    run: Run
    values: FormValues


class DetailWatch(Watch):
    """
    Base of what looks at things that belong to a run.

    :param organization_id: the run's organization.
    :param run_id: the run.
    """

    #: What kind of things it looks at.
    kind: ClassVar[str]

    def __init__(self, organization_id: str, run_id: str) -> None:
        super().__init__(self.kind, run_id)
        self._organization_id = organization_id
        self._run_id = run_id

    def anew(self) -> Self:
        """Make one that has found nothing yet."""
        watch = type(self)(self._organization_id, self._run_id)
        watch.key = (*self.key, "anew")
        return watch


class TasksWatch(DetailWatch):
    """Looks at the tasks of a run."""

    kind = "tasks"

    def __init__(self, organization_id: str, run_id: str) -> None:
        super().__init__(organization_id, run_id)
        self._run = RunWatch(organization_id, run_id, includes=("tasks", "next_task"))

    def look(self) -> Flow[RunTasks | None]:
        """Read the run with its tasks: in one request, unless Tallyfy does not include them."""
        run: Run | None = yield from self._run.read()
        if run is None:
            return None
        if "tasks" in run.raw:
            rows = _rows(run.raw["tasks"])
            tasks = tuple(parsed(Task.from_json, row, _unreadable_tasks) for row in rows)
        elif run.is_archived:
            tasks = ()
        else:
            tasks = tuple((yield from list_tasks(self._organization_id, run.id)))
        return RunTasks(run, tasks)


class FormWatch(DetailWatch):
    """Looks at the form fields of a run."""

    kind = "form"

    def __init__(self, organization_id: str, run_id: str) -> None:
        super().__init__(organization_id, run_id)
        self._tasks = TasksWatch(organization_id, run_id)

    def look(self) -> Flow[RunForm | None]:
        """Read the run with its tasks, and its form fields."""
        sight: RunTasks | None = yield from self._tasks.look()
        if sight is None:
            return None
        try:
            values: FormValues = yield from form_values_of(self._organization_id, sight.run, sight.tasks)
        except TallyfyNotFoundError:
            values = FormValues(())  # archived, and hidden with all that belongs to it
        return RunForm(sight.run, values)


@dataclass(frozen=True)
class DetailWait(ABC):
    """
    Base of the waits for something that belongs to a run.

    :param run_id: the run.
    :param name: what it is called: its id, alias or title.
    :param failure: statuses of the run that end the wait badly.
    :param missing: whether a run that does not exist fails the wait or is waited for.
    :param may_appear_later: wait on for a name that neither the run nor its template knows.
    """

    #: What kind of thing is waited for.
    kind: ClassVar[str]

    run_id: str
    name: str
    failure: tuple[str, ...] = ()
    missing: Missing = Missing.FAIL
    may_appear_later: bool = False

    @abstractmethod
    def names(self, sight: Any) -> dict[str, str]:
        """
        Give what things of this kind a run shows are called, with how to show that.

        :param sight: the run with these things.
        """

    @abstractmethod
    def is_shown(self, sight: Any) -> bool:
        """
        Whether the run shows what is waited for.

        :param sight: the run with its tasks or form fields.
        """

    @abstractmethod
    def template_names(self, template: Template) -> dict[str, str] | None:
        """
        Give what things of this kind a template has are called; ``None`` if the answer does not show them all.

        :param template: the run's template.
        """

    @abstractmethod
    def is_in_template(self, template: Template) -> bool:
        """
        Whether the template has what is waited for; rules may hide it for now.

        :param template: the run's template.
        """

    def _judge_run(self, run: Run | None, news: str) -> Verdict:
        """Judge the run of something that is not yet there."""
        if run is None:
            outcome = Outcome.MISSING if self.missing is Missing.FAIL else Outcome.WAITING
            return Verdict(outcome, f"Run {self.run_id} does not exist in Tallyfy")
        hopeless = any(run.has_status(status) for status in (*self.failure, RunStatus.COMPLETE))
        state = f"{news} of run {run.id} ({run.name!r}), which is {run.status}"
        progress = f" ({run.progress})" if str(run.progress) and not hopeless else ""
        return Verdict(Outcome.FAILED if hopeless else Outcome.WAITING, state + progress)


@dataclass(frozen=True)
class TaskWait(DetailWait):
    """A wait for a task to be completed, or skipped by a rule of its template."""

    kind = "task"

    @classmethod
    def checked(
        cls,
        run_id: object,
        task: object,
        failure: str | Iterable[str],
        missing: str,
        *,
        may_appear_later: object = False,
    ) -> TaskWait:
        """
        Check what a user asked to wait for.

        :param run_id: the run.
        :param task: id, alias or title of the task.
        :param failure: a status of the run, several, or none.
        :param missing: ``fail`` or ``wait``.
        :param may_appear_later: wait on for a name that neither the run nor its template knows.
        :raises TallyfyValidationError: naming what is wrong.
        """
        name = _checked_name(task, "task_name")
        return cls(
            checked_id(run_id),
            name,
            checked_statuses(failure, "failure_status"),
            checked_missing(missing),
            checked_flag(may_appear_later, "may_appear_later"),
        )

    @property
    def goal(self) -> str:
        """The task."""
        return f"task {self.name!r} to be completed"

    def watch(self, organization_id: str, newer_than: str | None = None) -> TasksWatch:
        """Make what looks at the tasks."""
        return TasksWatch(organization_id, self.run_id)

    def names(self, sight: RunTasks) -> dict[str, str]:
        """Give titles and aliases of the run's tasks."""
        return _task_names(sight.tasks)

    def is_shown(self, sight: RunTasks) -> bool:
        """Whether the run has the task."""
        return bool(_tasks_named(sight.tasks, self.name))

    def template_names(self, template: Template) -> dict[str, str] | None:
        """Give titles and aliases of the template's steps."""
        return None if template.steps is None else _task_names(template.steps)

    def is_in_template(self, template: Template) -> bool:
        """Whether the template has the step."""
        return bool(_tasks_named(template.steps or (), self.name))

    def judge(self, sight: RunTasks | None, run_url: str) -> Verdict:
        """
        Judge a look at the tasks. A task that is not there may still come: rules show and hide tasks.

        :param sight: the run with its tasks, or ``None`` if it does not exist.
        :param run_url: the run's address in the web app.
        :raises TallyfyValidationError: if more than one task is called like this.
        """
        if sight is None:
            return self._judge_run(None, "")
        task = _only(_tasks_named(sight.tasks, self.name), "tasks", self.name)
        if task is None:
            return self._judge_run(sight.run, f"There is no task {self.name!r}")
        if task.is_done:
            news = f"Task {task.title!r} of run {sight.run.id} is {task.status}"
            return Verdict(Outcome.REACHED, news, _describe(task, sight.run.id, run_url))
        return self._judge_run(sight.run, f"Task {task.title!r} is {task.status}")


@dataclass(frozen=True)
class FormFieldWait(DetailWait):
    """
    A wait for a form field to have a value.

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
    ) -> FormFieldWait:
        """
        Check what a user asked to wait for.

        :param run_id: the run.
        :param field: id, alias or label of the field.
        :param values: values that end the wait, or text of a list of them; ``None`` for any.
        :param failure: a status of the run, several, or none.
        :param missing: ``fail`` or ``wait``.
        :param may_appear_later: wait on for a name that neither the run nor its template knows.
        :raises TallyfyValidationError: naming what is wrong.
        """
        return cls(
            checked_id(run_id),
            _checked_name(field, "field"),
            checked_statuses(failure, "failure_status"),
            checked_missing(missing),
            checked_flag(may_appear_later, "may_appear_later"),
            _checked_values(values),
        )

    @property
    def goal(self) -> str:
        """The field and its values."""
        wanted = f"one of {', '.join(self.values)}" if self.values else "a value"
        return f"form field {self.name!r} to have {wanted}"

    def watch(self, organization_id: str, newer_than: str | None = None) -> FormWatch:
        """Make what looks at the form fields."""
        return FormWatch(organization_id, self.run_id)

    def names(self, sight: RunForm) -> dict[str, str]:
        """Give labels and aliases of the run's form fields."""
        return _field_names([entry.field for entry in sight.values.entries])

    def is_shown(self, sight: RunForm) -> bool:
        """Whether the run has the field."""
        return bool(fields_named([entry.field for entry in sight.values.entries], self.name))

    def template_names(self, template: Template) -> dict[str, str] | None:
        """Give labels and aliases of the fields of the template's forms."""
        fields = template.all_fields
        return None if fields is None else _field_names(fields)

    def is_in_template(self, template: Template) -> bool:
        """Whether a form of the template has the field."""
        return bool(fields_named(template.all_fields or (), self.name))

    def judge(self, sight: RunForm | None, run_url: str) -> Verdict:
        """
        Judge a look at the form fields.

        :param sight: the run with its form fields, or ``None`` if it does not exist.
        :param run_url: the run's address in the web app.
        :raises TallyfyValidationError: if more than one field is called like this.
        """
        if sight is None:
            return self._judge_run(None, "")
        field = _only(fields_named([each.field for each in sight.values.entries], self.name), "form fields", self.name)
        if field is None:
            return self._judge_run(sight.run, f"There is no form field {self.name!r}")
        value = next(plain_value(each.value) for each in sight.values.entries if each.field is field)
        if _is_blank(value):
            return self._judge_run(sight.run, f"Form field {quote(field.name)} is empty")
        chosen = value if isinstance(value, list) else [value]
        if self.values and not set(self.values).intersection(map(str, chosen)):
            return self._judge_run(sight.run, f"Form field {quote(field.name)} has another value")
        return Verdict(Outcome.REACHED, f"Form field {quote(field.name)} of run {sight.run.id} has a value", value)


def plain_value(value: Any) -> Any:
    """
    Reduce a form field's value to what people chose or wrote: an option to its text, several to a list of texts.

    :param value: as Tallyfy sent it.
    """
    if isinstance(value, Mapping) and "text" in value:
        return value["text"]
    if isinstance(value, list) and all(isinstance(item, Mapping) and "text" in item for item in value):
        return [item["text"] for item in value if item.get("selected", True)]
    return value


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value in ([], {})


def _task_names(tasks: Sequence[Task | Step]) -> dict[str, str]:
    return {name: task.title for task in tasks for name in (task.title, task.alias) if name}


def _field_names(fields: Sequence[KickoffField]) -> dict[str, str]:
    return {name: field.name for field in fields for name in (field.label, field.alias) if name}


def _tasks_named(tasks: Sequence[TaskOrStep], name: str) -> list[TaskOrStep]:
    tests: tuple[Callable[[TaskOrStep], bool], ...] = (
        lambda task: task.id == name,
        lambda task: task.alias == name,
        lambda task: task.title == name,
        lambda task: folded(task.title) == folded(name),
    )
    return next((hits for test in tests if (hits := [task for task in tasks if test(task)])), [])


def _only(hits: Sequence[T], kind: str, name: str) -> T | None:
    if len(hits) > 1:
        raise TallyfyValidationError(
            f"The run has {len(hits)} {kind} called {name!r}; give an alias or id instead.",
            fields={kind: ["ambiguous"]},
        )
    return hits[0] if hits else None


def _checked_name(value: object, parameter: str) -> str:
    return free_text(value, parameter, may_be_empty=False)


def _checked_values(values: object) -> tuple[str, ...]:
    """Read the values that end a wait. No value must not come to mean any, nor a missing one, which never comes."""
    if values is None:
        return ()
    if isinstance(values, str):
        items = list_in_text(values)
        values = items if items is not None else [] if is_rendered_for_nothing(values) else [values]
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
            "One that reads None is given in a list, as ['None'].",
        )
    return tuple(texts)


def _describe(task: Task, run_id: str, run_url: str) -> dict[str, Any]:
    return {
        "id": task.id,
        "title": task.title,
        "alias": task.alias,
        "status": task.status,
        "completed_at": format_time(task.completed_at),
        "deadline": format_time(task.deadline),
        "run_id": run_id,
        "url": run_url,
    }


def _unreadable_tasks(problem: str) -> TallyfyResponseError:
    return TallyfyResponseError(f"Could not read the tasks of the run: {presentable(problem)}.")


def _rows(value: Any) -> list[Mapping[str, Any]]:
    rows = value.get("data") if isinstance(value, Mapping) else value
    if rows is None:
        return []
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise _unreadable_tasks("no list of objects")
    return rows
