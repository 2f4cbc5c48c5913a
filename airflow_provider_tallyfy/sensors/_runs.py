"""Sensors that wait for runs to get into a status."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context, conf

from airflow_provider_tallyfy.compat import forbid_mapping
from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID, MAX_XCOM_BYTES
from airflow_provider_tallyfy.sensors._base import TallyfyRunSensor, TallyfyWaitSensor
from airflow_provider_tallyfy.waits import RESULT_FIELDS

if TYPE_CHECKING:
    from airflow_provider_tallyfy.waits.goals import RunGoal, RunsGoal
    from airflow_provider_tallyfy.waits.results import WaitResult


class TallyfyRunStatusSensor(TallyfyRunSensor):
    """
    Wait until a run reaches a status.

    The result is the same in poke, reschedule and deferrable mode: a small dict ``id``, ``name``, ``status``,
    ``archived_at``, ``completed_at``, ``url`` and ``changed`` (always ``False``). A run that was finished and then
    archived, by Tallyfy's auto-archive say, counts as ``complete``. Statuses unknown to this package keep it waiting.
    Ending the wait early, by timeout or by hand, leaves the run alone.

    .. seealso:: :ref:`howto/sensor:TallyfyRunStatusSensor`

    :param run_id: the run (templated).
    :param target_status: the status that ends the wait well, or a list of them, which may be text as a template renders
        it (templated): ``active``, ``complete``, ``problem``, ``issue``, ``archived``. It wins over
        ``failure_status``. Default: ``complete``.
    :param failure_status: the status that fails the task at once, or a list of them (templated). An empty list: no
        status does. Default: ``archived``.
    :param missing: ``"fail"`` (default) if a run does not exist, or ``"wait"`` for it. A run that is launched,
        finished and archived between two looks is found at every tenth look, and at the last one before the timeout.
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
    :param start_from_trigger: let the wait begin in the triggerer, too, so that no worker process starts before it is
        over (Airflow >= 3.3). Only for ids that are given as they are, or as templates of ``params``, ``dag_run`` and
        the like; anything else is refused while the DAG is parsed, and so is mapping (``partial``). It is no argument
        of ``expand`` and ``expand_kwargs``. Default: ``False``.
    """

    template_fields: Sequence[str] = ("target_status", *TallyfyRunSensor.template_fields)

    def __init__(
        self,
        *,
        run_id: str,
        target_status: str | Iterable[str] = "complete",
        failure_status: str | Iterable[str] = ("archived",),
        missing: str = "fail",
        max_poll_failures: int | None = 100,
        max_poke_interval: timedelta | float | None = None,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool = False,
        start_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            run_id=run_id,
            failure_status=failure_status,
            missing=missing,
            max_poll_failures=max_poll_failures,
            max_poke_interval=max_poke_interval,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            deferrable=deferrable,
            end_from_trigger=end_from_trigger,
            **kwargs,
        )
        self.target_status = target_status
        if _is_set(start_from_trigger):
            self._start_from_trigger()

    @classmethod
    def partial(cls, *, start_from_trigger: bool = False, **kwargs: Any) -> Any:
        """
        Begin to map the sensor over values.

        :param start_from_trigger: not possible here, since Airflow hands no mapped values to the triggerer.
        :param kwargs: arguments that all mapped tasks share.
        :raises TallyfyConfigurationError: while the DAG is parsed, if they are to begin in the triggerer.
        """
        if _is_set(start_from_trigger):
            from airflow_provider_tallyfy.sensors._start_from_trigger import refused_for_mapping

            raise refused_for_mapping()
        return super().partial(**kwargs)

    @cached_property
    def _goal(self) -> RunGoal:
        from airflow_provider_tallyfy.waits.goals import RunGoal

        return RunGoal.checked(self.run_id, self.target_status, self.failure_status, self.missing)

    def execute_complete(self, context: Context, event: Any) -> Any:
        """End the task as the trigger's wait ended, which may have begun without a worker."""
        if self.start_from_trigger:
            self._announce(context)
        return super().execute_complete(context, event)

    def _start_from_trigger(self) -> None:
        from airflow_provider_tallyfy.sensors._start_from_trigger import start_trigger_args
        from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunStatusTrigger

        self.start_from_trigger = True
        arguments = {
            "run_id": self.run_id,
            "target_status": _listed(self.target_status),
            "failure_status": _listed(self.failure_status),
            "missing": self.missing,
            **self._trigger_settings(deadline=None),
        }
        is_mapped = self.get_closest_mapped_task_group() is not None
        timeout = timedelta(seconds=self._new_deadline().seconds)
        self.start_trigger_args = start_trigger_args(TallyfyRunStatusTrigger, arguments, timeout, is_mapped=is_mapped)


