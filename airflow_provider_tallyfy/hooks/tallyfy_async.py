"""The same calls and flows over ``httpx``, for triggers and bulk work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from airflow.providers.common.compat.connection import get_async_connection

from airflow_provider_tallyfy.api import flows
from airflow_provider_tallyfy.api.call import Call, Flow, Pause, T
from airflow_provider_tallyfy.api.credentials import ClientCredentials
from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.flows.driving import Done, advance
from airflow_provider_tallyfy.api.inputs.checks import required_organization
from airflow_provider_tallyfy.api.retry import Accept, GiveUp, Renew, Retry
from airflow_provider_tallyfy.compat import mask_secret_async
from airflow_provider_tallyfy.connection import TallyfySettings, explain_missing, read_settings
from airflow_provider_tallyfy.hooks import httpx_transport
from airflow_provider_tallyfy.hooks.driver import Attempts
from airflow_provider_tallyfy.hooks.rate_limit import RateLimiter
from airflow_provider_tallyfy.hooks.redaction import redacted_errors

log = logging.getLogger(__name__)


class TallyfyAsyncHook:
    """
    Talk to Tallyfy from coroutines. Make it with :meth:`connect`, close it with ``async with``.

    :param settings: the connection.
    :param limiter: lets a 429 slow all requests down; with ``None`` each call waits for itself.
    :param read_settings: reads the connection as it is now, in case its token was replaced; with ``None`` nobody looks.
    """

    def __init__(
        self,
        settings: TallyfySettings,
        limiter: RateLimiter | None = None,
        read_settings: Callable[[], Awaitable[TallyfySettings]] | None = None,
    ) -> None:
        self.settings = settings
        self.limiter = limiter
        self._read_settings = read_settings
        self._transport = httpx_transport.Transport(settings)
        self._fetched_token: str | None = None
        self._fetching: asyncio.Future[TallyfyError | None] | None = None  # the outcome of the request for a token

    @classmethod
    async def connect(cls, tallyfy_conn_id: str, organization_id: str | None = None) -> TallyfyAsyncHook:
        """Read an Airflow connection without blocking the event loop."""

        async def read() -> TallyfySettings:
            with explain_missing(tallyfy_conn_id):
                settings = read_settings(await get_async_connection(tallyfy_conn_id), organization_id)
            for secret in settings.secrets:
                await mask_secret_async(secret)
            return settings

        return cls(await read(), read_settings=read)

    def organization_id(self, own: str | None) -> str:
        """Give the organization of a task, or else of the hook; ``TallyfyConfigurationError`` if there is neither."""
        return required_organization(own or self.settings.organization_id)

    def for_organization(self, organization_id: str) -> TallyfyAsyncHook:
        """Make a hook for one organization, with the same connections and the same rate limit."""
        hook = TallyfyAsyncHook(replace(self.settings, organization_id=organization_id), self.limiter)
        hook._transport = self._transport
        return hook

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    async def __aenter__(self) -> TallyfyAsyncHook:
        """Use the hook as a context manager that closes it."""
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Close the hook."""
        await self.close()

    async def execute(self, work: Call[T] | Flow[T], *, retry_budget: float | None = None) -> T:
        """Carry out a call or a flow; each call may be repeated within the budget, by default the connection's."""
        with redacted_errors(self._secrets):
            if isinstance(work, Call):
                return await self._send(work, retry_budget)
            return await self._drive(work, retry_budget)

    async def _drive(self, flow: Flow[T], budget: float | None) -> T:
        step = advance(flow)
        while not isinstance(step, Done):
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                step = advance(flow)
                continue
            try:
                reply = await self._send(step, budget)
            except TallyfyError as error:
                step = advance(flow, error=error)
            else:
                step = advance(flow, reply)
        return step.value

    async def _send(self, call: Call[T], budget: float | None) -> T:
        attempts = Attempts(call, self.settings, budget)
        paused = 0.0
        while True:
            token = await self._bearer(call, budget)
            sent_at = await self._acquire(attempts, paused)
            paused = 0.0
            outcome = await self._transport.exchange(call, token)
            match attempts.judge(outcome, token):
                case Accept(value):
                    return value
                case Retry(after, error):
                    attempts.failed(error)
                    paused = await self._pause(after, error, sent_at)
                case Renew(error):
                    if not await self._has_another_token(token):
                        raise error
                    log.info("Tallyfy no longer accepts the token; using a new one.")
                    attempts.token_was_renewed()
                case GiveUp(error):
                    raise error

    def _secrets(self) -> tuple[str, ...]:
        return (*self.settings.secrets, self._fetched_token or "")

    async def _acquire(self, attempts: Attempts[Any], paused: float) -> float:
        """Wait for the rate limiter; the time counts against the call's budget only if it is the call's own pause."""
        if self.limiter is None:
            return 0.0
        began = time.monotonic()
        sent_at = await self.limiter.acquire()
        attempts.queued(max(0.0, time.monotonic() - began - paused))
        return sent_at

    async def _pause(self, after: float, error: TallyfyError, sent_at: float) -> float:
        """Wait before the next attempt; after a 429 the rate limiter does it, for the seconds that are returned."""
        if self.limiter is None or error.status != 429:
            log.warning("%s\nTrying again in %.1f s.", error, after)
            await asyncio.sleep(after)
            return 0.0
        pause = error.retry_after or after
        if self.limiter.throttled(sent_at, pause):
            log.warning("%s\nAll requests pause for %.1f s.", error, pause)
        return pause

    async def _bearer(self, call: Call[Any], budget: float | None) -> str:
        if call.bearer is None:
            return await self._token(budget)
        if call.bearer:
            await mask_secret_async(call.bearer)
        return call.bearer

    async def _token(self, budget: float | None) -> str:
        credentials = self.settings.credentials
        if isinstance(credentials, str):
            return credentials
        while self._fetched_token is None:
            fetching = self._fetching
            if fetching is None:
                return await self._fetch_token(credentials, budget)
            # One coroutine's failure is that of all who wait for it, or each would go through all of its retries anew.
            await asyncio.wait([fetching])
            if error := fetching.result():
                raise error.recast(type(error), str(error))
        return self._fetched_token

    async def _fetch_token(self, credentials: ClientCredentials, budget: float | None) -> str:
        self._fetching = fetching = asyncio.get_running_loop().create_future()
        failed: TallyfyError | None = None  # if this coroutine is cancelled, another one takes over
        try:
            token = await self._drive(flows.new_token(credentials, self.settings.organization_id), budget)
            await mask_secret_async(token)
            self._fetched_token = token
        except TallyfyError as error:
            failed = error
            raise
        finally:
            self._fetching = None
            fetching.set_result(failed)
        return token

    async def _has_another_token(self, refused: str) -> bool:
        """Whether a token can be fetched, or was put into the connection, in place of one that Tallyfy refused."""
        if not isinstance(self.settings.credentials, str):
            if self._fetched_token == refused:  # another coroutine may have renewed it already
                self._fetched_token = None
            return True
        if self._read_settings is not None and self.settings.credentials == refused:
            try:
                now = await self._read_settings()
            except Exception:  # noqa: BLE001 - what Tallyfy answered is what the user has to know
                return False
            if self.settings.is_but_for_credentials(now):
                self.settings = now
        return self.settings.credentials != refused
