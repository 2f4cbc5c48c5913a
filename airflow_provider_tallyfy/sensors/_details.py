"""Sensors that wait for what belongs to a run: a task, or the answer in a form field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.api.presentable import shown
from airflow_provider_tallyfy.compat import first_look_at
from airflow_provider_tallyfy.sensors._base import TallyfyRunSensor
from airflow_provider_tallyfy.waits.details import FormFieldWait, TaskWait
from airflow_provider_tallyfy.waits.worker import Look

if TYPE_CHECKING:
    from airflow_provider_tallyfy.triggers.tallyfy import TallyfyFormFieldTrigger, TallyfyTaskTrigger


class TallyfyDetailSensor(TallyfyRunSensor):
    """
    Base of the sensors for what belongs to a run and may be called by a wrong name.

    :param may_appear_later: wait on although neither the run nor its template knows the name.
    """

    def __init__(self, *, may_appear_later: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.may_appear_later = may_appear_later
        self._first_look_at: float | None = None

    def execute(self, context: Context) -> Any:
        """Wait as all sensors do; in reschedule mode an earlier process may have looked first."""
        if self.reschedule and not self.deferrable:
            self._first_look_at = first_look_at(context, self.retries)
        return super().execute(context)

    def make_look(self) -> Look:
        """Make what looks at the run and checks the name."""
        return Look(self.hook, self.wait, self.tolerance, self.tell, self._first_look_at)


class TallyfyTaskSensor(TallyfyDetailSensor):
    """
    Wait until one task of a run is completed, or skipped by a rule of its template.

    The result is a small dict: ``id``, ``title``, ``alias``, ``status``, ``completed_at``, ``deadline``, ``run_id`` and
    ``url``. The sensor fails when the run is complete without the task being so: it will not be any more.

    .. seealso:: :ref:`howto/sensor:TallyfyTaskSensor`

    :param run_id: the run (templated).
    :param task_name: id, alias or title of the task (templated).
    :param failure_status: a status of the run, several, or none, that fail the wait (templated): one, or a list, which
        may be text as a template renders it.
    :param missing: ``fail`` (default) if the run does not exist, or ``wait`` for it to appear.
    :param may_appear_later: wait on although neither the run nor its template knows the name. By default the sensor
        fails with the nearest names, after two looks at least a minute apart.
    :param max_poll_failures: how many looks in a row may fail; ``None`` for any number.
    :param max_poke_interval: look less often the longer the wait lasts, up to so many seconds between two looks.
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    :param deferrable: wait in the triggerer, without a worker.
    :param end_from_trigger: let a deferred wait that succeeds end in the triggerer, too, so that no worker starts for
        it (Airflow >= 3.0). Airflow then runs no ``on_success_callback`` and no ``post_execute``, and tells no
        listener. Refused for a task that would lose its result, a callback or asset events by it. Default: ``False``.
    """

    template_fields: Sequence[str] = ("task_name", *TallyfyDetailSensor.template_fields)

    def __init__(self, *, task_name: str, may_appear_later: bool = False, **kwargs: Any) -> None:
        super().__init__(may_appear_later=may_appear_later, **kwargs)
        self.task_name = task_name

    @cached_property
    def wait(self) -> TaskWait:
        """The wait, checked."""
        return TaskWait.checked(
            self.run_id, self.task_name, self.failure_status, self.missing, may_appear_later=self.may_appear_later
        )

    @property
    def goal(self) -> str:
        """The task and its run."""
        return f"Completion of task {shown(self.task_name)} of run {self.run_id}"

    def make_trigger(self, **settings: Any) -> TallyfyTaskTrigger:
        """Make the trigger that goes on with the wait."""
        from airflow_provider_tallyfy.triggers.tallyfy import TallyfyTaskTrigger

        return TallyfyTaskTrigger(
            run_id=self.wait.run_id,
            task_name=self.wait.name,
            failure_status=list(self.wait.failure),
            missing=self.wait.missing.value,
            may_appear_later=self.wait.may_appear_later,
            **settings,
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
        text or number as the one value. By default, and with ``None``, any value; an empty list is refused.
    :param failure_status: a status of the run, several, or none, that fail the wait (templated): one, or a list, which
        may be text as a template renders it.
    :param missing: ``fail`` (default) if the run does not exist, or ``wait`` for it to appear.
    :param may_appear_later: wait on although neither the run nor its template knows the name. By default the sensor
        fails with the nearest names, after two looks at least a minute apart.
    :param max_poll_failures: how many looks in a row may fail; ``None`` for any number.
    :param max_poke_interval: look less often the longer the wait lasts, up to so many seconds between two looks.
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    :param deferrable: wait in the triggerer, without a worker.
    :param end_from_trigger: let a deferred wait that succeeds end in the triggerer, too, so that no worker starts for
        it (Airflow >= 3.0). Airflow then runs no ``on_success_callback`` and no ``post_execute``, and tells no
        listener. Refused for a task that would lose its result, a callback or asset events by it. Default: ``False``.
    """

    template_fields: Sequence[str] = ("field", "values", *TallyfyDetailSensor.template_fields)

    def __init__(
        self, *, field: str, values: Iterable[Any] | None = None, may_appear_later: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(may_appear_later=may_appear_later, **kwargs)
        self.field = field
        self.values = values

    @cached_property
    def wait(self) -> FormFieldWait:
        """The wait, checked."""
        return FormFieldWait.checked(
            self.run_id,
            self.field,
            self.values,
            self.failure_status,
            self.missing,
            may_appear_later=self.may_appear_later,
        )

    @property
    def goal(self) -> str:
        """The field and its run."""
        return f"A value in form field {shown(self.field)} of run {self.run_id}"

    def make_trigger(self, **settings: Any) -> TallyfyFormFieldTrigger:
        """Make the trigger that goes on with the wait."""
        from airflow_provider_tallyfy.triggers.tallyfy import TallyfyFormFieldTrigger

        return TallyfyFormFieldTrigger(
            run_id=self.wait.run_id,
            field=self.wait.name,
            values=list(self.wait.values),
            failure_status=list(self.wait.failure),
            missing=self.wait.missing.value,
            may_appear_later=self.wait.may_appear_later,
            **settings,
        )
