"""Sensors that wait for what belongs to a run: a task, or the answer in a form field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context, conf

from airflow_provider_tallyfy.compat import first_look_at
from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID
from airflow_provider_tallyfy.sensors._base import TallyfyRunSensor

if TYPE_CHECKING:
    from airflow_provider_tallyfy.waits.details import FormFieldGoal, TaskGoal


class TallyfyDetailSensor(TallyfyRunSensor):
    """Base of the sensors for a part of a run, whose name may be misspelt."""

    def __init__(self, *, may_appear_later: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.may_appear_later = may_appear_later

    def execute(self, context: Context) -> Any:
        """Wait; in reschedule mode an earlier process may have looked first, from when the name is checked."""
        if self.reschedule and not self.deferrable:
            self._first_look_at = first_look_at(context, self.retries)
        return super().execute(context)


class TallyfyTaskSensor(TallyfyDetailSensor):
    """
    Wait until one task of a run is completed, or skipped by a rule of its template; or until it is its turn.

    The result is a small dict: ``id``, ``title``, ``alias``, ``status``, ``completed_at``, ``deadline``, ``run_id`` and
    ``url``. The sensor fails when the run is complete and the task is not: it will not be any more.

    .. seealso:: :ref:`howto/sensor:TallyfyTaskSensor`

    :param run_id: the run (templated).
    :param task_name: id, alias or title of the task (templated).
    :param target: ``"done"`` (default), or ``"turn"``: all tasks before it are done, as a step needs that a machine
        does. A task that is done itself is no longer waited for.
    :param failure_status: a status of the run that fails the task at once, or a list of them, which may be text as a
        template renders it (templated). An empty list: no status does. Default: ``archived``.
    :param missing: ``"fail"`` (default) if a run does not exist, or ``"wait"`` for it. A run that is launched,
        finished and archived between two looks is found at every tenth look, and at the last one before the timeout.
    :param may_appear_later: wait on although neither the run nor its template knows the name. By default (``False``)
        the sensor fails with the nearest names, after two looks at least a minute apart.
    :param max_poll_failures: how many looks in a row may fail (Tallyfy down, rate limit) before the task does;
        ``None`` for any number within the timeout. In reschedule mode the count begins again with each look.
        Default: 100.
    :param max_poke_interval: look less often the longer the wait lasts: the interval grows from ``poke_interval`` up to
        this many seconds, or a timedelta. Default: ``None``; then, or if it is shorter, the interval stays the same.
    :param organization_id: the organization (templated). Default: the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :param deferrable: wait in the triggerer, without a worker. Default: Airflow's ``[operators] default_deferrable``.
    :param end_from_trigger: let a deferred wait that succeeds end in the triggerer, too, so that no worker starts for
        it (Airflow >= 3.0). Airflow then runs no ``on_success_callback`` and no ``post_execute``, and notifies no
        listener. Refused for a task that would lose its result, a callback or asset events by it. Default: ``False``.
    """

    template_fields: Sequence[str] = ("task_name", *TallyfyDetailSensor.template_fields)

    def __init__(
        self,
        *,
        run_id: str,
        task_name: str,
        target: str = "done",
        failure_status: str | Iterable[str] = ("archived",),
        missing: str = "fail",
        may_appear_later: bool = False,
        max_poll_failures: int | None = 100,
        max_poke_interval: timedelta | float | None = None,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            run_id=run_id,
            failure_status=failure_status,
            missing=missing,
            may_appear_later=may_appear_later,
            max_poll_failures=max_poll_failures,
            max_poke_interval=max_poke_interval,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            deferrable=deferrable,
            end_from_trigger=end_from_trigger,
            **kwargs,
        )
        self.task_name = task_name
        self.target = target

    @cached_property
    def _goal(self) -> TaskGoal:
        from airflow_provider_tallyfy.waits.details import TaskGoal

        return TaskGoal.checked(
            self.run_id,
            self.task_name,
            self.failure_status,
            self.missing,
            target=self.target,
            may_appear_later=self.may_appear_later,
        )


class TallyfyFormFieldSensor(TallyfyDetailSensor):
    """
    Wait until a form field of a run, of its kick-off form or of a task, has a value, and return it.

    An option is returned as its text, several as a list of texts, other values as Tallyfy stores them. The sensor fails
    when the run is complete without such a value.

    .. seealso:: :ref:`howto/sensor:TallyfyFormFieldSensor`

    :param run_id: the run (templated).
    :param field: id, alias or label of the field (templated).
    :param values: wait for one of these values (templated): a list, text of one as a template renders it, or any other
        text or number as the one value. Default: ``None``, for any value. An empty list is refused.
    :param failure_status: a status of the run that fails the task at once, or a list of them, which may be text as a
        template renders it (templated). An empty list: no status does. Default: ``archived``.
    :param missing: ``"fail"`` (default) if a run does not exist, or ``"wait"`` for it. A run that is launched,
        finished and archived between two looks is found at every tenth look, and at the last one before the timeout.
    :param may_appear_later: wait on although neither the run nor its template knows the name. By default (``False``)
        the sensor fails with the nearest names, after two looks at least a minute apart.
    :param max_poll_failures: how many looks in a row may fail (Tallyfy down, rate limit) before the task does;
        ``None`` for any number within the timeout. In reschedule mode the count begins again with each look.
        Default: 100.
    :param max_poke_interval: look less often the longer the wait lasts: the interval grows from ``poke_interval`` up to
        this many seconds, or a timedelta. Default: ``None``; then, or if it is shorter, the interval stays the same.
    :param organization_id: the organization (templated). Default: the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :param deferrable: wait in the triggerer, without a worker. Default: Airflow's ``[operators] default_deferrable``.
    :param end_from_trigger: let a deferred wait that succeeds end in the triggerer, too, so that no worker starts for
        it (Airflow >= 3.0). Airflow then runs no ``on_success_callback`` and no ``post_execute``, and notifies no
        listener. Refused for a task that would lose its result, a callback or asset events by it. Default: ``False``.
    """

    template_fields: Sequence[str] = ("field", "values", *TallyfyDetailSensor.template_fields)

    def __init__(
        self,
        *,
        run_id: str,
        field: str,
        values: Iterable[Any] | None = None,
        failure_status: str | Iterable[str] = ("archived",),
        missing: str = "fail",
        may_appear_later: bool = False,
        max_poll_failures: int | None = 100,
        max_poke_interval: timedelta | float | None = None,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            run_id=run_id,
            failure_status=failure_status,
            missing=missing,
            may_appear_later=may_appear_later,
            max_poll_failures=max_poll_failures,
            max_poke_interval=max_poke_interval,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            deferrable=deferrable,
            end_from_trigger=end_from_trigger,
            **kwargs,
        )
        self.field = field
        self.values = values

    @cached_property
    def _goal(self) -> FormFieldGoal:
        from airflow_provider_tallyfy.waits.details import FormFieldGoal

        return FormFieldGoal.checked(
            self.run_id,
            self.field,
            self.values,
            self.failure_status,
            self.missing,
            may_appear_later=self.may_appear_later,
        )
