"""Waiting on a worker: for sensors, and for operators that wait for what they launched."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.connection_extras import DEFAULT_RETRY_BUDGET
from airflow_provider_tallyfy.waits.backoff import ConnectionReads, unreadable
from airflow_provider_tallyfy.waits.deadline import Deadline
from airflow_provider_tallyfy.waits.goals import Goal, RunsGoal
from airflow_provider_tallyfy.waits.progress import WaitProgress
from airflow_provider_tallyfy.waits.results import WaitResult

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook


def read_connection(hook: TallyfyHook, deadline: Deadline, log: Callable[[str], None]) -> None:
    """
    Read the Airflow connection, again if a secrets backend or Airflow's API server is down for a moment.

    It is tried for two minutes at most, and not beyond the deadline. A connection that is missing is an error at once.
    """
    began, limit = time.monotonic(), min(deadline.seconds, DEFAULT_RETRY_BUDGET)
    reads = ConnectionReads(hook.tallyfy_conn_id, AirflowException, refusal_grace=0, limit=limit)
    while True:
        try:
            _ = hook.settings
        except Exception as error:  # noqa: BLE001 - raised again unless another read may help
            pause = reads.pause_after(error, time.monotonic() - began, random.random())  # noqa: S311 - jitter
            if reads.tries == 1:
                log(unreadable(error))
            time.sleep(pause)
        else:
            return


class Poller(WaitProgress):
    """
    Looks from a worker.

    A look is one attempt. One that fails is tolerated, and the next look repeats it, after the pause that Tallyfy asks
    for.

    :param first_look_at: when the task looked first, in seconds since the epoch, if that was in another process.
    """

    def __init__(
        self,
        hook: TallyfyHook,
        goal: Goal,
        max_poll_failures: int | None,
        log: Callable[[str], None],
        first_look_at: float | None = None,
    ) -> None:
        super().__init__(goal, hook.organization_id, hook.run_url, max_poll_failures, log, first_look_at=first_look_at)
        self._hook = hook
        self._resumes_at = float("-inf")

    @property
    def pause(self) -> float:
        """Seconds for which Tallyfy asked for no request."""
        return max(0.0, self._resumes_at - time.monotonic())

    def look(self, *, is_last: bool = False) -> WaitResult | None:
        """Look once, unless Tallyfy asked for a pause; give how the wait ends, or ``None`` if it goes on."""
        if self.pause and not is_last:
            return None
        try:
            trouble = self._hook.execute(self.read(is_last=is_last), retry_budget=0)
            if trouble is not None:
                self._resumes_at = time.monotonic() + (trouble.retry_after or 0.0)
            result = self.result()
            if result is None and self.may_be_misspelt:
                result = self._hook.execute(self.check_name(time.time()), retry_budget=0)
            return result
        except TallyfyError as error:
            return WaitResult.of_error(error)

    def read_again(self, goal: RunsGoal, outcomes: Sequence[str]) -> list[Any]:
        """Read the facts of runs of which the trigger told how the wait for each ended."""
        trouble = self._hook.execute(self.read()) or self.trouble
        if trouble is not None:
            raise trouble
        return self.facts(goal, outcomes)
