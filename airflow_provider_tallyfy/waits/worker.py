"""How tasks wait for a run: shared by the sensor and by operators that wait for what they launched."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowTaskTimeout,
)

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError, TallyfyError, TallyfyTransportError
from airflow_provider_tallyfy.api.inputs.checks import checked_flag
from airflow_provider_tallyfy.api.inputs.facts import Fields
from airflow_provider_tallyfy.compat import TRIGGERS_END_TASKS
from airflow_provider_tallyfy.connection_extras import DEFAULT_RETRY_BUDGET
from airflow_provider_tallyfy.waits.details import DetailWait
from airflow_provider_tallyfy.waits.goals import Ending, Outcome, RunWait, Wait, WaitLog
from airflow_provider_tallyfy.waits.many import RunsLog, RunsWait, look_at_runs
from airflow_provider_tallyfy.waits.name_check import NameCheck

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
    from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunStatusTrigger

# The trigger keeps the deadline; Airflow's own timeout only ends a wait whose trigger never got to run.
_BACKSTOP = timedelta(minutes=1)

#: What waiting for ever comes to: Airflow stores the moment of the end, which on MySQL is not later than 2038.
LONGEST_WAIT = timedelta(days=3650)


class Patience:
    """
    How long a task waits from now on: the shorter of its own timeout and its ``execution_timeout``.

    Airflow 3 does not enforce ``execution_timeout`` on a deferred task, so both are kept here.

    :param timeout: seconds, the wait's own limit; more than :data:`LONGEST_WAIT` counts as that.
    :param execution_timeout: the task's.
    """

    def __init__(self, timeout: float, execution_timeout: timedelta | None) -> None:
        own = min(timeout, LONGEST_WAIT.total_seconds())
        self.seconds = min(own, execution_timeout.total_seconds() if execution_timeout else own)
        self._is_own = self.seconds == own
        #: When it ends, in seconds since the epoch.
        self.deadline = time.time() + self.seconds

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return time.time() >= self.deadline

    @property
    def backstop(self) -> timedelta:
        """What to pass to ``defer(timeout=...)``."""
        return timedelta(seconds=max(0.0, self.deadline - time.time())) + _BACKSTOP

    def end(self, what: str) -> NoReturn:
        """
        Raise what Airflow raises for that limit.

        :param what: what was waited for.
        """
        message = f"{what} did not happen within {self.seconds:.0f} s. The run itself goes on."
        raise AirflowSensorTimeout(message) if self._is_own else AirflowTaskTimeout(message)


def read_connection(hook: TallyfyHook, patience: Patience, tell: Callable[[str], None]) -> None:
    """
    Read the Airflow connection, again if a secrets backend or Airflow's API server is down for a moment.

    :param hook: whose connection it is.
    :param patience: of the task; it waits no longer than that, and two minutes at most.
    :param tell: where a line for the task's log goes.
    :raises TallyfyConfigurationError: at once, if the connection is missing, incomplete or malformed.
    :raises TallyfyTransportError: if it cannot be read in time.
    """
    began, tries = time.monotonic(), 0
    allowed = min(patience.seconds, DEFAULT_RETRY_BUDGET)
    while True:
        try:
            _ = hook.settings
        except (TallyfyError, AirflowException):
            raise
        except Exception as error:
            tries += 1
            if time.monotonic() - began + 2.0**tries > allowed:
                raise TallyfyTransportError(
                    f"The Airflow connection {hook.tallyfy_conn_id!r} could not be read: {type(error).__name__}."
                ) from error
            if tries == 1:
                tell(f"The Airflow connection cannot be read at the moment: {type(error).__name__}. Trying again.")
            time.sleep(2.0**tries)
        else:
            return


class Looking(ABC):
    """
    Base of what looks from a worker, and judges.

    A look is one attempt: one that fails is borne, and the next look repeats it, though not before Tallyfy wants to be
    asked again.

    :param hook: talks to Tallyfy.
    """

    def __init__(self, hook: TallyfyHook) -> None:
        self._hook = hook
        self._resumes_at = float("-inf")

    @property
    def pause(self) -> float:
        """Seconds for which Tallyfy wants to be left alone."""
        return max(0.0, self._resumes_at - time.monotonic())

    def __call__(self, *, is_last: bool = False) -> Ending | None:
        """
        Look once, unless Tallyfy asked for a pause; the last look happens all the same.

        :param is_last: whether no look comes after it.
        :return: how the wait ends, or ``None`` if it goes on.
        """
        return None if self.pause and not is_last else self._look(is_last)

    @abstractmethod
    def _look(self, is_last: bool) -> Ending | None: ...

    def _heed(self, error: TallyfyError) -> None:
        self._resumes_at = time.monotonic() + (error.retry_after or 0.0)


class Look(Looking):
    """
    Looks at one run.

    :param hook: talks to Tallyfy.
    :param wait: what the wait is for.
    :param max_poll_failures: how many looks in a row may fail; ``None`` for any number.
    :param tell: where a line for the task's log goes.
    :param first_look_at: when the task looked first, in seconds since the epoch, if that was in another process.
    """

    def __init__(
        self,
        hook: TallyfyHook,
        wait: Wait,
        max_poll_failures: int | None,
        tell: Callable[[str], None],
        first_look_at: float | None = None,
    ) -> None:
        super().__init__(hook)
        self._names = NameCheck(wait, first_look_at) if isinstance(wait, DetailWait) else None
        self._watch = wait.watch(hook.organization_id)
        self._is_absent = False
        self._log = WaitLog(wait, hook.run_url(wait.run_id), max_poll_failures, tell)

    @property
    def newer_than(self) -> str | None:
        """``last_updated`` of the run as it was seen last, for the trigger that goes on looking."""
        moment = self._watch.newer_than
        return None if moment is None else moment.isoformat()

    def _look(self, is_last: bool) -> Ending | None:
        watch = self._watch.anew() if is_last and self._is_absent else self._watch
        try:
            sight = self._hook.execute(watch.look(), retry_budget=0)
            self._is_absent = sight is None
            ending = self._log.saw(sight)
            if ending is None and self._names is not None:
                names = self._names.look(self._hook.organization_id, sight, time.time())
                ending = self._hook.execute(names, retry_budget=0)
            return ending
        except TallyfyError as error:
            self._heed(error)
            return self._log.stumbled(error)


class LookAtRuns(Looking):
    """
    Looks at many runs.

    :param hook: talks to Tallyfy.
    :param wait: what the wait is for.
    :param max_poll_failures: how many looks in a row at one run may fail; ``None`` for any number.
    :param tell: where a line for the task's log goes.
    :param fields: which facts of the runs are the result.
    :param is_for_xcom: whether the result has to be small, so that long names are cut.
    """

    def __init__(
        self,
        hook: TallyfyHook,
        wait: RunsWait,
        max_poll_failures: int | None,
        tell: Callable[[str], None],
        *,
        fields: Fields,
        is_for_xcom: bool,
    ) -> None:
        super().__init__(hook)
        self._wait = wait
        self._watches = wait.watches(hook.organization_id)
        self._log = RunsLog(wait, hook.run_url, max_poll_failures, tell, fields=fields, is_for_xcom=is_for_xcom)

    @property
    def newer_than(self) -> str | None:
        """The latest ``last_updated`` of all runs, for the trigger; ``None`` if one of them could not be read."""
        moments = [watch.newer_than for run_id, watch in self._watches.items() if run_id not in self._log.absent]
        known = [moment for moment in moments if moment is not None]
        return max(known).isoformat() if known and len(known) == len(moments) else None

    def _look(self, is_last: bool) -> Ending | None:
        anew = {run_id: self._watches[run_id].anew() for run_id in self._log.absent} if is_last else {}
        looks = look_at_runs(self._hook.organization_id, self._watches | anew, self._wait.is_end, self._log)
        try:
            trouble = self._hook.execute(looks, retry_budget=0)
        except TallyfyError as error:
            return Ending(Outcome.ERROR, str(error), error=type(error).__name__)
        if trouble is not None:
            self._heed(trouble)
        return self._log.ending()

    def read_again(self, outcomes: Sequence[str]) -> list[Any]:
        """
        Read the facts of the runs when it is known how the wait for each of them ended.

        :param outcomes: how, in the order of the runs.
        :raises TallyfyError: if a run cannot be read.
        """
        trouble = self._hook.execute(
            look_at_runs(self._hook.organization_id, self._watches, self._wait.is_end, self._log)
        )
        trouble = trouble or self._log.trouble
        if trouble is not None:
            raise trouble
        return self._log.results(outcomes)


def conclude(ending: Ending, wait: str, patience: Patience) -> Any:
    """
    Turn the end of a wait into the end of a task, alike in every mode.

    :param ending: how the wait ended.
    :param wait: what was waited for.
    :param patience: how long it could take.
    :return: the wait's result, if it ended well.
    :raises AirflowFailException: if it ended badly.
    :raises TallyfyError: if the run is missing, or could not be looked at any longer.
    """
    if ending.outcome is Outcome.REACHED:
        return ending.result
    if ending.outcome is Outcome.FAILED:
        raise AirflowFailException(ending.message)
    if ending.outcome is Outcome.TIMED_OUT:
        patience.end(wait)
    raise ending.to_error()


def ending_of(event: Any) -> Ending:
    """
    Read the event of a trigger.

    :param event: what the trigger sent.
    :raises TallyfyResponseError: if this version does not know it.
    """
    return Ending.from_event(event)


def ends_in_triggerer(operator: BaseOperator, end_from_trigger: object) -> bool:
    """
    Whether the wait of a task ends in the triggerer, without another worker process.

    :param operator: the task.
    :param end_from_trigger: what its author asked for.
    :raises TallyfyConfigurationError: if the task would lose something by it; before Airflow 3.0, where the wait ends
        on a worker, as well.
    """
    if not checked_flag(end_from_trigger, "end_from_trigger"):
        return False
    lost = list(_lost_in_triggerer(operator))
    if lost:
        raise TallyfyConfigurationError(
            f"end_from_trigger=True is not possible for task {operator.task_id}: no worker would run at its end.\n"
            f"Airflow would skip {' and '.join(lost)}.\n"
            f"Remove these, or leave end_from_trigger out."
        )
    return TRIGGERS_END_TASKS


def _lost_in_triggerer(operator: BaseOperator) -> Iterator[str]:
    """Name what only a worker does at the end of a task; there, Airflow 3.3 also encodes a trigger's XComs twice."""
    if operator.do_xcom_push:
        yield "the result (set do_xcom_push=False)"
    if operator.outlets:
        yield "the asset events of outlets"
    if getattr(operator, "output_path", None):
        yield "the file at output_path"
    if operator.on_success_callback:
        yield "on_success_callback"
    if operator._post_execute_hook or _is_overridden(operator, "post_execute"):
        yield "post_execute"
    if _is_overridden(operator, "execute_complete"):
        yield f"execute_complete of {type(operator).__name__}"
    if operator.start_from_trigger:  # no worker at the beginning, either
        if operator.on_execute_callback:
            yield "on_execute_callback"
        if operator._pre_execute_hook or _is_overridden(operator, "pre_execute"):
            yield "pre_execute"


def _is_overridden(operator: BaseOperator, method: str) -> bool:
    home = getattr(type(operator), method).__module__.partition(".")[0]
    return home not in ("airflow", __name__.partition(".")[0])


def status_trigger(wait: RunWait, **settings: Any) -> TallyfyRunStatusTrigger:
    """
    Make the trigger that goes on with a wait.

    :param wait: what it is for.
    :param settings: further arguments of the trigger.
    """
    from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunStatusTrigger

    return TallyfyRunStatusTrigger(
        run_id=wait.run_id,
        target_status=list(wait.target),
        failure_status=list(wait.failure),
        missing=wait.missing.value,
        **settings,
    )
