"""Several coroutines at work on one heap of items."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from airflow_provider_tallyfy.api.call import T


async def work_through(items: Iterable[T], act: Callable[[T], Awaitable[None]], concurrency: int) -> None:
    """
    Do something with every item, several at once; the first error ends all of it.

    :param items: what to work on; the next one is taken when somebody has time for it.
    :param act: what to do with each.
    :param concurrency: how many at once.
    """
    heap = iter(items)

    async def worker() -> None:
        for item in heap:
            await act(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
