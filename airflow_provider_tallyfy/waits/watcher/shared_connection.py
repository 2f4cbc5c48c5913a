"""An Airflow connection that all waits in an event loop share."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.connection_extras import DEFAULT_CREDENTIALS_GRACE
from airflow_provider_tallyfy.waits.backoff import ConnectionReads, unreadable
from airflow_provider_tallyfy.waits.watcher.planning import Budget

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

log = logging.getLogger(__name__)

Connect = Callable[[], Awaitable["TallyfyAsyncHook"]]

_CHECK_EVERY = 30.0


class SharedConnection:
    """
    Reads an Airflow connection once, and lets all its watchers together send no more than it allows.

    It is the :class:`~airflow_provider_tallyfy.hooks.rate_limit.RateLimiter` of its hooks, so that a look of many
    requests keeps to the budget as well.

    :param connect: makes a hook from the Airflow connection as it is now.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._hooks: dict[str, TallyfyAsyncHook] = {}
        self._rests_until = float("-inf")
        #: When the connection may be read again to see whether its credentials were replaced.
        self.check_at = float("-inf")
        #: Since when the credentials are in use.
        self.used_since = float("-inf")
        self._first_trouble: asyncio.Future[str] = self._loop.create_future()
        # An empty context: the work for everybody must not log under the trigger that happens to come first.
        self._reading = self._loop.create_task(self._read(), context=contextvars.Context())

    async def ready(self, notify: Callable[[str], None] = log.debug) -> SharedConnection:
        """
        Wait until the connection is read; a caller that is cancelled cancels no other.

        :param notify: where a line goes if that takes more than one try.
        """
        first: set[asyncio.Future[Any]] = {self._reading, self._first_trouble}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not self._reading.done():
            notify(self._first_trouble.result())
        await asyncio.shield(self._reading)
        return self

    async def _read(self) -> None:
        """Read the connection, and read it again while the secrets backend or Airflow's API server is down."""
        began = self._loop.time()
        reads = ConnectionReads("", TallyfyError, refusal_grace=DEFAULT_CREDENTIALS_GRACE, limit=float("inf"))
        while True:
            try:
                hook = await self._connect()
            except Exception as error:
                chance = random.random()  # noqa: S311 - jitter, not cryptography
                pause = reads.pause_after(error, self._loop.time() - began, chance)
                if reads.tries == 1:
                    log.warning("The Airflow connection could not be read; trying again until it can.", exc_info=True)
                    self._first_trouble.set_result(unreadable(error))
                await asyncio.sleep(pause)
            else:
                self._use(hook)
                return

    def _use(self, hook: TallyfyAsyncHook) -> None:
        self._hook = hook
        self.used_since = self._loop.time()
        self._hooks.clear()
        self._budget = Budget(hook.settings.wait_requests_per_minute, self._loop.time())
        hook.limiter = self

    def organization_id(self, own: str | None) -> str:
        """Give the task's own organization, or the connection's."""
        return self._hook.organization_id(own)

    def hook(self, organization_id: str) -> TallyfyAsyncHook:
        """Give the hook for an organization; all of them share their transports."""
        if organization_id not in self._hooks:
            self._hooks[organization_id] = self._hook.for_organization(organization_id)
        return self._hooks[organization_id]

    # -- the budget -----------------------------------------------------------------------------------------

    @property
    def per_second(self) -> float:
        """How many requests a second may be sent evenly."""
        return self._budget.per_second

    @property
    def free_at(self) -> float:
        """When the next request may be sent; a moment long past if now."""
        return max(self._budget.free_at, self._rests_until)

    async def acquire(self) -> float:
        """Wait until a request may be sent, and give the moment, on the event loop's clock."""
        while (pause := self.free_at - self._loop.time()) > 0:  # noqa: ASYNC110 - the clock is what it waits for
            await asyncio.sleep(pause)
        self._budget.spend(1, self._loop.time())
        return self._loop.time()

    def throttled(self, sent_at: float, after: float) -> bool:
        """
        Send nothing for a while; give whether that is news.

        :param sent_at: what :meth:`acquire` returned for the request that Tallyfy answered with 429.
        """
        is_new = sent_at > self._rests_until
        self._rests_until = max(self._rests_until, self._loop.time() + after)
        return is_new

    # -- new credentials ------------------------------------------------------------------------------------

    async def was_changed(self) -> bool | None:
        """Read the connection again, and use it if it was changed; ``None`` if it cannot be read at the moment."""
        self.check_at = self._loop.time() + _CHECK_EVERY
        try:
            hook = await self._connect()
        except TallyfyError:
            return False  # it was deleted, or is incomplete now
        except Exception:
            log.warning(
                "The Airflow connection could not be read again; trying in %.0f s.", _CHECK_EVERY, exc_info=True
            )
            return None
        if hook.settings == self._hook.settings:
            await hook.close()
            return False
        old = self._hook
        self._use(hook)
        self.check_at = float("-inf")
        await old.close()
        return True

    async def close(self) -> None:
        """Close the hook and its transports."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        if not self._reading.cancelled() and self._reading.exception() is None:
            await self._hook.close()
