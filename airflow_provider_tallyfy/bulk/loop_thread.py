"""The thread in which a bulk job's event loop runs, and its supervision from the task's own thread."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.api.call import T
from airflow_provider_tallyfy.bulk.executor import Job
from airflow_provider_tallyfy.bulk.results import Outcome

if TYPE_CHECKING:
    from airflow_provider_tallyfy.connection import TallyfySettings

_TICK = 0.2
# Airflow >= 3 kills a task's process five seconds after it asked it to end.
GRACE_SECONDS = 3.0


class Crew:
    """
    An asynchronous hook on an event loop in a thread of its own.

    Signals reach the main thread only. There Airflow turns them into exceptions at any line of code, which no event
    loop survives in good order; so the main thread does nothing but wait, and write down what it is told.

    :param settings: the connection, read where Airflow may be asked for it.
    """

    def __init__(self, settings: TallyfySettings) -> None:
        from airflow_provider_tallyfy.hooks.rate_limit import AdaptiveRateLimiter
        from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

        self.hook = TallyfyAsyncHook(settings, AdaptiveRateLimiter())
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._over = asyncio.Event()
        work = contextvars.copy_context().run
        self._thread = threading.Thread(target=work, args=(self._run_loop,), name="tallyfy-bulk")

    def __enter__(self) -> Crew:
        """
        Start the thread.

        :raises OSError: if no event loop can be had, for want of open files for example.
        """
        self._thread.start()
        try:
            self._loop.result()
        except BaseException:
            self.__exit__()  # whatever came in between, the thread must not outlive it
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the hook and end the thread, with all that is left on its loop."""
        self._loop.result().call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _run_loop(self) -> None:
        work = self._live()
        try:
            asyncio.run(work)
        except BaseException as error:
            work.close()
            if self._loop.done():
                raise
            self._loop.set_exception(error)  # the loop never began, and the main thread waits for it

    async def _live(self) -> None:
        self._loop.set_result(asyncio.get_running_loop())
        async with self.hook:
            await self._over.wait()

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop.result())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """
        Run a coroutine to its end; it is cancelled if the waiting for it is interrupted.

        :param work: the coroutine.
        """
        future = self._submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def carry_out(self, job: Job[Any], take: Callable[[Outcome], None], tick: Callable[[], None]) -> None:
        """
        Run a job to its end, whatever that is.

        If anything is raised here meanwhile, as signals and timeouts are, the job is brought to its end first.

        :param job: the job.
        :param take: is given each outcome as it comes.
        :param tick: is called several times a second.
        """
        future = self._submit(job.run())
        try:
            _attend(job, future, take, tick)
        except BaseException as interruption:
            job.kill(f"the task was ended by {type(interruption).__name__}")
            _attend(job, future, take, tick)
            raise


def _attend(job: Job[Any], future: Future[None], take: Callable[[Outcome], None], tick: Callable[[], None]) -> None:
    """Hand on outcomes to the last. Once the job is killed, what is under way has a moment before it is cancelled."""
    deadline = math.inf
    has_ended = False  # what is known before the first request is written down without waiting for more
    while True:
        while not job.outcomes.empty():
            take(job.outcomes.get())
        tick()
        if has_ended:
            return
        if job.is_killed:
            deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
        if time.monotonic() > deadline:
            future.cancel()
        has_ended = job.ended.wait(_TICK)
