"""Both drivers behind one interface, so that one table of cases tests both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID
from airflow_provider_tallyfy.hooks import driver, tallyfy, tallyfy_async
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook


class SyncClient:
    """Runs calls and flows over ``requests``."""

    def __init__(self) -> None:
        self.hook = TallyfyHook(DEFAULT_CONN_ID)

    def execute(self, work: Any, **options: Any) -> Any:
        return self.hook.execute(work, **options)

    def close(self) -> None:
        self.hook.close()


class AsyncClient:
    """Runs calls and flows over ``httpx``, in an event loop of its own."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._hook: TallyfyAsyncHook | None = None

    def execute(self, work: Any, **options: Any) -> Any:
        return self._runner.run(self._run(work, **options))

    async def _run(self, work: Any, **options: Any) -> Any:
        if self._hook is None:
            self._hook = await TallyfyAsyncHook.connect(DEFAULT_CONN_ID)
        return await self._hook.execute(work, **options)

    def close(self) -> None:
        if self._hook is not None:
            self._runner.run(self._hook.close())
            self._hook = None
        self._runner.close()


CLIENTS: dict[str, type[SyncClient | AsyncClient]] = {"requests": SyncClient, "httpx": AsyncClient}


class Naps(list[float]):
    """The pauses of a client. They take no time, but count against its retry budget."""

    #: Called with the length of each pause.
    listener: Callable[[float], None] | None = None

    def install(self, monkeypatch: Any) -> Naps:
        monkeypatch.setattr(tallyfy, "time", _Replaced(time, sleep=self._sleep))
        monkeypatch.setattr(tallyfy_async, "asyncio", _Replaced(asyncio, sleep=self._sleep_async))
        monotonic = time.monotonic
        monkeypatch.setattr(driver, "time", _Replaced(time, monotonic=lambda: monotonic() + sum(self)))
        return self

    def _sleep(self, seconds: float) -> None:
        self.append(seconds)
        if self.listener is not None:
            self.listener(seconds)

    async def _sleep_async(self, seconds: float) -> None:
        self._sleep(seconds)


class _Replaced:
    """A module of which one name is replaced."""

    def __init__(self, module: Any, **names: Any) -> None:
        self._module = module
        vars(self).update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)
