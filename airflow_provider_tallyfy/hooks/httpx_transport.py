"""One exchange over ``httpx``: a call goes out, an answer or the lack of one comes back."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from airflow_provider_tallyfy.api.exchange import Answer, Call, Lost, LostReason
from airflow_provider_tallyfy.connection import TallyfySettings
from airflow_provider_tallyfy.hooks.driver import causes, default_headers, handshake_reason, lost, presentable_answer

_MOST_CONNECTIONS = 32
# httpx would close a connection after five idle seconds, and waits look less often than that.
_LIMITS = httpx.Limits(keepalive_expiry=300)

_BEFORE_SENDING: tuple[tuple[tuple[type[BaseException], ...], LostReason], ...] = (
    ((httpx.ProxyError,), "proxy"),
    ((httpx.ConnectTimeout, httpx.PoolTimeout), "connect_timeout"),
    ((socket.gaierror,), "dns"),
    ((httpx.ConnectError,), "refused"),
)


class Clients:
    """
    The clients of one Airflow connection, each with one TCP connection: as many as there are requests at a time.

    One client for all would spend more time on finding a free connection than on the request, since what that takes
    grows with the square of their number.

    :param settings: the connection.
    """

    def __init__(self, settings: TallyfySettings) -> None:
        self._settings = settings
        self._places = asyncio.Semaphore(_MOST_CONNECTIONS)
        self._all: list[httpx.AsyncClient] = []
        self._idle: list[httpx.AsyncClient] = []
        self._tls: ssl.SSLContext | None = None
        self._tls_lock = asyncio.Lock()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpx.AsyncClient]:
        """Use a client, the one that was used last if it is free."""
        async with self._places:
            client = self._idle.pop() if self._idle else await self._new()
            try:
                yield client
            finally:
                if client in self._all:  # it was not closed meanwhile
                    self._idle.append(client)

    async def close(self) -> None:
        """Close all clients and their connections."""
        clients, self._all, self._idle = self._all, [], []
        for client in clients:
            await client.aclose()

    async def _new(self) -> httpx.AsyncClient:
        async with self._tls_lock:
            if self._tls is None:
                # Loading the CA certificates takes tens of milliseconds, which would stall everything on the loop.
                self._tls = await asyncio.to_thread(_tls_context, self._settings.verify)
        client = _new_client(self._settings, self._tls)
        self._all.append(client)
        return client


def _new_client(settings: TallyfySettings, tls: ssl.SSLContext) -> httpx.AsyncClient:
    """Make a client with Tallyfy's headers, the connection's proxy settings and timeouts; no token yet."""
    return httpx.AsyncClient(
        headers=default_headers(),
        verify=tls,
        timeout=httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
        limits=_LIMITS,
        mounts={
            f"{scheme}://": httpx.AsyncHTTPTransport(verify=tls, limits=_LIMITS, proxy=proxy)
            for scheme, proxy in settings.proxies.items()
        },
    )


async def exchange(client: httpx.AsyncClient, settings: TallyfySettings, call: Call[Any], token: str) -> Answer | Lost:
    """
    Send a call once.

    :param client: from :class:`Clients`.
    :param settings: the connection.
    :param call: what to ask.
    :param token: bearer token, or ``""`` for none.
    """
    handled = sys.exception()
    content, headers = call.content()
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = client.build_request(call.method, call.url(settings.base_url), content=content, headers=headers)
    try:
        # httpx waits for each piece of the headers anew; to connect has a limit of its own, which comes first.
        async with asyncio.timeout(settings.connect_timeout + settings.timeout):
            response = await client.send(request, stream=True)
        try:
            async with asyncio.timeout(settings.timeout):
                body = await _read_body(response, settings.max_response_bytes)
        finally:
            await response.aclose()
    except (httpx.HTTPError, OSError) as error:  # httpx lets TLS errors of an open connection through as they are
        return _lost(error, handled)
    if body is None:
        return Lost("too_large", sent=True, detail=f"over {settings.max_response_bytes} bytes")
    return presentable_answer(response.status_code, response.headers, body, settings, token)


async def _read_body(response: httpx.Response, most_bytes: int) -> bytes | None:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most_bytes:
            return None
    return bytes(body)


def _tls_context(verify: bool | str) -> ssl.SSLContext:
    if isinstance(verify, str):
        return ssl.create_default_context(cafile=verify)
    return httpx.create_ssl_context(verify=verify)


def _lost(error: Exception, handled: BaseException | None) -> Lost:
    chain = causes(error, handled)
    never_made = any(isinstance(cause, httpx.ConnectError) for cause in chain)
    if never_made and any(isinstance(cause, ssl.SSLError | ConnectionResetError) for cause in chain):
        return lost(chain, handshake_reason(chain), sent=False)
    for kinds, reason in _BEFORE_SENDING:
        if any(isinstance(cause, kinds) for cause in chain):
            return lost(chain, reason, sent=False)
    timed_out = any(isinstance(cause, httpx.TimeoutException | TimeoutError) for cause in chain)
    return lost(chain, "timeout" if timed_out else "reset", sent=True)
