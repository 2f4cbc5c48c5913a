"""An event loop whose clock jumps to the next event, and a Tallyfy in it, so that waits of hours take no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import httpx

from airflow_provider_tallyfy.connection import TallyfySettings
from airflow_provider_tallyfy.hooks.httpx_transport import Transport, _Route
from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook
from airflow_provider_tallyfy.sandbox.app import SandboxApp
from airflow_provider_tallyfy.sandbox.state import SandboxState
from airflow_provider_tallyfy.waits.watcher import SharedConnection, Watcher


class _Jump(selectors.SelectSelector):
    """Selects without waiting, once per turn of the loop, and advances the clock by the timeout."""

    now = 0.0
    turns = 0

    def select(self, timeout: float | None = None) -> Any:
        self.turns += 1
        if timeout is None:
            raise AssertionError("nothing will ever happen any more")
        self.now += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now

    @property
    def turns(self) -> int:
        """The number of turns of the loop. Within one turn no other task runs."""
        return self._jump.turns


def in_virtual_time(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


class _InTheLoop(Transport):
    """Sends requests to an application inside the event loop."""

    def __init__(self, settings: TallyfySettings, application: httpx.ASGITransport) -> None:
        super().__init__(settings)
        self._application = application

    async def _new(self, base_url: str) -> _Route:
        return _Route(self._application, by_proxy=False)


class VirtualTallyfy(SandboxState):
    """A sandbox that answers inside the event loop, and records the moment of each request."""

    def __init__(self, behavior: str = "lenient") -> None:
        super().__init__(behavior)
        self.asked_at: list[float] = []
        self.settings: dict[str, Any] = {}
        self.connections_read = 0
        self._app = SandboxApp(self)
        self._transport = httpx.ASGITransport(self._answer)

    async def connect(self) -> TallyfyAsyncHook:
        """Stand in for the Airflow connection, as it is now."""
        self.connections_read += 1
        values = {"base_url": "http://127.0.0.1/api", "credentials": self.token} | self.settings
        hook = TallyfyAsyncHook(TallyfySettings(organization_id=self.organization_id, **values))
        hook._transport = _InTheLoop(hook.settings, self._transport)
        return hook

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked_at.append(asyncio.get_running_loop().time())
        await self._app(scope, receive, send)

    async def watcher(self) -> Watcher:
        connection = await SharedConnection(self.connect).ready()
        return Watcher(connection, connection.organization_id(None))

    def asked_between(self, start: float, end: float) -> int:
        return sum(start <= moment < end for moment in self.asked_at)

    def most_asked_within(self, seconds: float) -> int:
        return max(self.asked_between(moment, moment + seconds) for moment in self.asked_at)
