"""What the triggers have in common: one way into Airflow's database, and one wait."""

from __future__ import annotations

import asyncio
import inspect
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyResponseError
from airflow_provider_tallyfy.connection_extras import DEFAULT_TIMEOUT
from airflow_provider_tallyfy.waits.goals import Wait
from airflow_provider_tallyfy.waits.probes import Key, Observation
from airflow_provider_tallyfy.waits.progress import WaitProgress
from airflow_provider_tallyfy.waits.results import Outcome, WaitResult
from airflow_provider_tallyfy.waits.watcher import Subscription, Watcher, watching

#: Where DAG authors, and Airflow's database, find the triggers.
PUBLIC_MODULE = "airflow_provider_tallyfy.triggers.tallyfy"

# A pause may begin with any answer, and nothing announces it.
_RECONSIDER = 0.5
# Airflow <= 3.3.2 fails a task whose deferral ends before the scheduler has read that its worker ended.
_EARLIEST_EVENT = 5.0


def serialized(trigger: BaseTrigger) -> tuple[str, dict[str, Any]]:
    """Give the class path and the arguments of a trigger that keeps each under its name."""
    kind = type(trigger)
    return f"{kind.__module__}.{kind.__qualname__}", {
        name: getattr(trigger, name) for name in inspect.signature(kind).parameters
    }


@dataclass(kw_only=True, eq=False, repr=False)
class TallyfyWaitTrigger(BaseTrigger):
    """
    Base of the triggers that wait.

    Everything a trigger needs is in its arguments, which Airflow stores as they are: ids and times, never a token. The
    deadline is a moment, not a duration, so a restarted triggerer keeps it.
    """

    organization_id: str | None
    tallyfy_conn_id: str
    poll_interval: float
    max_poll_interval: float | None = None
    deadline: float | None = None
    max_poll_failures: int | None = None
    end_task: bool = False

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, for the database."""
        return serialized(self)

    @abstractmethod
    def _make_wait(self) -> Wait:
        """
        Check the arguments and say what is waited for.

        :raises TallyfyValidationError: if one of them is invalid.
        """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """
        Wait, then fire one event: the result of the wait, or the end of the task.

        The event comes five seconds after the beginning at the earliest, when Airflow can take it.
        """
        loop = asyncio.get_running_loop()
        # dag.test() numbers no triggers; where no worker deferred the task there is no deadline.
        follows_a_worker = self.trigger_id is not None and self.deadline is not None
        earliest = loop.time() + (_EARLIEST_EVENT if follows_a_worker else 0.0)
        result = await self._result()
        self._log_line(result.message)
        await asyncio.sleep(earliest - loop.time())
        if self.end_task and result.outcome is Outcome.REACHED:
            from airflow.triggers.base import TaskSuccessEvent

            end = TaskSuccessEvent()
            end.payload = result.to_event()  # dag.test() ends no task from a trigger: it resumes it with this
            yield end
        else:
            yield TriggerEvent(result.to_event())

    def _log_line(self, line: str) -> None:
        self.log.info("%s", line)

    async def _result(self) -> WaitResult:
        left = self._seconds_left()
        limit = asyncio.timeout(None if left is None else max(left, DEFAULT_TIMEOUT))  # it may be over already
        goal = type(self).__name__
        try:
            wait = self._make_wait()
            goal = wait.text
            async with limit, watching(self.tallyfy_conn_id, self.organization_id, self._log_line) as watcher:
                limit.reschedule(None)  # from here on the deadline is the time of a last look
                return await self._watch(watcher, wait)
        except TallyfyError as error:
            return WaitResult.of_error(error)
        except Exception as defect:
            if limit.expired():
                return WaitResult.timed_out(goal)
            self.log.exception("The wait for %s broke off.", goal)
            return WaitResult(
                Outcome.ERROR,
                f"The wait for {goal} broke off: {type(defect).__name__}.\nThe triggerer's log has details.",
                error=TallyfyResponseError.__name__,
            )

    async def _watch(self, watcher: Watcher, wait: Wait) -> WaitResult:
        progress = WaitProgress(
            wait,
            watcher.organization_id,
            watcher.run_url,
            self.max_poll_failures,
            self._log_line,
            newer_than=getattr(self, "newer_than", None),
        )
        schedule = (self.poll_interval, self.max_poll_interval, progress.accept)
        with watcher.subscribe(progress.probes, *schedule) as subscription:
            try:
                async with asyncio.timeout(self._seconds_left()):
                    while True:
                        subscription.wants_all = progress.is_name_open
                        await subscription.updates()
                        result = progress.result()
                        if result is None and progress.may_be_misspelt:
                            result = await watcher.ask(progress.check_name(asyncio.get_running_loop().time()))
                        if result is not None:
                            return result
                        watcher.leave(subscription, progress.done)
            except TimeoutError:
                pass
            # The deadline may have passed while no triggerer ran: end with what is there now.
            until = asyncio.get_running_loop().time() + watcher.timeout
            if watcher.paused_until >= until:
                result = await self._look_regardless(watcher, wait, progress)
            else:
                absent = progress.absent
                watcher.leave(subscription, {probe.key for probe in absent})
                watcher.look_now(subscription)
                with watcher.subscribe([probe.fresh() for probe in absent], *schedule) as search:
                    result = await self._look_in_turn(watcher, [subscription, search], progress, until)
            return result or WaitResult.timed_out(wait.text)

    async def _look_regardless(self, watcher: Watcher, wait: Wait, progress: WaitProgress) -> WaitResult | None:
        """Look although Tallyfy asked for a pause."""
        try:
            async with asyncio.timeout(watcher.timeout):
                await watcher.ask(progress.read(is_last=True))
        except (TallyfyError, TimeoutError) as error:
            self._log_line(f"The last look for {wait.text} failed.\n{error}")
            return None
        return progress.result()

    async def _look_in_turn(
        self, watcher: Watcher, subscriptions: list[Subscription], progress: WaitProgress, until: float
    ) -> WaitResult | None:
        for subscription in subscriptions:
            to_be_seen = {probe.key for probe in subscription.probes}
            while to_be_seen:
                updates = await _updates(watcher, subscription, until)
                if updates is None:
                    return None
                result = progress.result()
                if result is not None:
                    return result
                to_be_seen -= updates.keys()
        return None

    def _seconds_left(self) -> float | None:
        return None if self.deadline is None else max(0.0, self.deadline - time.time())


async def _updates(watcher: Watcher, subscription: Subscription, until: float) -> Mapping[Key, Observation] | None:
    """Wait for updates until some moment, or until it is clear that no request will be sent before."""
    while True:
        try:
            async with asyncio.timeout(_RECONSIDER):  # an answer may still be on its way when a pause begins
                return await subscription.updates()
        except TimeoutError:
            if max(asyncio.get_running_loop().time(), watcher.paused_until) >= until:
                return None
