"""The thread in which a bulk job's event loop runs."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.api.call import T
from airflow_provider_tallyfy.hooks.rate_limit import AdaptiveRateLimiter
from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook


class LoopThread:
    """
    An asynchronous hook on an event loop in a thread of its own.

    Signals reach the main thread only. Airflow turns them into exceptions at any line of code, which no event loop
    survives in good order. So the main thread only waits, and writes down the outcomes.

    :param hook: the task's, with whose connection it works.
    """

    def __init__(self, hook: TallyfyHook) -> None:
        read_settings = partial(asyncio.to_thread, hook.read_settings)
        self.hook = TallyfyAsyncHook(hook.settings, AdaptiveRateLimiter(), read_settings)
        self._loop: Future[asyncio.AbstractEventLoop] = Future()
        self._over = asyncio.Event()
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run_loop,), name="tallyfy-bulk")

    def __enter__(self) -> LoopThread:
        """Start the thread; ``OSError`` if no event loop can be started, for want of open files for example."""
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
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop.result())

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
