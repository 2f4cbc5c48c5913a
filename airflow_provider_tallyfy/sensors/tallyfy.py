"""Sensors: wait for people, on a worker or (deferrable) without one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    Context,
    PokeReturnValue,
    conf,
)

from airflow_provider_tallyfy.api.waits import Ending, RunWait
from airflow_provider_tallyfy.compat import is_deferral_timeout
from airflow_provider_tallyfy.connection import DEFAULT_CONN_ID
from airflow_provider_tallyfy.exceptions import airflow_exceptions
from airflow_provider_tallyfy.links.tallyfy import TallyfyRunLink, push_run
from airflow_provider_tallyfy.waiting import (
    Look,
    Patience,
    conclude,
    ending_of,
    may_end_in_triggerer,
    status_trigger,
)

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook


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
        ending = self._look()
        if ending is None:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._conclude(ending))

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """
        Take up the task after the trigger's wait.

        :param context: of the running task.
        :param event: what the trigger sent.
        """
        return self._conclude(ending_of(event))

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
            except AirflowException as error:
                if is_deferral_timeout(error):
                    self._patience.end(self._goal)
                raise

    @cached_property
    def _wait(self) -> RunWait:
        with airflow_exceptions():
            return RunWait.checked(self.run_id, self.target_status, self.failure_status, self.missing)

    @cached_property
    def _look(self) -> Look:
        return Look(self.hook, self._wait, self._tolerance, tell=lambda line: self.log.info("%s", line))

    @property
    def _tolerance(self) -> int | None:
        return None if self.silent_fail else self.max_poll_failures

    @property
    def _patience(self) -> Patience:
        return Patience(self.timeout, self.execution_timeout)

    @property
    def _goal(self) -> str:
        return f"Run {self.run_id} becoming {self.target_status!r}"

    def _conclude(self, ending: Ending) -> dict[str, Any]:
        return conclude(ending, self._goal, self._patience)

    def _defer(self) -> NoReturn:
        longest_interval = self.max_wait.total_seconds() if self.max_wait else self.timeout
        trigger = status_trigger(
            self._wait,
            organization_id=self.organization_id,
            tallyfy_conn_id=self.tallyfy_conn_id,
            poll_interval=self.poke_interval,
            max_poll_interval=longest_interval if self.exponential_backoff else None,
            deadline=self._patience.deadline,
            max_poll_failures=self._tolerance,
            end_task=may_end_in_triggerer(self),
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=self._patience.backstop)

    @contextmanager
    def _soft_failures(self) -> Iterator[None]:
        """Apply ``soft_fail`` and ``never_fail`` to the failures that Airflow's poke mode applies them to."""
        try:
            yield
        except AirflowSensorTimeout as error:
            if self.soft_fail:  # never_fail is about looks that fail, not about none that succeeds
                raise AirflowSkipException(f"Skipped instead of failed: {error}") from error
            raise
        except (AirflowFailException, AirflowTaskTimeout) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"Skipped instead of failed: {error}") from error
            raise
        except AirflowSkipException:
            raise
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException(f"Skipped instead of failed: {error}") from error
            raise
