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
from airflow_provider_tallyfy.bulk.executor import BulkExecutor
from airflow_provider_tallyfy.bulk.outcomes import Outcome
from airflow_provider_tallyfy.hooks.rate_limit import AdaptiveRateLimiter
from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

if TYPE_CHECKING:
    from airflow_provider_tallyfy.connection import TallyfySettings

_TICK = 0.2
# Airflow >= 3 kills a task's process five seconds after it asked it to end.
GRACE_SECONDS = 3.0


class LoopThread:
    """
    An asynchronous hook on an event loop in a thread of its own.

    Signals reach the main thread only. Airflow turns them into exceptions at any line of code, which no event loop
    survives in good order. So the main thread only waits, and writes down the outcomes.
    """

    def __init__(self, settings: TallyfySettings) -> None:
        self.hook = TallyfyAsyncHook(settings, AdaptiveRateLimiter())
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._over = asyncio.Event()
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run_loop,), name="tallyfy-bulk")

    def __enter__(self) -> LoopThread:
        """
        Start the thread.

        :raises OSError: if no event loop can be started, for want of open files for example.
        """
        self._thread.start()
        try:
            self._loop.result()
        except BaseException:
            self.__exit__()  # the thread must not outlive an interruption
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the hook and end the thread, with all that is left on its loop."""
        self._loop.result().call_soon_threadsafe(self._over.set)
        self._thread.join()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; cancel it if the wait for it is interrupted."""
        future = self._submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def supervise(
        self, executor: BulkExecutor[Any], on_outcome: Callable[[Outcome], None], on_tick: Callable[[], None]
    ) -> None:
        """
        Run an executor to its end, whatever is raised here meanwhile, as signals and timeouts are.

        :param on_outcome: is given each outcome as it comes.
        :param on_tick: is called several times a second.
        """
        future = self._submit(executor.run())
        try:
            _attend(executor, future, on_outcome, on_tick)
        except BaseException as interruption:
            executor.kill(f"the task was ended by {type(interruption).__name__}")
            _attend(executor, future, on_outcome, on_tick)
            raise

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


def _attend(
    executor: BulkExecutor[Any],
    future: Future[None],
    on_outcome: Callable[[Outcome], None],
    on_tick: Callable[[], None],
) -> None:
    """Pass on outcomes to the last. Once the job is killed, requests on their way have a moment before they end."""
    deadline = math.inf
    has_ended = False  # outcomes from before the first request are passed on without a wait for more
    while True:
        while not executor.outcomes.empty():
            on_outcome(executor.outcomes.get())
        on_tick()
        if has_ended:
            return
        if executor.is_killed:
            deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
        if time.monotonic() > deadline:
            future.cancel()
        has_ended = executor.ended.wait(_TICK)
