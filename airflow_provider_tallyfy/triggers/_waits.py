"""Triggers: waits that cost no worker while people work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_provider_tallyfy.triggers._base import PUBLIC_MODULE, TallyfyWaitTrigger
from airflow_provider_tallyfy.waits import RESULT_FIELDS
from airflow_provider_tallyfy.waits.details import FormFieldGoal, TaskGoal
from airflow_provider_tallyfy.waits.goals import RunGoal, Wait


@dataclass(kw_only=True, eq=False, repr=False)
class TallyfyRunStatusTrigger(TallyfyWaitTrigger):
    """
    Waits until a run reaches a status.

    :param run_id: the run.
    :param target_status: statuses that end the wait well.
    :param failure_status: statuses that end it badly.
    :param missing: ``"fail"`` (default) if the run does not exist, or ``"wait"`` for it to appear.
    :param newer_than: the run's ``last_updated`` when the task last read it and went on waiting, as ISO text. A list
        that shows the run in another state later than this is believed, which saves a request. Default: ``None``.
    :param organization_id: the organization; ``None`` for the connection's.
    :param tallyfy_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; a tenth of it is jitter.
    :param max_poll_interval: doubles the interval after each look up to this many seconds. By default it is
        constant.
    :param deadline: when to stop waiting, in seconds since the epoch; ``None`` (default) for never.
    :param max_poll_failures: how many looks in a row may fail; ``None`` (default) for any number.
    :param end_task: on success end the task right here, without a worker and so without a result. Default: ``False``.
    """

    run_id: str
    target_status: list[str]
    failure_status: list[str]
    missing: str = "fail"
    newer_than: str | None = None

    def _make_wait(self) -> Wait:
        return Wait((RunGoal.checked(self.run_id, self.target_status, self.failure_status, self.missing),))


@dataclass(kw_only=True, eq=False, repr=False)
class TallyfyRunsStatusTrigger(TallyfyWaitTrigger):
    """
    Waits until all or any of many runs reach a status.

    :param run_ids: the runs.
    :param target_status: statuses that end the wait for a run well.
    :param failure_status: statuses that end it badly.
    :param missing: ``"fail"`` (default) if a run does not exist, or ``"wait"`` for it to appear.
    :param wait_for: ``"all"`` (default), or ``"any"`` for the first run that ends well.
    :param fail_fast: whether, waiting for all, the first bad end ends the wait. Default: ``True``.
    :param newer_than: the latest ``last_updated`` of all runs when the task last read them, as ISO text; ``None``
        (default) if it could not read one of them.
    :param fields: which facts of each run its event has: one name for a flat list, or several for dicts. Default:
        ``id``, ``name``, ``status``, ``archived_at``, ``completed_at``, ``url``, ``changed`` and ``outcome``.
    :param organization_id: the organization; ``None`` for the connection's.
    :param tallyfy_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; a tenth of it is jitter.
    :param max_poll_interval: doubles the interval after each look up to this many seconds. By default it is
        constant.
    :param deadline: when to stop waiting, in seconds since the epoch; ``None`` (default) for never.
    :param max_poll_failures: how many looks in a row may fail; ``None`` (default) for any number.
    :param end_task: on success end the task right here, without a worker and so without a result. Default: ``False``.
    """

    run_ids: list[str]
    target_status: list[str]
    failure_status: list[str]
    missing: str = "fail"
    wait_for: str = "all"
    fail_fast: bool = True
    newer_than: str | None = None
    fields: str | Sequence[str] = RESULT_FIELDS

    def __post_init__(self) -> None:
        super().__post_init__()
        self.fields = self.fields if isinstance(self.fields, str) else list(self.fields)

    def _make_wait(self) -> Wait:
        return Wait.for_runs(
            self.run_ids,
            self.target_status,
            self.failure_status,
            self.missing,
            wait_for=self.wait_for,
            fail_fast=self.fail_fast,
            fields=self.fields,
        )


@dataclass(kw_only=True, eq=False, repr=False)
class TallyfyTaskTrigger(TallyfyWaitTrigger):
    """
    Waits until a task of a run is done.

    :param run_id: the run.
    :param task_name: id, alias or title of the task.
    :param failure_status: statuses of the run that end the wait badly.
    :param missing: ``"fail"`` (default) if the run does not exist, or ``"wait"`` for it to appear.
    :param may_appear_later: wait on for a name that neither the run nor its template knows. Default: ``False``.
    :param organization_id: the organization; ``None`` for the connection's.
    :param tallyfy_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; a tenth of it is jitter.
    :param max_poll_interval: doubles the interval after each look up to this many seconds. By default it is
        constant.
    :param deadline: when to stop waiting, in seconds since the epoch; ``None`` (default) for never.
    :param max_poll_failures: how many looks in a row may fail; ``None`` (default) for any number.
    :param end_task: on success end the task right here, without a worker and so without a result. Default: ``False``.
    """

    run_id: str
    task_name: str
    failure_status: list[str]
    missing: str = "fail"
    may_appear_later: bool = False

    def _make_wait(self) -> Wait:
        goal = TaskGoal.checked(
            self.run_id, self.task_name, self.failure_status, self.missing, may_appear_later=self.may_appear_later
        )
        return Wait((goal,))


@dataclass(kw_only=True, eq=False, repr=False)
class TallyfyFormFieldTrigger(TallyfyWaitTrigger):
    """
    Waits until a form field of a run has a value.

    :param run_id: the run.
    :param field: id, alias or label of the field.
    :param values: values that end the wait; an empty list for any.
    :param failure_status: statuses of the run that end the wait badly.
    :param missing: ``"fail"`` (default) if the run does not exist, or ``"wait"`` for it to appear.
    :param may_appear_later: wait on for a name that neither the run nor its template knows. Default: ``False``.
    :param organization_id: the organization; ``None`` for the connection's.
    :param tallyfy_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; a tenth of it is jitter.
    :param max_poll_interval: doubles the interval after each look up to this many seconds. By default it is
        constant.
    :param deadline: when to stop waiting, in seconds since the epoch; ``None`` (default) for never.
    :param max_poll_failures: how many looks in a row may fail; ``None`` (default) for any number.
    :param end_task: on success end the task right here, without a worker and so without a result. Default: ``False``.
    """

    run_id: str
    field: str
    values: list[str]
    failure_status: list[str]
    missing: str = "fail"
    may_appear_later: bool = False

    def _make_wait(self) -> Wait:
        goal = FormFieldGoal.checked(
            self.run_id,
            self.field,
            self.values or None,
            self.failure_status,
            self.missing,
            may_appear_later=self.may_appear_later,
        )
        return Wait((goal,))


for _trigger in (TallyfyRunStatusTrigger, TallyfyRunsStatusTrigger, TallyfyTaskTrigger, TallyfyFormFieldTrigger):
    _trigger.__module__ = PUBLIC_MODULE
