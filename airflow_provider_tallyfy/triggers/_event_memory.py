"""What an event trigger fired for, kept where a restarted triggerer finds it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from airflow_provider_tallyfy.waits.run_events import merged
from airflow_provider_tallyfy.waits.watcher import Key, Observation, Subscription

log = logging.getLogger(__name__)

# Airflow takes an event from the trigger to its database within about two seconds.
_SHIPPING = 5.0

_TRYING_AGAIN = 60.0


class EventMemory:
    """
    Keeps in the state stores of assets what was fired, each state only after its events reached Airflow's database.

    Kept earlier, a killed triggerer would lose the events that it had taken from the trigger and not handed on yet.

    :param stores: of the assets that receive the events; none before Airflow 3.3.
    :param scope: the arguments of the trigger that decide what it fires for; triggers that differ keep apart.
    """

    def __init__(self, stores: Sequence[Any], scope: Sequence[Any]) -> None:
        self._stores = stores
        self._key = f"tallyfy-run-events-{hashlib.sha256(json.dumps(scope).encode()).hexdigest()[:32]}"
        self._waiting: deque[tuple[float, dict[str, Any]]] = deque()

    async def load(self) -> dict[str, Any] | None:
        """
        Give what was fired for every asset when the last state was kept, or ``None`` if nothing was ever kept.

        Assets differ if they were not always watched together; what not all of them received is fired again. An asset
        without a state is new, and begins where the others are.
        """
        states = await asyncio.gather(*(store.aget(self._key) for store in self._stores))
        return merged(state for state in states if state is not None)

    async def save(self, state: dict[str, Any], *, fired: bool) -> None:
        """Keep what is known after a look, once the events that it ``fired``, if it did, are in Airflow's database."""
        if not self._stores:
            return
        if fired:
            # Airflow answers in order: after this, what was under way is over, and the next exchange takes the events.
            # What it answers does not matter, and neither does an error; `_is_kept` tells of those.
            with suppress(Exception):
                await self._stores[0].aget(self._key)
        now = asyncio.get_running_loop().time()
        self._waiting.append((now + _SHIPPING if fired or self._waiting else now, state))
        await self._keep()

    async def updates(self, subscription: Subscription) -> dict[Key, Observation]:
        """Wait for updates, and meanwhile keep what is due."""
        while self._waiting:
            try:
                async with asyncio.timeout_at(self._waiting[0][0]):
                    return await subscription.updates()
            except TimeoutError:
                await self._keep()
        return await subscription.updates()

    async def _keep(self) -> None:
        state = None
        while self._waiting and self._waiting[0][0] <= asyncio.get_running_loop().time():
            _, state = self._waiting.popleft()
        if state is None:
            return
        is_kept = [await self._is_kept(store, state) for store in self._stores]
        if not all(is_kept) and not self._waiting:
            self._waiting.append((asyncio.get_running_loop().time() + _TRYING_AGAIN, state))

    async def _is_kept(self, store: Any, state: dict[str, Any]) -> bool:
        try:
            await store.aset(self._key, state)
        except Exception as error:  # noqa: BLE001 - a trigger that fails is begun again, and would fire the same again
            log.error(
                "Airflow does not keep which Tallyfy events were fired. %s\n"
                "Trying again in %.0f s at the latest. A restart before that would repeat them.",
                error,
                _TRYING_AGAIN,
            )
            return False
        return True
