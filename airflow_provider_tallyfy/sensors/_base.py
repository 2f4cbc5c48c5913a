"""What the sensors have in common: the same wait in poke, reschedule and deferrable mode."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    Context,
    PokeReturnValue,
)

from airflow_provider_tallyfy.lineage import TellsLineage
from airflow_provider_tallyfy.links.tallyfy import TallyfyRunLink

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
    from airflow_provider_tallyfy.waits.deadline import Deadline
    from airflow_provider_tallyfy.waits.details import FormFieldGoal, TaskGoal
    from airflow_provider_tallyfy.waits.goals import RunGoal
    from airflow_provider_tallyfy.waits.results import WaitResult
    from airflow_provider_tallyfy.waits.worker import Poller


class TallyfyWaitSensor(TellsLineage, BaseSensorOperator):
    """Base of the sensors. What a task needs to wait is imported when it runs, not while its DAG is parsed."""

    template_fields: Sequence[str] = ("organization_id", "tallyfy_conn_id")
    ui_color = "#e3f4ea"

    def __init__(
        self,
        *,
        missing: str,
        max_poll_failures: int | None,
        max_poke_interval: timedelta | float | None,
        organization_id: str | None,
        tallyfy_conn_id: str,
        deferrable: bool,
        end_from_trigger: bool,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("timeout") == float("inf"):
            from airflow_provider_tallyfy.waits.deadline import LONGEST_WAIT

            kwargs["timeout"] = LONGEST_WAIT  # Airflow converts it to a timedelta, which cannot be infinite
        super().__init__(**kwargs)
        if max_poke_interval is not None:
            from airflow_provider_tallyfy.api.inputs.checks import checked_seconds
            from airflow_provider_tallyfy.waits.deadline import LONGEST_WAIT

            longest = checked_seconds(max_poke_interval, "max_poke_interval", least=-LONGEST_WAIT.total_seconds())
            self.exponential_backoff = longest > self.poke_interval
            self.max_wait = timedelta(seconds=longest)
        self.missing = missing
        self.max_poll_failures = max_poll_failures
        self.organization_id = organization_id
        self.tallyfy_conn_id = tallyfy_conn_id
        self.deferrable = deferrable
        self.end_from_trigger = end_from_trigger
        _ = self._ends_in_triggerer  # raises while the DAG is parsed
        self._deadline: Deadline | None = None
        self._first_look_at: float | None = None

    @cached_property
    def hook(self) -> TallyfyHook:
        """The hook, made when a task runs: DAG files load no HTTP library. Its connection has been read."""
        from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
        from airflow_provider_tallyfy.waits.worker import read_connection

        hook = TallyfyHook(self.tallyfy_conn_id, self.organization_id)
        read_connection(hook, self._new_deadline(), self._log_line)
        return hook

    @cached_property
    @abstractmethod
    def _goal(self) -> RunGoal | TaskGoal | FormFieldGoal:
        """What is waited for, checked."""

    @abstractmethod
    def _announce(self, context: Context) -> None:
        """Check the arguments, and push the XComs that link to the run."""

    @cached_property
    def _poller(self) -> Poller:
        """What looks, and knows what earlier looks showed."""
        from airflow_provider_tallyfy.waits.worker import Poller

        return Poller(self.hook, self._goal, self._tolerated_failures, self._log_line, self._first_look_at)

    def execute(self, context: Context) -> Any:
        """Wait, or hand the wait to the triggerer if the first look does not end it."""
        self._deadline = deadline = self._new_deadline()
        _ = self._ends_in_triggerer  # raises before anything is sent
        with self.hook:
            self._announce(context)
            if not self.deferrable:
                return super().execute(context)
            with self._soft_failures():
                first_look = self.poke(context)
        if first_look:
            return first_look.xcom_value
        from airflow_provider_tallyfy.triggers._waits import trigger_for

        trigger = trigger_for(self._goal, self._poller.newer_than, **self._trigger_settings(deadline.moment))
        self.defer(trigger=trigger, method_name="execute_complete", timeout=deadline.backstop)

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once, and look again if the time was over meanwhile."""
        is_last = self._is_time_up
        result = self._poller.look(is_last=is_last)
        if result is None and not is_last and self._is_time_up:
            result = self._poller.look(is_last=True)
        if result is None:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._finish(result))

    def execute_complete(self, context: Context, event: Any) -> Any:
        """End the task as the trigger's wait ended."""
        from airflow_provider_tallyfy.waits.results import WaitResult

        return self._finish(WaitResult.from_event(event))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after deferral with the failures that poke mode has: Airflow's own way skips on crashes, too."""
        from airflow_provider_tallyfy.compat import is_deferral_timeout
        from airflow_provider_tallyfy.waits.results import WaitResult

        with self._soft_failures():
            try:
                return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)
            except AirflowException as error:
                if is_deferral_timeout(error):
                    WaitResult.timed_out(self._goal.text).finish(self._new_deadline())
                raise

    def _get_next_poke_interval(self, started_at: Any, run_duration: Callable[[], float], poke_count: int) -> float:
        """Send nothing while Tallyfy asks for a pause, though not beyond the end of the wait."""
        usual: float = super()._get_next_poke_interval(started_at, run_duration, poke_count)
        return max(usual, min(self._poller.pause, self.timeout - run_duration()))

    def _finish(self, result: WaitResult) -> Any:
        return result.finish(self._new_deadline())

    def _new_deadline(self) -> Deadline:
        from airflow_provider_tallyfy.waits.deadline import Deadline

        return Deadline(self.timeout, self.execution_timeout)

    def _log_line(self, line: str) -> None:
        self.log.info("%s", line)

    @property
    def _tolerated_failures(self) -> int | None:
        return None if self.silent_fail else self.max_poll_failures

    @property
    def _ends_in_triggerer(self) -> bool:
        if self.end_from_trigger is False:  # what nearly every DAG says, without another import
            return False
        from airflow_provider_tallyfy.waits.task_end import ends_in_triggerer

        return ends_in_triggerer(self, self.end_from_trigger)

    @property
    def _is_time_up(self) -> bool:
        return self._deadline is not None and not self._deadline.left

    def _trigger_settings(self, deadline: float | None) -> dict[str, Any]:
        from airflow_provider_tallyfy.waits.watcher.subscriptions import SHORTEST_INTERVAL

        longest_interval = self.max_wait.total_seconds() if self.max_wait else self.timeout
        return {
            "organization_id": self.organization_id,
            "tallyfy_conn_id": self.tallyfy_conn_id,
            "poll_interval": self.poke_interval or SHORTEST_INTERVAL,  # Airflow lets a sensor look without a pause
            "max_poll_interval": (longest_interval or None) if self.exponential_backoff else None,
            "deadline": deadline,
            "max_poll_failures": self._tolerated_failures,
            "end_task": self._ends_in_triggerer,
        }

    @contextmanager
    def _soft_failures(self) -> Iterator[None]:
        """Apply ``soft_fail`` and ``never_fail`` to the failures that Airflow's poke mode applies them to."""
        try:
            yield
        except AirflowSensorTimeout as error:
            if self.soft_fail:  # never_fail concerns looks that fail, not a wait that takes too long
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


class TallyfyRunSensor(TallyfyWaitSensor):
    """Base of the sensors about one run."""

    template_fields: Sequence[str] = ("run_id", "failure_status", *TallyfyWaitSensor.template_fields)
    operator_extra_links = (TallyfyRunLink(),)

    def __init__(self, *, run_id: str, failure_status: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.failure_status = failure_status

    def _announce(self, context: Context) -> None:
        run_id = self._goal.run_id
        self._push_run(context, run_id, self.hook.run_url(run_id))

    def _finish(self, result: WaitResult) -> Any:
        ended = super()._finish(result)
        if isinstance(ended, dict) and not self._lineage:  # of a deferred wait nothing else is known
            self._note(run_id=str(ended.get("run_id", ended.get("id"))), url=ended.get("url"))
        return ended