forbid_mapping(TallyfyRunStatusSensor, "start_from_trigger")


def _is_set(start_from_trigger: object) -> bool:
    if start_from_trigger is False:  # what nearly every DAG says, without another import
        return False
    from airflow_provider_tallyfy.api.inputs.checks import checked_flag

    return checked_flag(start_from_trigger, "start_from_trigger")


def _listed(value: Any) -> Any:
    """Make the list that a trigger takes; what is neither text nor a list is refused later."""
    if isinstance(value, str):
        return [value]
    return sorted(value) if isinstance(value, set | frozenset) else list(value) if isinstance(value, tuple) else value


class TallyfyRunsStatusSensor(TallyfyWaitSensor):
    """
    Wait until many runs reach a status: one task, and in deferrable mode one trigger, for all of them.

    The result is a list with a small dict per run, in the order given; see ``fields``. Waiting for all of no runs
    succeeds at once, with an empty list. How a run ended stands, even if it is reopened while others are waited for.
    In reschedule mode every look reads all runs, so poke mode and above all deferrable mode send fewer requests.

    .. seealso:: :ref:`howto/sensor:TallyfyRunsStatusSensor`

    :param run_ids: the runs (templated): what another task hands on, as bulk operators take it. That is a list of ids
        or of dicts with an ``id``, one of these alone, text of such a list as a template renders it, or
        ``{"path": ...}`` for a file of JSON lines.
    :param target_status: the status that ends the wait for a run well, or a list of them (templated). Default:
        ``complete``.
    :param failure_status: the status that ends it badly, or a list of them (templated). An empty list: no status does.
        Default: ``archived``.
    :param wait_for: ``"all"`` (default), or ``"any"`` for the first run that ends well.
    :param fail_fast: whether, waiting for all, the first bad end fails the task at once. With ``False`` it fails when
        the wait for every run is over. Default: ``True``.
    :param missing: ``"fail"`` (default) if a run does not exist, or ``"wait"`` for it. A run that is launched,
        finished and archived between two looks is found at every tenth look, and at the last one before the timeout.
    :param max_poll_failures: how many looks in a row at one run may fail before the task does; ``None`` for any number
        within the timeout. In reschedule mode the count begins again with each look. Default: 100.
    :param max_poke_interval: look less often the longer the wait lasts: the interval grows from ``poke_interval`` up to
        this many seconds, or a timedelta. Default: ``None``; then, or if it is shorter, the interval stays the same.
    :param fields: which keys the dicts have (templated); one name as text gives a flat list of that value, for example
        ``"id"``. Default: ``id``, ``name``, ``status``, ``archived_at``, ``completed_at``, ``url``, ``changed`` and
        ``outcome``; also: ``template_id``, ``created_at``, ``percent_complete``. ``outcome`` is ``reached``; with
        ``wait_for="any"`` also ``waiting``, ``failed``, ``missing`` or ``error``. A value that is not known is
        ``None``. A ``name`` that takes more than 80 bytes is cut.
    :param output_path: write JSON lines with these keys here instead, a local path or any URL that
        ``ObjectStoragePath`` knows (templated); the result is then ``{"path", "count"}``. Names are not cut. After a
        deferred wait the runs are read once more for it. Default: ``None``.
    :param max_xcom_bytes: how many bytes the result may take as XCom. If the result for this number of runs may take
        more, the task is refused before it waits. Default: ``49152``.
    :param organization_id: the organization (templated). Default: the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :param deferrable: wait in the triggerer, without a worker. Default: Airflow's ``[operators] default_deferrable``.
    :param end_from_trigger: let a deferred wait that succeeds end in the triggerer, too, so that no worker starts for
        it (Airflow >= 3.0). Airflow then runs no ``on_success_callback`` and no ``post_execute``, and notifies no
        listener. Refused for a task that would lose its result, a callback or asset events by it. Default: ``False``.
    """

    template_fields: Sequence[str] = (
        "run_ids",
        "fields",
        "output_path",
        "target_status",
        "failure_status",
        *TallyfyWaitSensor.template_fields,
    )

    def __init__(
        self,
        *,
        run_ids: Any,
        target_status: str | Iterable[str] = "complete",
        failure_status: str | Iterable[str] = ("archived",),
        wait_for: str = "all",
        fail_fast: bool = True,
        missing: str = "fail",
        max_poll_failures: int | None = 100,
        max_poke_interval: timedelta | float | None = None,
        fields: str | Sequence[str] = RESULT_FIELDS,
        output_path: str | os.PathLike[str] | None = None,
        max_xcom_bytes: int = MAX_XCOM_BYTES,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            missing=missing,
            max_poll_failures=max_poll_failures,
            max_poke_interval=max_poke_interval,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            deferrable=deferrable,
            end_from_trigger=end_from_trigger,
            **kwargs,
        )
        self.run_ids = run_ids
        self.target_status = target_status
        self.failure_status = failure_status
        self.wait_for = wait_for
        self.fail_fast = fail_fast
        self.fields = fields
        self.output_path = output_path
        self.max_xcom_bytes = max_xcom_bytes
        _ = self._ends_in_triggerer  # output_path is one reason to raise

    @cached_property
    def _goal(self) -> RunsGoal:
        from airflow_provider_tallyfy.files.ids_and_rows import read_run_ids
        from airflow_provider_tallyfy.waits.goals import RunsGoal

        return RunsGoal.for_runs(
            read_run_ids(self.run_ids),
            self.target_status,
            self.failure_status,
            self.missing,
            wait_for=self.wait_for,
            fail_fast=self.fail_fast,
            fields=self.fields,
            is_for_xcom=not self.output_path,
        )

    def _announce(self, context: Context) -> None:
        """Check the arguments; there is no single run to lead to."""
        from airflow_provider_tallyfy.files.storage import checked_path_if_given

        self.log.info("Waiting for %s.", self._goal.text)
        checked_path_if_given(self.output_path, "output_path")
        self._check_size()

    def execute_complete(self, context: Context, event: Any) -> Any:
        """End the task as the trigger's wait ended; for a file the runs are read once more."""
        if not self.output_path:
            return super().execute_complete(context, event)
        from airflow_provider_tallyfy.waits.results import WaitResult

        outcomes = super()._finish(WaitResult.from_event(event))
        with self.hook:
            return self._write(self._poller.read_again(self._goal, outcomes))

    def _finish(self, result: WaitResult) -> Any:
        rows = super()._finish(result)
        return self._write(rows) if self.output_path else rows

    def _write(self, rows: list[Any]) -> dict[str, Any]:
        from airflow_provider_tallyfy.files.storage import checked_path, write_lines

        path = checked_path(self.output_path, "output_path")
        count = write_lines(path, rows)
        self.log.info("Wrote %d runs to %s", count, path)
        return {"path": path, "count": count}

    def _check_size(self) -> None:
        """Refuse more runs than an XCom holds; the trigger's event takes as much room in Airflow's database."""
        from airflow_provider_tallyfy.api.inputs.problems import invalid
        from airflow_provider_tallyfy.api.outputs import max_bytes
        from airflow_provider_tallyfy.files.storage import checked_xcom_bytes

        is_handed_on = (self.do_xcom_push or self.deferrable) and not self._ends_in_triggerer
        run_ids = self._goal.run_ids
        if self.output_path or not is_handed_on or not run_ids:
            return
        longest = max(run_ids, key=len)
        size = max_bytes(len(run_ids), self._goal.fields, longest, self.hook.run_url(longest))
        most = checked_xcom_bytes(self.max_xcom_bytes)
        if size > most:
            raise invalid(
                "max_xcom_bytes",
                most,
                f"is too little: the result of a wait for {len(run_ids)} runs may take {size} bytes",
                'Ask for fields="id", set output_path to write a file, or wait for fewer runs.',
            )
