"""Triggers: waits that cost no worker while people work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_tallyfy.api.inputs.facts import checked_fields
from airflow_provider_tallyfy.api.presentable import shown
from airflow_provider_tallyfy.triggers._base import RunsStory, TallyfyWaitTrigger, WaitStory
from airflow_provider_tallyfy.waits.details import FormFieldWait, TaskWait
from airflow_provider_tallyfy.waits.goals import RunWait
from airflow_provider_tallyfy.waits.many import KNOWN_FIELDS, RESULT_FIELDS, RunsLog, RunsWait
from airflow_provider_tallyfy.waits.watcher import Watcher


class TallyfyRunStatusTrigger(TallyfyWaitTrigger):
    """
    Waits until a run reaches a status.

    :param run_id: the run.
    :param target_status: statuses that end the wait well.
    :param failure_status: statuses that end it badly.
    :param missing: ``fail`` or ``wait``, for a run that does not exist.
    :param newer_than: the run's ``last_updated`` when the task last read it and went on waiting. It spares a request: a
        list that shows the run in another state later than this is believed.
    :param settings: arguments of :class:`TallyfyWaitTrigger`.
    """

    own_arguments = ("run_id", "target_status", "failure_status", "missing", "newer_than")

    def __init__(
        self,
        *,
        run_id: str,
        target_status: list[str],
        failure_status: list[str],
        missing: str = "fail",
        newer_than: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.run_id = run_id
        self.target_status = target_status
        self.failure_status = failure_status
        self.missing = missing
        self.newer_than = newer_than

    @property
    def what(self) -> str:
        """The run and the statuses."""
        return f"run {self.run_id} to be {' or '.join(self.target_status)}"

    def story(self, watcher: Watcher) -> WaitStory:
        """Begin to follow the run."""
        wait = RunWait.checked(self.run_id, self.target_status, self.failure_status, self.missing)
        return self.story_of(wait, watcher, self.newer_than)


class TallyfyRunsStatusTrigger(TallyfyWaitTrigger):
    """
    Waits until all or any of many runs reach a status.

    :param run_ids: the runs.
    :param target_status: statuses that end the wait for a run well.
    :param failure_status: statuses that end it badly.
    :param missing: ``fail`` or ``wait``, for a run that does not exist.
    :param wait_for: ``all`` or ``any``.
    :param fail_fast: whether, waiting for all, the first bad end ends the wait.
    :param newer_than: the latest ``last_updated`` of all runs when the task last read them; ``None`` if it could not
        read one of them.
    :param fields: which facts of each run its event has: one name for a flat list, or several for dicts.
    :param settings: arguments of :class:`TallyfyWaitTrigger`.
    """

    own_arguments = (
        "run_ids",
        "target_status",
        "failure_status",
        "missing",
        "wait_for",
        "fail_fast",
        "newer_than",
        "fields",
    )

    def __init__(
        self,
        *,
        run_ids: list[str],
        target_status: list[str],
        failure_status: list[str],
        missing: str = "fail",
        wait_for: str = "all",
        fail_fast: bool = True,
        newer_than: str | None = None,
        fields: str | Sequence[str] = RESULT_FIELDS,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.run_ids = run_ids
        self.target_status = target_status
        self.failure_status = failure_status
        self.missing = missing
        self.wait_for = wait_for
        self.fail_fast = fail_fast
        self.newer_than = newer_than
        self.fields = fields if isinstance(fields, str) else list(fields)

    @property
    def what(self) -> str:
        """The runs and the statuses."""
        return f"{self.wait_for} of {len(self.run_ids)} runs to be {' or '.join(self.target_status)}"

    def story(self, watcher: Watcher) -> RunsStory:
        """Begin to follow the runs."""
        wait = RunsWait.checked(
            self.run_ids,
            self.target_status,
            self.failure_status,
            self.missing,
            wait_for=self.wait_for,
            fail_fast=self.fail_fast,
        )
        watches = wait.watches(watcher.organization_id, self.newer_than)
        fields = checked_fields(self.fields, KNOWN_FIELDS)
        log = RunsLog(wait, watcher.run_url, self.max_poll_failures, self.tell, fields=fields)
        return RunsStory(wait, watches.values(), log)


class TallyfyTaskTrigger(TallyfyWaitTrigger):
    """
    Waits until a task of a run is done.

    :param run_id: the run.
    :param task_name: id, alias or title of the task.
    :param failure_status: statuses of the run that end the wait badly.
    :param missing: ``fail`` or ``wait``, for a run that does not exist.
    :param may_appear_later: wait on for a name that neither the run nor its template knows.
    :param settings: arguments of :class:`TallyfyWaitTrigger`.
    """

    own_arguments = ("run_id", "task_name", "failure_status", "missing", "may_appear_later")

    def __init__(
        self,
        *,
        run_id: str,
        task_name: str,
        failure_status: list[str],
        missing: str = "fail",
        may_appear_later: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.run_id = run_id
        self.task_name = task_name
        self.failure_status = failure_status
        self.missing = missing
        self.may_appear_later = may_appear_later

    @property
    def what(self) -> str:
        """The task."""
        return f"task {shown(self.task_name)} of run {self.run_id}"

    def story(self, watcher: Watcher) -> WaitStory:
        """Begin to follow the task."""
        wait = TaskWait.checked(
            self.run_id, self.task_name, self.failure_status, self.missing, may_appear_later=self.may_appear_later
        )
        return self.story_of(wait, watcher)


class TallyfyFormFieldTrigger(TallyfyWaitTrigger):
    """
    Waits until a form field of a run has a value.

    :param run_id: the run.
    :param field: id, alias or label of the field.
    :param values: values that end the wait; none for any.
    :param failure_status: statuses of the run that end the wait badly.
    :param missing: ``fail`` or ``wait``, for a run that does not exist.
    :param may_appear_later: wait on for a name that neither the run nor its template knows.
    :param settings: arguments of :class:`TallyfyWaitTrigger`.
    """

    own_arguments = ("run_id", "field", "values", "failure_status", "missing", "may_appear_later")

    def __init__(
        self,
        *,
        run_id: str,
        field: str,
        values: list[str],
        failure_status: list[str],
        missing: str = "fail",
        may_appear_later: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.run_id = run_id
        self.field = field
        self.values = values
        self.failure_status = failure_status
        self.missing = missing
        self.may_appear_later = may_appear_later

    @property
    def what(self) -> str:
        """The field."""
        return f"form field {shown(self.field)} of run {self.run_id}"

    def story(self, watcher: Watcher) -> WaitStory:
        """Begin to follow the field."""
        wait = FormFieldWait.checked(
            self.run_id,
            self.field,
            self.values or None,
            self.failure_status,
            self.missing,
            may_appear_later=self.may_appear_later,
        )
        return self.story_of(wait, watcher)
