"""Reading one thing again and again, at little cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyNotFoundError, TallyfyResponseError
from airflow_provider_tallyfy.api.flows.contents import form_values_of, list_tasks
from airflow_provider_tallyfy.api.flows.lifecycle import find_archived_run
from airflow_provider_tallyfy.api.models.form import FormValues
from airflow_provider_tallyfy.api.models.records import Task
from airflow_provider_tallyfy.api.models.run import Run, RunStatus, parse_time
from airflow_provider_tallyfy.api.parsing import parsed
from airflow_provider_tallyfy.api.text import one_line
from airflow_provider_tallyfy.waits.scan import INCLUDES

_LISTED = frozenset(map(str, RunStatus))

# The archive is searched on every tenth miss only, because that may take many requests.
_SEARCH_ARCHIVE_EVERY = 10


class Key(NamedTuple):
    """What a probe reads. One look serves all probes with the same key."""

    kind: str
    id: str
    is_fresh: bool = False


@dataclass(frozen=True)
class Observation:
    """
    What a look at Tallyfy showed.

    :param error: why it showed nothing.
    :param grace: seconds that may pass before the error ends a wait: the credentials may be replaced meanwhile.
    """

    value: Any = None
    error: TallyfyError | None = None
    grace: float = 0.0


class Probe(ABC):
    """Reads one thing again and again."""

    #: Status of the list of runs that would show it; ``None`` if it has to be read by itself.
    list_status: str | None = None

    #: The latest ``last_updated`` of the run that any look has shown.
    newer_than: datetime | None = None

    def __init__(self, kind: str, thing: str) -> None:
        self.key = Key(kind, thing)

    @abstractmethod
    def look(self) -> Flow[Any]:
        """Read once. The result equals the one before if nothing changed."""

    def fresh(self) -> Probe:
        """Make a probe that has looked for nothing yet, and so skips no search; it shares no look with this one."""
        return self

    def expect_newer_than(self, moment: datetime | None) -> None:
        """Take over a ``last_updated`` that another look has shown."""
        self.newer_than = max(filter(None, (self.newer_than, moment)), default=None)

    def concerns(self, run_id: str) -> bool:
        """Whether a change of a run can change the result."""
        return self.key.id == run_id


class RunProbe(Probe):
    """
    Reads one run.

    :param newer_than: ``last_updated`` of the run when it was last read and did not end the wait.
    :param includes: what to read with it; a list shows no more than the default.
    :param keeps_raw: whether a look gives all of the answer, which takes memory.
    """

    def __init__(
        self,
        organization_id: str,
        run_id: str,
        newer_than: datetime | str | None = None,
        includes: tuple[str, ...] = INCLUDES,
        *,
        keeps_raw: bool = False,
    ) -> None:
        super().__init__("run", run_id)
        self.list_status = RunStatus.ACTIVE
        self.newer_than = parse_time(newer_than) if isinstance(newer_than, str) else newer_than
        self._organization_id = organization_id
        self._includes = includes
        self._keeps_raw = keeps_raw
        self._known: Run | None = None
        self._misses = 0

    def fresh(self) -> RunProbe:
        """Make one that searches the archive at its first look, even if this one would not at its next."""
        probe = RunProbe(self._organization_id, self.key.id, includes=self._includes)
        probe.key, probe.list_status = self.key._replace(is_fresh=True), None
        return probe

    def look(self) -> Flow[Run | None]:
        """
        Read the run, or find out that it does not exist.

        A run that was never seen is looked for in the archive at every tenth look only: it gets there unseen only if
        it is finished and archived between two looks.
        """
        run_id = self.key.id
        try:
            run: Run | None = yield calls.get_run(self._organization_id, run_id, self._includes)
        except TallyfyNotFoundError:
            run = None
            if self._known is not None or self._misses % _SEARCH_ARCHIVE_EVERY == 0:
                run = yield from find_archived_run(self._organization_id, run_id, self._known)
        slim = None if run is None else run.without_raw()
        self.remember(slim)
        self._misses = self._misses + 1 if run is None else 0
        return run if self._keeps_raw else slim

    def is_newer(self, run: Run) -> bool:
        """Whether a run is certainly newer than a look that did not end the wait."""
        return run.last_updated is not None and self.newer_than is not None and run.last_updated > self.newer_than

    def remember(self, run: Run | None) -> None:
        """Note how the run was seen, for the next look."""
        self.list_status = run.status if run is not None and run.status in _LISTED else None
        if run is not None:
            self._known = run
            self.expect_newer_than(run.last_updated)


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


class TasksProbe(Probe):
    """Reads the tasks of a run."""

    def __init__(self, organization_id: str, run_id: str, kind: str = "tasks") -> None:
        super().__init__(kind, run_id)
        self._organization_id = organization_id
        self._run = RunProbe(organization_id, run_id, includes=("tasks", "next_task"), keeps_raw=True)

    def fresh(self) -> Self:
        """Make one that has looked for nothing yet."""
        probe = type(self)(self._organization_id, self.key.id)
        probe.key = self.key._replace(is_fresh=True)
        return probe

    def look(self) -> Flow[Any]:
        """Read the run with its tasks, as :class:`RunTasks`."""
        return (yield from self._read_tasks())

    def _read_tasks(self) -> Flow[RunTasks | None]:
        """Read them in one request, unless Tallyfy does not include the tasks."""
        run: Run | None = yield from self._run.look()
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


class FormProbe(TasksProbe):
    """Reads the form fields of a run."""

    def __init__(self, organization_id: str, run_id: str) -> None:
        super().__init__(organization_id, run_id, "form")

    def look(self) -> Flow[Any]:
        """Read the run with its tasks and its form fields, as :class:`RunForm`."""
        seen = yield from self._read_tasks()
        if seen is None:
            return None
        try:
            values: FormValues = yield from form_values_of(self._organization_id, seen.run, seen.tasks)
        except TallyfyNotFoundError:
            values = ()  # archived, and hidden with all that belongs to it
        return RunForm(seen.run, values)


class ApprovalProbe(TasksProbe):
    """
    Reads the tasks of a run with the decisions that people made.

    Whether Tallyfy shows decisions with a run is not documented, so a task without one is read once more by itself.
    """

    def __init__(self, organization_id: str, run_id: str) -> None:
        super().__init__(organization_id, run_id, "approvals")
        self._read_singly: dict[str, Task] = {}

    def look(self) -> Flow[Any]:
        """Read the run with its tasks, as :class:`RunTasks`."""
        seen = yield from self._read_tasks()
        if seen is None:
            return None
        unclear = [task for task in seen.tasks if task.is_approval and task.is_undecided]
        for task in unclear:
            known = self._read_singly.pop(task.id, None)
            if known is None or known.completed_at != task.completed_at:
                known = task
                with suppress(TallyfyNotFoundError):  # the run is archived, and Tallyfy hides what belongs to it
                    known = yield calls.get_task(self._organization_id, seen.run.id, task.id)
            self._read_singly[task.id] = known
        read = {task.id: self._read_singly[task.id] for task in unclear}
        return RunTasks(seen.run, tuple(read.get(task.id, task) for task in seen.tasks))


def _unreadable_tasks(problem: str) -> TallyfyResponseError:
    return TallyfyResponseError(f"Could not read the tasks of the run: {one_line(problem)}.")


def _rows(value: Any) -> list[Mapping[str, Any]]:
    rows = value.get("data") if isinstance(value, Mapping) else value
    if rows is None:
        return []
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise _unreadable_tasks("no list of objects")
    return rows
