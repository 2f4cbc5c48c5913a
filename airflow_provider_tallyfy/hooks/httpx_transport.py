"""One exchange over ``httpx``: a call goes out, an answer or the lack of one comes back."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import httpx

from airflow_provider_tallyfy.api.exchange import Answer, Call, Lost, LostReason
from airflow_provider_tallyfy.connection import TallyfySettings
from airflow_provider_tallyfy.hooks.driver import causes, default_headers, is_tls_problem, lost, presentable_answer

_MOST_CONNECTIONS = 32

_BEFORE_SENDING: tuple[tuple[tuple[type[BaseException], ...], LostReason], ...] = (
    ((httpx.ProxyError,), "proxy"),
    ((httpx.ConnectTimeout, httpx.PoolTimeout), "connect_timeout"),
    ((socket.gaierror,), "dns"),
    ((httpx.ConnectError,), "refused"),
)


def new_client(settings: TallyfySettings) -> httpx.AsyncClient:
    """
    Make a client with Tallyfy's headers, the connection's TLS and proxy settings and timeouts; no token yet.

    :param settings: the connection.
    """
    verify = _verify(settings.verify)
    limits = httpx.Limits(max_connections=_MOST_CONNECTIONS)
    return httpx.AsyncClient(
        headers=default_headers(),
        verify=verify,
        timeout=httpx.Timeout(settings.timeout, connect=settings.connect_timeout),
        limits=limits,
        mounts={
            f"{scheme}://": httpx.AsyncHTTPTransport(verify=verify, limits=limits, proxy=proxy)
            for scheme, proxy in settings.proxies.items()
        },
    )


async def exchange(client: httpx.AsyncClient, settings: TallyfySettings, call: Call[Any], token: str) -> Answer | Lost:
    """
    Send a call once.

    :param client: from :func:`new_client`.
    :param settings: the connection.
    :param call: what to ask.
    :param token: bearer token, or ``""`` for none.
    """
    content, headers = call.content()
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = client.build_request(call.method, call.url(settings.base_url), content=content, headers=headers)
    try:
        response = await client.send(request, auth=_no_netrc, stream=True)
        try:
            async with asyncio.timeout(settings.timeout):
                body = await _read_body(response, settings.max_response_bytes)
        finally:
            await response.aclose()
    except (httpx.HTTPError, TimeoutError) as error:
        return _lost(error)
    if body is None:
        return Lost("too_large", sent=True, detail=f"over {settings.max_response_bytes} bytes")
    return presentable_answer(response.status_code, response.headers, body, settings, token)


def _no_netrc(request: httpx.Request) -> httpx.Request:
    """Stand in as ``auth``, which keeps httpx from taking one out of ``~/.netrc``."""
    return request


async def _read_body(response: httpx.Response, most_bytes: int) -> bytes | None:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most_bytes:
            return None
    return bytes(body)


def _verify(verify: bool | str) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify


def _lost(error: Exception) -> Lost:
    chain = causes(error)
    if any(map(is_tls_problem, chain)):
        return lost(chain, "tls", sent=False)
    for kinds, reason in _BEFORE_SENDING:
        if any(isinstance(cause, kinds) for cause in chain):
            return lost(chain, reason, sent=False)
    timed_out = any(isinstance(cause, httpx.TimeoutException | TimeoutError) for cause in chain)
    return lost(chain, "timeout" if timed_out else "reset", sent=True)
