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

from airflow_provider_tallyfy.api.call import Answer, Call, Lost, LostReason
from airflow_provider_tallyfy.connection import TallyfySettings
from airflow_provider_tallyfy.hooks.body import ACCEPTED_ENCODINGS, Body
from airflow_provider_tallyfy.hooks.certificates import tls_context, trusted_certificates
from airflow_provider_tallyfy.hooks.driver import (
    causes,
    default_headers,
    handshake_reason,
    lost,
    passed_through,
)
from airflow_provider_tallyfy.hooks.proxy import proxy_for

_MOST_CONNECTIONS = 32
# httpx would close a connection after five idle seconds, and waits look less often than that.
_LIMITS = httpx.Limits(keepalive_expiry=300)

_BEFORE_SENDING: tuple[tuple[tuple[type[BaseException], ...], LostReason], ...] = (
    ((httpx.ProxyError,), "proxy"),
    ((httpx.ConnectTimeout, httpx.PoolTimeout), "connect_timeout"),
    ((socket.gaierror,), "dns"),
    ((httpx.ConnectError,), "refused"),
)


class Transports:
    """
    The transports of one Airflow connection, each with one TCP connection: as many as there are requests at a time.

    They are used without httpx's client, whose cookies, redirects and credentials of the environment nobody wants here
    and whose part of the time is a fifth. One transport for all would spend more time on finding a free connection than
    on the request, since what that takes grows with the square of their number.

    :param settings: the connection.
    """

    def __init__(self, settings: TallyfySettings) -> None:
        self._settings = settings
        self._places = asyncio.Semaphore(_MOST_CONNECTIONS)
        self._all: list[httpx.AsyncBaseTransport] = []
        self._idle: dict[str, list[httpx.AsyncBaseTransport]] = {}
        self._tls: ssl.SSLContext | None = None
        self._tls_lock = asyncio.Lock()
        self._is_closed = False

    @asynccontextmanager
    async def one(self, base_url: str) -> AsyncIterator[httpx.AsyncBaseTransport]:
        """
        Use a transport, the one that was used last if it is free.

        :param base_url: where the request goes.
        """
        async with self._places:
            idle = self._idle.setdefault(base_url, [])
            transport = idle.pop() if idle else await self._new(base_url)
            try:
                yield transport
            except BaseException as error:
                if not isinstance(error, Exception) and transport in self._all:
                    self._all.remove(transport)  # a request that was cancelled may be stuck in it
                raise
            finally:
                if transport in self._all:
                    idle.append(transport)
                else:  # or all were closed meanwhile
                    await transport.aclose()

    async def close(self) -> None:
        """Close all transports and their connections; whoever stood in line still gets one, for one request."""
        self._is_closed = True
        transports, self._all, self._idle = self._all, [], {}
        for transport in transports:
            await transport.aclose()

    async def _new(self, base_url: str) -> httpx.AsyncBaseTransport:
        async with self._tls_lock:
            if self._tls is None:
                # Loading the CA certificates takes tens of milliseconds, which would stall everything on the loop.
                self._tls = await asyncio.to_thread(_tls_context, self._settings.verify)
        transport = self._directly_or_not(base_url, self._tls)
        if not self._is_closed:
            self._all.append(transport)
        return transport

    def _directly_or_not(self, base_url: str, tls: ssl.SSLContext) -> httpx.AsyncHTTPTransport:
        proxy = proxy_for(base_url, self._settings.proxies, socks_module="socksio")
        if proxy is None:
            return httpx.AsyncHTTPTransport(verify=tls, limits=_LIMITS)
        # A proxy that speaks no TLS must not be given what to verify it with.
        own_tls = tls if proxy.lower().startswith("https:") else None
        return _ProxiedTransport(verify=tls, limits=_LIMITS, proxy=httpx.Proxy(proxy, ssl_context=own_tls))


class _ProxiedTransport(httpx.AsyncHTTPTransport):
    """Blames the proxy for a connection that was never made, since it is the only one to whom any is made from here."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            # TLS through the tunnel fails with the same errors, and is no fault of the proxy's.
            if any(passed_through(cause, "connect_tcp") for cause in causes(error, None)):
                raise httpx.ProxyError(str(error), request=request) from error
            raise


async def exchange(
    transport: httpx.AsyncBaseTransport, settings: TallyfySettings, call: Call[Any], token: str
) -> Answer | Lost:
    """
    Send a call once.

    :param transport: from :class:`Transports`.
    :param settings: the connection.
    :param call: what to ask.
    :param token: bearer token, or ``""`` for none.
    """
    handled = sys.exception()
    request = _request(settings, call, token)
    try:
        # httpx waits for each piece of the headers anew; to connect has a limit of its own, which comes first.
        async with asyncio.timeout(settings.connect_timeout + settings.timeout):
            response = await transport.handle_async_request(request)
        try:
            async with asyncio.timeout(settings.timeout):
                body = await _read_body(response, settings)
        finally:
            await response.aclose()
    except (httpx.HTTPError, OSError) as error:  # httpx lets TLS errors of an open connection through as they are
        return _lost(error, handled)
    return body.outcome(response.status_code)


def _request(settings: TallyfySettings, call: Call[Any], token: str) -> httpx.Request:
    content, headers = call.content()
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return httpx.Request(
        call.method,
        call.url(settings.base_url),
        content=content,
        headers={**default_headers(), "Accept-Encoding": ACCEPTED_ENCODINGS, **headers},
        extensions={"timeout": httpx.Timeout(settings.timeout, connect=settings.connect_timeout).as_dict()},
    )


async def _read_body(response: httpx.Response, settings: TallyfySettings) -> Body:
    body = Body(response.headers, settings)
    if body.wants_more:
        async for data in response.aiter_raw():
            body.add(data)
            if not body.wants_more:
                break
    return body


def _tls_context(verify: bool | str) -> ssl.SSLContext:
    trusted = trusted_certificates(verify)
    return tls_context(trusted) if isinstance(trusted, str) else httpx.create_ssl_context(verify=trusted)


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
