"""Sensors: wait for people, on a worker or (deferrable) without one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    Context,
    PokeReturnValue,
    conf,
)

from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.waits import Ending, Outcome, RunWait, RunWatch, WaitLog
from airflow_provider_tallyfy.compat import TRIGGERS_END_TASKS, TaskDeferralTimeout
from airflow_provider_tallyfy.connection import DEFAULT_CONN_ID
from airflow_provider_tallyfy.exceptions import airflow_exceptions
from airflow_provider_tallyfy.links.tallyfy import TallyfyRunLink, push_run

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

_BACKSTOP = timedelta(minutes=1)


class TallyfyRunStatusSensor(BaseSensorOperator):
    """
    Wait until a run reaches a status.

    The result is the same in poke, reschedule and deferrable mode: a small dict ``id``, ``name``, ``status``,
    ``archived_at``, ``completed_at``, ``url`` and ``changed`` (always ``False``). A run that was finished and then
    archived, by Tallyfy's auto-archive say, counts as ``complete``. Statuses unknown to this package keep it waiting.
    Ending the wait early, by timeout or by hand, leaves the run alone.

    .. seealso:: :ref:`howto/sensor:TallyfyRunStatusSensor`

    :param run_id: the run (templated).
    :param target_status: a status, or several, that end the wait well (templated): ``active``, ``complete``,
        ``problem``, ``issue``, ``archived``. They win over ``failure_status``.
    :param failure_status: a status, several, or none, that fail the task at once (templated).
    :param missing: ``fail`` (default) if the run does not exist, or ``wait`` for it to appear.
    :param max_poll_failures: how many looks in a row may fail (Tallyfy down, rate limit) before the task does;
        ``None`` for any number within the timeout. In reschedule mode every look starts a count of its own.
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    :param deferrable: wait in the triggerer, without a worker.
    """

    template_fields: Sequence[str] = (
        "run_id",
        "target_status",
        "failure_status",
        "organization_id",
        "tallyfy_conn_id",
    )
    operator_extra_links = (TallyfyRunLink(),)
    ui_color = "#e3f4ea"

    def __init__(
        self,
        *,
        run_id: str,
        target_status: str | Iterable[str] = "complete",
        failure_status: str | Iterable[str] = ("archived",),
        missing: str = "fail",
        max_poll_failures: int | None = 100,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.target_status = target_status
        self.failure_status = failure_status
        self.missing = missing
        self.max_poll_failures = max_poll_failures
        self.organization_id = organization_id
        self.tallyfy_conn_id = tallyfy_conn_id
        self.deferrable = deferrable

    @cached_property
    def hook(self) -> TallyfyHook:
        """The hook, made when a task runs: DAG files load no HTTP library."""
        from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

        return TallyfyHook(self.tallyfy_conn_id, self.organization_id)

    def execute(self, context: Context) -> Any:
        """
        Wait, or hand the wait to the triggerer if the first look does not end it.

        :param context: of the running task.
        """
        with self.hook:
            push_run(context, self._wait.run_id, self.hook.run_url(self._wait.run_id))
            if not self.deferrable:
                return super().execute(context)
            with self._soft_failures():
                first_look = self.poke(context)
        return first_look.xcom_value if first_look else self._defer()

    def poke(self, context: Context) -> PokeReturnValue:
        """
        Look at the run once.

        :param context: of the running task.
        :raises AirflowFailException: if it is in a failure status.
        :raises TallyfyError: if it is missing, or cannot be looked at any longer.
        """
        try:
            ending = self._story.saw(self.hook.run(self._watch.look()))
        except TallyfyError as error:
            ending = self._story.stumbled(error)
        if ending is None:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._conclude(ending))

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """
        Take up the task after the trigger's wait.

        :param context: of the running task.
        :param event: what the trigger sent.
        """
        with airflow_exceptions():
            ending = Ending.from_event(event)
        return self._conclude(ending)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """
        Resume after deferral with the failures that poke mode has: Airflow's own way skips on crashes, too.

        :param next_method: method to call.
        :param next_kwargs: its arguments.
        :param context: of the running task.
        """
        with self._soft_failures():
            try:
                return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)
            except TaskDeferralTimeout:
                self._raise_timeout()

    @cached_property
    def _wait(self) -> RunWait:
        with airflow_exceptions():
            return RunWait.checked(self.run_id, self.target_status, self.failure_status, self.missing)

    @cached_property
    def _watch(self) -> RunWatch:
        return RunWatch(self.hook.organization_id, self._wait.run_id)

    @cached_property
    def _story(self) -> WaitLog:
        url = self.hook.run_url(self._wait.run_id)
        return WaitLog(self._wait, url, self._patience, tell=lambda line: self.log.info("%s", line))

    @property
    def _patience(self) -> int | None:
        return None if self.silent_fail else self.max_poll_failures

    @property
    def _limit(self) -> float:
        """Seconds that a deferred wait may take: Airflow 3 does not enforce ``execution_timeout`` on it."""
        execution_timeout = self.execution_timeout.total_seconds() if self.execution_timeout else float("inf")
        return min(self.timeout, execution_timeout)

    def _defer(self) -> NoReturn:
        from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunStatusTrigger

        longest_interval = self.max_wait.total_seconds() if self.max_wait else self.timeout
        self.defer(
            trigger=TallyfyRunStatusTrigger(
                run_id=self._wait.run_id,
                target_status=list(self._wait.target),
                failure_status=list(self._wait.failure),
                missing=self.missing,
                organization_id=self.organization_id,
                tallyfy_conn_id=self.tallyfy_conn_id,
                poll_interval=self.poke_interval,
                max_poll_interval=longest_interval if self.exponential_backoff else None,
                deadline=time.time() + self._limit,
                max_poll_failures=self._patience,
                end_task=TRIGGERS_END_TASKS and not self.do_xcom_push and not self.outlets,
            ),
            method_name="execute_complete",
            # The trigger keeps the deadline; this one only ends a wait whose trigger never got to run.
            timeout=timedelta(seconds=self._limit) + _BACKSTOP,
        )

    def _conclude(self, ending: Ending) -> dict[str, Any]:
        """Turn the end of the wait into the end of the task, alike in every mode."""
        if ending.outcome is Outcome.REACHED and ending.run is not None:
            return ending.run
        if ending.outcome is Outcome.FAILED:
            raise AirflowFailException(ending.message)
        if ending.outcome is Outcome.TIMED_OUT:
            self._raise_timeout()
        with airflow_exceptions():
            raise ending.to_error()

    def _raise_timeout(self) -> NoReturn:
        message = f"Run {self.run_id} did not get to {self.target_status!r} within {self._limit:.0f} s."
        raise AirflowSensorTimeout(message) if self._limit == self.timeout else AirflowTaskTimeout(message)

    @contextmanager
    def _soft_failures(self) -> Iterator[None]:
        """Apply ``soft_fail`` and ``never_fail`` to the failures that Airflow's poke mode applies them to."""
        try:
            yield
        except (AirflowFailException, AirflowSensorTimeout, AirflowTaskTimeout) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"Skipped instead of failed: {error}") from error
            raise
        except AirflowSkipException:
            raise
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException(f"Skipped instead of failed: {error}") from error
            raise
