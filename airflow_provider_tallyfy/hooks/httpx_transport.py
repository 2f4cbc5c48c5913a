"""Exchanges over ``httpx``: a call goes out, an answer or the lack of one comes back."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, NamedTuple

import httpx

from airflow_provider_tallyfy.api.call import Answer, Call, Loss
from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError
from airflow_provider_tallyfy.connection import TallyfySettings
from airflow_provider_tallyfy.hooks.body import ACCEPTED_ENCODINGS, Body
from airflow_provider_tallyfy.hooks.certificates import tls_context, trusted_certificates
from airflow_provider_tallyfy.hooks.driver import default_headers
from airflow_provider_tallyfy.hooks.losses import NOT_CONNECTED, lost
from airflow_provider_tallyfy.hooks.proxy import proxy_for

_MAX_CONNECTIONS = 32
# httpx would close a connection after five idle seconds, and waits look less often than that.
_LIMITS = httpx.Limits(keepalive_expiry=300)
#: Older versions take what a proxy is to be verified with, and leave it out.
_VERIFIES_PROXIES = tuple(map(int, httpx.__version__.split(".")[:2])) >= (0, 28)


class _Route(NamedTuple):
    transport: httpx.AsyncBaseTransport
    by_proxy: bool


class Transport:
    """
    The connections of one Airflow connection, at most 32 at a time, each in an httpx transport of its own.

    One transport for all of them looks at every connection for every request. With 32 of them that takes three times
    the processor's time, and a bulk job twice as long (docs/benchmarks.md). A request that is cancelled can leave a
    connection behind that is never used again. httpx's client is not used, either: its cookies, redirects and
    credentials of the environment are not wanted, and it adds a fifth to a request's time.
    """

    def __init__(self, settings: TallyfySettings) -> None:
        self._settings = settings
        self._headers = {**default_headers(), "Accept-Encoding": ACCEPTED_ENCODINGS}
        self._timeouts = httpx.Timeout(settings.timeout, connect=settings.connect_timeout).as_dict()
        self._free = asyncio.Semaphore(_MAX_CONNECTIONS)
        self._idle: dict[str, list[_Route]] = {}
        self._tls: ssl.SSLContext | None = None
        self._tls_lock = asyncio.Lock()
        self._is_closed = False

    async def exchange(self, call: Call[Any], token: str) -> Answer | Loss:
        """Send a call once, with a bearer token or, if that is ``""``, without."""
        base_url = call.base_url or self._settings.base_url
        async with self._free:
            idle = self._idle.get(base_url)
            route = idle.pop() if idle else await self._new(base_url)
            outcome = None
            try:
                outcome = await self._send(route, self._request(call, token))
            finally:
                if isinstance(outcome, Answer) and not self._is_closed:
                    self._idle.setdefault(base_url, []).append(route)
                else:  # a request that broke off or was cancelled may have left the connection in any state
                    await route.transport.aclose()
        return outcome

    async def close(self) -> None:
        """Close what is idle now, and every other connection after its request."""
        self._is_closed = True
        idle, self._idle = self._idle, {}
        for routes in idle.values():
            for route in routes:
                await route.transport.aclose()

    async def _send(self, route: _Route, request: httpx.Request) -> Answer | Loss:
        settings = self._settings
        try:
            # httpx waits for each piece of the headers anew; to connect has a limit of its own, which comes first.
            async with asyncio.timeout(settings.connect_timeout + settings.timeout):
                response = await route.transport.handle_async_request(request)
            try:
                async with asyncio.timeout(settings.timeout):
                    body = await _read_body(response, settings)
            finally:
                await response.aclose()
        except (httpx.HTTPError, OSError) as error:  # httpx lets TLS errors of an open connection through as they are
            return lost(error, connecting=isinstance(error, NOT_CONNECTED), by_proxy=route.by_proxy)
        return body.outcome(response.status_code)

    def _request(self, call: Call[Any], token: str) -> httpx.Request:
        content, headers = call.content()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url, extensions = call.url(self._settings.base_url), {"timeout": self._timeouts}
        return httpx.Request(call.method, url, content=content, headers=self._headers | headers, extensions=extensions)

    async def _new(self, base_url: str) -> _Route:
        async with self._tls_lock:
            if self._tls is None:
                # Loading the CA certificates takes tens of milliseconds, which would stall everything on the loop.
                self._tls = await asyncio.to_thread(lambda: tls_context(trusted_certificates(self._settings.verify)))
        proxy = proxy_for(base_url, self._settings.proxies, socks_module="socksio")
        # A proxy that speaks no TLS must not be given what to verify it with.
        own_tls = self._tls if proxy and proxy.lower().startswith("https:") else None
        if own_tls and not _VERIFIES_PROXIES:
            raise TallyfyConfigurationError(
                f"The proxy on the way to Tallyfy speaks TLS, and httpx {httpx.__version__} does not verify it.\n"
                "Nothing was sent.\nInstall httpx 0.28 or newer, or name a proxy whose address begins with http://."
            )
        via = httpx.Proxy(proxy, ssl_context=own_tls) if proxy else None
        return _Route(httpx.AsyncHTTPTransport(verify=self._tls, limits=_LIMITS, proxy=via), by_proxy=proxy is not None)


async def _read_body(response: httpx.Response, settings: TallyfySettings) -> Body:
    body = Body(response.headers, settings)
    if body.wants_more:
        async for data in response.aiter_raw():
            body.add(data)
            if not body.wants_more:
                break
    return body
