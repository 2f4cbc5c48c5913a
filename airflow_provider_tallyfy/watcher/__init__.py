"""
Waiting for many things at the price of one: the triggers of an event loop share a poller per organization.

It works alike in every Airflow version and under ``dag.test()``: all triggers of a triggerer process share one event
loop, and so one registry of watchers. Several triggerers have a watcher each.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from airflow_provider_tallyfy.watcher.watched import Key, Sight, Subscription
from airflow_provider_tallyfy.watcher.watcher import Watcher

__all__ = ["Key", "Sight", "Subscription", "Watcher", "look_now", "watching"]


@dataclass
class _Shared:
    watcher: Watcher
    users: int = 0


_Connection = tuple[str, str | None]
_SHARED: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Connection, _Shared]] = WeakKeyDictionary()


@asynccontextmanager
async def watching(tallyfy_conn_id: str, organization_id: str | None = None) -> AsyncIterator[Watcher]:
    """
    Use the event loop's one watcher for a connection and an organization; the first user starts it, the last ends it.

    :param tallyfy_conn_id: the Airflow connection.
    :param organization_id: the organization; by default the connection's.
    :raises TallyfyConfigurationError: if the connection is missing, incomplete or malformed.
    """
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

    loop, key = asyncio.get_running_loop(), (tallyfy_conn_id, organization_id)
    watchers = _SHARED.setdefault(loop, {})
    if key not in watchers:
        watchers[key] = _Shared(Watcher(lambda: TallyfyAsyncHook.connect(tallyfy_conn_id), organization_id))
    shared = watchers[key]
    shared.users += 1
    try:
        yield await shared.watcher.connected()
    finally:
        shared.users -= 1
        if not shared.users:
            del watchers[key]
            if not watchers:
                _SHARED.pop(loop, None)
            await shared.watcher.close()


def look_now(run_id: str) -> None:
    """
    Take a hint that a run changed, from a webhook say: the watchers of this event loop look at it now.

    :param run_id: the run.
    """
    for shared in _SHARED.get(asyncio.get_running_loop(), {}).values():
        shared.watcher.run_changed(run_id)
