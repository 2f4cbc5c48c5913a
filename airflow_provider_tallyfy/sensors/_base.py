"""What the sensors have in common: one wait, alike in poke, reschedule and deferrable mode."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
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

from airflow_provider_tallyfy.api.inputs.checks import checked_seconds
from airflow_provider_tallyfy.compat import is_deferral_timeout
from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID
from airflow_provider_tallyfy.links.tallyfy import TallyfyRunLink, push_run
from airflow_provider_tallyfy.waits.goals import Ending, Wait
from airflow_provider_tallyfy.waits.worker import (
    LONGEST_WAIT,
    Look,
    Looking,
    Patience,
    conclude,
    ending_of,
    ends_in_triggerer,
    read_connection,
)

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
    from airflow_provider_tallyfy.triggers._base import TallyfyWaitTrigger


class TallyfyWaitSensor(BaseSensorOperator):
    """
    Base of the sensors.

    :param missing: ``fail`` (default) if a run does not exist, or ``wait`` for it to appear. One that is launched,
        finished and archived between two looks is found at every tenth look, and at the last one before the timeout.
    :param max_poll_failures: how many looks in a row may fail (Tallyfy down, rate limit) before the task does;
        ``None`` for any number within the timeout. In reschedule mode every look starts a count of its own.
    :param max_poke_interval: look less often the longer the wait lasts: the interval grows from ``poke_interval`` up to
        so many seconds (Airflow's ``exponential_backoff`` and ``max_wait``, in one argument); ``None``, or what is not
        more than ``poke_interval``, keeps it.
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    :param deferrable: wait in the triggerer, without a worker.
    :param end_from_trigger: let a deferred wait that succeeds end in the triggerer, too, so that no worker starts for
        it (Airflow >= 3.0). Airflow then runs no ``on_success_callback`` and no ``post_execute``, and tells no
        listener. Refused for a task that would lose its result, a callback or asset events by it. Default: ``False``.
    """

    template_fields: Sequence[str] = ("organization_id", "tallyfy_conn_id")
    ui_color = "#e3f4ea"

    def __init__(
        self,
        *,
        missing: str = "fail",
        max_poll_failures: int | None = 100,
        max_poke_interval: timedelta | float | None = None,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("timeout") == float("inf"):
            kwargs["timeout"] = LONGEST_WAIT  # Airflow makes a timedelta of it, and cannot of infinity
        super().__init__(**kwargs)
        if max_poke_interval is not None:
            longest = checked_seconds(max_poke_interval, "max_poke_interval", least=-LONGEST_WAIT.total_seconds())
            self.exponential_backoff = longest > self.poke_interval
            self.max_wait = timedelta(seconds=longest)
        self.missing = missing
        self.max_poll_failures = max_poll_failures
        self.organization_id = organization_id
        self.tallyfy_conn_id = tallyfy_conn_id
        self.deferrable = deferrable
        self.end_from_trigger = end_from_trigger
        _ = self._ends_in_triggerer  # refuses while the DAG is parsed
        self._wait_under_way: Patience | None = None

    @cached_property
    def hook(self) -> TallyfyHook:
        """The hook, made when a task runs: DAG files load no HTTP library. Its connection has been read."""
        from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

        hook = TallyfyHook(self.tallyfy_conn_id, self.organization_id)
        read_connection(hook, self._patience, self.tell)
        return hook

    @abstractmethod
    def announce(self, context: Context) -> None:
        """
        Check the arguments and push the XComs that lead to what is waited for.

        :param context: of the running task.
        :raises TallyfyValidationError: if an argument is not usable.
        """

    @abstractmethod
    def make_look(self) -> Looking:
        """Make what looks."""

    @abstractmethod
    def make_trigger(self, **settings: Any) -> TallyfyWaitTrigger:
        """
        Make the trigger that goes on with the wait.

        :param settings: arguments that all triggers take.
        """

    @property
    @abstractmethod
    def goal(self) -> str:
        """What is waited for, in words."""

    def execute(self, context: Context) -> Any:
        """
        Wait, or hand the wait to the triggerer if the first look does not end it.

        :param context: of the running task.
        """
        self._wait_under_way = patience = self._patience
        _ = self._ends_in_triggerer  # refuses before anything is sent
        with self.hook:
            self.announce(context)
            if not self.deferrable:
                return super().execute(context)
            with self._soft_failures():
                first_look = self.poke(context)
        return first_look.xcom_value if first_look else self._defer(patience)

    def poke(self, context: Context) -> PokeReturnValue:
        """
        Look once.

        :param context: of the running task.
        :raises AirflowFailException: if the wait ends badly.
        :raises TallyfyError: if a run is missing, or cannot be looked at any longer.
        """
        is_last = self._is_time_up
        ending = self.look(is_last=is_last)
        if ending is None and not is_last and self._is_time_up:
            ending = self.look(is_last=True)
        if ending is None:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._conclude(ending))

    def execute_complete(self, context: Context, event: Any) -> Any:
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
                    self._patience.end(self.goal)
                raise

    @cached_property
    def look(self) -> Any:
        """What looks, and remembers between two looks."""
        return self.make_look()

    def _get_next_poke_interval(self, started_at: Any, run_duration: Callable[[], float], poke_count: int) -> float:
        """Leave Tallyfy alone for as long as it wants, though not beyond the end of the wait."""
        usual: float = super()._get_next_poke_interval(started_at, run_duration, poke_count)
        pause: float = self.look.pause
        return max(usual, min(pause, self.timeout - run_duration()))

    @property
    def tolerance(self) -> int | None:
        """How many looks in a row may fail."""
        return None if self.silent_fail else self.max_poll_failures

    @property
    def tell(self) -> Callable[[str], None]:
        """Where a line for the task's log goes."""
        return lambda line: self.log.info("%s", line)

    @property
    def _ends_in_triggerer(self) -> bool:
        return ends_in_triggerer(self, self.end_from_trigger)

    @property
    def _is_time_up(self) -> bool:
        return self._wait_under_way is not None and self._wait_under_way.is_over

    @property
    def _patience(self) -> Patience:
        return Patience(self.timeout, self.execution_timeout)

    def _conclude(self, ending: Ending) -> Any:
        return conclude(ending, self.goal, self._patience)

    def trigger_settings(self, deadline: float | None) -> dict[str, Any]:
        """
        Give the arguments that all triggers take.

        :param deadline: when the wait ends, in seconds since the epoch.
        """
        from airflow_provider_tallyfy.waits.watcher.subscriptions import SHORTEST_INTERVAL

        longest_interval = self.max_wait.total_seconds() if self.max_wait else self.timeout
        return {
            "organization_id": self.organization_id,
            "tallyfy_conn_id": self.tallyfy_conn_id,
            "poll_interval": self.poke_interval or SHORTEST_INTERVAL,  # Airflow lets a sensor look without a pause
            "max_poll_interval": (longest_interval or None) if self.exponential_backoff else None,
            "deadline": deadline,
            "max_poll_failures": self.tolerance,
            "end_task": self._ends_in_triggerer,
        }

    def _defer(self, patience: Patience) -> NoReturn:
        trigger = self.make_trigger(**self.trigger_settings(patience.deadline))
        self.defer(trigger=trigger, method_name="execute_complete", timeout=patience.backstop)

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


class TallyfyRunSensor(TallyfyWaitSensor):
    """
    Base of the sensors about one run.

    :param run_id: the run (templated).
    :param failure_status: statuses of the run that fail the task at once (templated): one, or a list, which may be text
        as a template renders it.
    """

    template_fields: Sequence[str] = ("run_id", "failure_status", *TallyfyWaitSensor.template_fields)
    operator_extra_links = (TallyfyRunLink(),)

    def __init__(self, *, run_id: str, failure_status: Any = ("archived",), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.failure_status = failure_status

    @cached_property
    @abstractmethod
    def wait(self) -> Wait:
        """What is waited for, checked."""

    def announce(self, context: Context) -> None:
        """Push the XComs that lead to the run."""
        push_run(context, self.wait.run_id, self.hook.run_url(self.wait.run_id))

    def make_look(self) -> Look:
        """Make what looks at the run."""
        return Look(self.hook, self.wait, self.tolerance, self.tell)
