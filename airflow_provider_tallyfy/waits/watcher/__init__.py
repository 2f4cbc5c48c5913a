"""
Waiting for many things at the price of one: the triggers of an event loop share a poller per organization.

It works alike in every Airflow version and under ``dag.test()``: all triggers of a triggerer process share one event
loop, and so one registry of watchers. Several triggerers have a watcher each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from airflow_provider_tallyfy.waits.probes import Key, Observation
from airflow_provider_tallyfy.waits.watcher.poller import Watcher
from airflow_provider_tallyfy.waits.watcher.shared_connection import SharedConnection
from airflow_provider_tallyfy.waits.watcher.subscriptions import Subscription

log = logging.getLogger(__name__)

__all__ = ["Key", "Observation", "SharedConnection", "Subscription", "Watcher", "look_now", "watching"]


@dataclass
class _Shared:
    """A connection with the watchers that share it, by organization, and how many triggers use it."""

    connection: SharedConnection
    watchers: dict[str, Watcher] = field(default_factory=dict)
    users: int = 0


_SHARED: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


@asynccontextmanager
async def watching(
    tallyfy_conn_id: str, organization_id: str | None = None, notify: Callable[[str], None] = log.debug
) -> AsyncIterator[Watcher]:
    """
    Use the event loop's one watcher for a connection and an organization; the first user starts it, the last ends it.

    :param notify: where a line goes if the connection cannot be read at once; the triggerer's log has one anyway.
    """
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

    loop = asyncio.get_running_loop()
    connections = _SHARED.setdefault(loop, {})
    if tallyfy_conn_id not in connections:
        connections[tallyfy_conn_id] = _Shared(SharedConnection(lambda: TallyfyAsyncHook.connect(tallyfy_conn_id)))
    shared = connections[tallyfy_conn_id]
    shared.users += 1
    try:
        await shared.connection.ready(notify)
        organization_id = shared.connection.organization_id(organization_id)
        if organization_id not in shared.watchers:
            shared.watchers[organization_id] = Watcher(shared.connection, organization_id)
        watcher = shared.watchers[organization_id]
        watcher.users += 1
        try:
            yield watcher
        finally:
            watcher.users -= 1
            if not watcher.users:
                del shared.watchers[organization_id]
                await watcher.close()
    finally:
        shared.users -= 1
        if not shared.users:
            del connections[tallyfy_conn_id]
            if not connections:
                _SHARED.pop(loop, None)
            await shared.connection.close()


def look_now(run_id: str) -> None:
    """Take a hint that a run changed, from a webhook say: the watchers of this event loop look at it now."""
    for shared in _SHARED.get(asyncio.get_running_loop(), {}).values():
        for watcher in shared.watchers.values():
            watcher.run_changed(run_id)
