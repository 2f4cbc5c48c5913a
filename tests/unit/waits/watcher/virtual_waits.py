"""Waits in an event loop whose clock jumps: what each of them received, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.waits.probes import Key, Observation, RunProbe
from airflow_provider_tallyfy.waits.watcher import Subscription, Watcher
from airflow_provider_tallyfy.waits.watcher.subscriptions import Accept
from tests.virtual_time import VirtualTallyfy, in_virtual_time

INTERVAL = 60


def is_over(run: Any) -> bool:
    return run is None or run.has_status("complete")


def until(is_end: Callable[[Any], bool]) -> Accept:
    """Judge as a wait does that such a value ends."""

    def accept(key: Key, seen: Observation, may_end: bool) -> bool:
        return may_end or seen.error is not None or not is_end(seen.value)

    return accept


def update_of(tallyfy: VirtualTallyfy, run_id: str) -> Any:
    return Run.from_json(tallyfy.run(run_id)).last_updated


class Waits:
    """Some waits for runs to complete, and what each of them received and when."""

    def __init__(self, tallyfy: VirtualTallyfy, watcher: Watcher) -> None:
        self._tallyfy, self.watcher = tallyfy, watcher
        self._contexts = AsyncExitStack()
        self.received: dict[str, list[tuple[float, Any]]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, run_id: str, interval: float = INTERVAL, longest: float | None = None, name: str = "") -> None:
        exists = run_id in self._tallyfy.store.runs
        watch = RunProbe(self.watcher.organization_id, run_id, update_of(self._tallyfy, run_id) if exists else None)
        subscription = self._contexts.enter_context(self.watcher.subscribe([watch], interval, longest, until(is_over)))
        received = self.received[name or run_id] = []
        self._tasks.append(asyncio.create_task(self._listen(subscription, received)))

    async def _listen(self, subscription: Subscription, received: list[tuple[float, Any]]) -> None:
        while True:
            for seen in (await subscription.updates()).values():
                if seen.grace:
                    continue
                shown = type(seen.error).__name__ if seen.error else seen.value and seen.value.status
                received.append((now(), shown))

    def last(self, name: str) -> Any:
        return self.received[name][-1][1]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._contexts.aclose()


def now() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def waiting(tallyfy: VirtualTallyfy, run_ids: list[str]):
    watcher = await tallyfy.watcher()
    waits = Waits(tallyfy, watcher)
    for run_id in run_ids:
        waits.begin(run_id)
    try:
        yield waits
    finally:
        await waits.end()
        await watcher.close()


def virtually(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test in virtual time, with a Tallyfy of its own."""

    def run() -> None:
        async def main() -> None:
            await test(VirtualTallyfy())

        in_virtual_time(main)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
