"""Coroutines keep connections for the next request, and leave none open."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine, Generator
from typing import Any

import pytest

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook
from tests.airflow_driver import eventually


class CancelledAt:
    """Runs a coroutine, and cancels its task at a given suspension."""

    def __init__(self, work: Coroutine[Any, Any, Any], suspension: int) -> None:
        self._work = work
        self._left = suspension

    async def run(self) -> Any:
        return await self

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._work.__await__()
        go_on, value = steps.send, None
        while True:
            try:
                waits_for = go_on(value)
            except StopIteration as end:
                return end.value
            self._left -= 1
            if self._left == 0:
                asyncio.current_task().cancel()
            try:
                yield waits_for
                go_on, value = steps.send, None
            except BaseException as error:  # noqa: BLE001 - as the event loop hands it on
                go_on, value = steps.throw, error


@pytest.fixture
def me(tallyfy):
    return calls.current_user(tallyfy.organization_id)


def test_a_request_that_is_cancelled_at_any_moment_leaves_no_connection_behind(tallyfy, me):
    async def ask() -> int:
        async with await TallyfyAsyncHook.connect("tallyfy_default") as hook:
            outcomes = []
            for suspension in [*range(1, 15)] * 2:
                task = asyncio.create_task(CancelledAt(hook.execute(me), suspension).run())
                outcomes += await asyncio.gather(task, return_exceptions=True)
            assert (await hook.execute(me))["email"] == tallyfy.user_email
            gc.collect()  # anyio drops what a cancelled connect had connected already, in Python 3.13 inside a cycle
            assert await asyncio.to_thread(eventually, lambda: tallyfy.open_connections <= 1)
        return sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)

    assert asyncio.run(ask()) > 10


class Line:
    """Queues requests until it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def acquire(self) -> float:
        await self.opened.wait()
        return 0.0

    def throttled(self, sent_at: float, after: float) -> bool:
        return False


def test_a_queued_request_is_sent_after_its_hook_is_closed_and_leaves_no_connection(tallyfy, me):
    async def ask() -> None:
        hook = await TallyfyAsyncHook.connect("tallyfy_default")
        hook.limiter = line = Line()
        waiting = asyncio.create_task(hook.for_organization(tallyfy.organization_id).execute(me))
        await asyncio.sleep(0)
        await hook.close()
        line.opened.set()
        assert (await waiting)["email"] == tallyfy.user_email
        assert await asyncio.to_thread(eventually, lambda: tallyfy.open_connections == 0)

    asyncio.run(ask())
