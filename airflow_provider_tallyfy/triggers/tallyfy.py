"""Triggers: waits that cost no worker while people work."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.waits import Ending, Outcome, RunWait, RunWatch, WaitLog

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

_SHORTEST_INTERVAL = 0.5
_JITTER = 0.1


class TallyfyRunStatusTrigger(BaseTrigger):
    """
    Waits until a run reaches a status.

    Everything it needs is in its arguments, which Airflow stores as they are: ids and times, never a token. The
    deadline is a moment, not a duration, so a restarted triggerer keeps it.

    :param run_id: the run.
    :param target_status: statuses that end the wait well.
    :param failure_status: statuses that end it badly.
    :param missing: ``fail`` or ``wait``, for a run that does not exist.
    :param organization_id: the organization; by default the connection's.
    :param tallyfy_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks at the run; a tenth of it is jitter.
    :param max_poll_interval: doubles the interval after each look up to this many seconds; ``None`` keeps it.
    :param deadline: when to stop waiting, in seconds since the epoch; ``None`` for never.
    :param max_poll_failures: how many looks in a row may fail; ``None`` for any number.
    :param end_task: on success end the task right here, without a worker and so without a result.
    """

    def __init__(
        self,
        *,
        run_id: str,
        target_status: list[str],
        failure_status: list[str],
        missing: str = "fail",
        organization_id: str | None,
        tallyfy_conn_id: str,
        poll_interval: float,
        max_poll_interval: float | None = None,
        deadline: float | None = None,
        max_poll_failures: int | None = None,
        end_task: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.run_id = run_id
        self.target_status = target_status
        self.failure_status = failure_status
        self.missing = missing
        self.organization_id = organization_id
        self.tallyfy_conn_id = tallyfy_conn_id
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.deadline = deadline
        self.max_poll_failures = max_poll_failures
        self.end_task = end_task

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, for the database."""
        names = (
            "run_id",
            "target_status",
            "failure_status",
            "missing",
            "organization_id",
            "tallyfy_conn_id",
            "poll_interval",
            "max_poll_interval",
            "deadline",
            "max_poll_failures",
            "end_task",
        )
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then fire one event: an :class:`Ending`, or the end of the task."""
        ending = await self._wait()
        self.log.info("%s", ending.message)
        if self.end_task and ending.outcome is Outcome.REACHED:
            from airflow.triggers.base import TaskSuccessEvent

            yield TaskSuccessEvent()
        else:
            yield TriggerEvent(ending.to_event())

    async def _wait(self) -> Ending:
        from airflow_provider_tallyfy.hooks.tallyfy_async import shared_hook

        try:
            wait = RunWait.checked(self.run_id, self.target_status, self.failure_status, self.missing)
            async with shared_hook(self.tallyfy_conn_id) as hook:
                organization_id = hook.organization_id(self.organization_id)
                url = hook.settings.run_url(organization_id, wait.run_id)
                story = WaitLog(wait, url, self.max_poll_failures, tell=lambda line: self.log.info("%s", line))
                return await self._poll(hook, RunWatch(organization_id, wait.run_id), story)
        except TallyfyError as error:
            return Ending(Outcome.ERROR, str(error), error=type(error).__name__)

    async def _poll(self, hook: TallyfyAsyncHook, watch: RunWatch, story: WaitLog) -> Ending:
        interval = max(self.poll_interval, _SHORTEST_INTERVAL)
        while True:
            pause = interval * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - jitter, not cryptography
            try:
                budget = min(hook.settings.retry_budget, self._seconds_left())
                ending = story.saw(await hook.run(watch.look(), retry_budget=budget))
            except TallyfyError as error:
                ending = story.stumbled(error)
                pause = max(pause, error.retry_after or 0.0)
            if ending is not None:
                return ending
            if self._seconds_left() <= 0:
                return Ending(Outcome.TIMED_OUT, f"The wait for run {self.run_id} timed out.")
            await asyncio.sleep(min(pause, self._seconds_left()))
            interval = min(interval * 2, max(self.max_poll_interval or 0.0, interval))

    def _seconds_left(self) -> float:
        return float("inf") if self.deadline is None else max(0.0, self.deadline - time.time())
