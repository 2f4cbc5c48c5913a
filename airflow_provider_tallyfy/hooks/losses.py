"""Why no answer came, and whether the request may have reached Tallyfy: one table for both HTTP libraries."""

from __future__ import annotations

import socket
import ssl
from typing import TypeAlias

import httpx
import requests
import urllib3.exceptions

from airflow_provider_tallyfy.api.call import Loss, LossReason

_Kinds: TypeAlias = tuple[type[BaseException], ...]

_TIMEOUTS: _Kinds = (TimeoutError, httpx.TimeoutException, urllib3.exceptions.TimeoutError, requests.Timeout)

#: What httpx raises only before it sends a request. Of requests' exceptions most say nothing about that.
NOT_CONNECTED: _Kinds = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

#: (exceptions, reason, whether the request may have been sent); the first row that fits any cause of the error counts.
_WHILE_CONNECTING: tuple[tuple[_Kinds, LossReason, bool], ...] = (
    ((httpx.ProxyError, urllib3.exceptions.ProxyError), "proxy", False),
    ((socket.gaierror,), "dns", False),
    ((urllib3.exceptions.NewConnectionError,), "refused", False),  # to urllib3 this is a timeout, too
    (_TIMEOUTS, "connect_timeout", False),
    ((ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError), "reset", False),
    ((ssl.SSLError,), "tls", False),
    ((OSError,), "refused", False),
    ((Exception,), "reset", False),
)
_AFTER_CONNECTING: tuple[tuple[_Kinds, LossReason, bool], ...] = (
    (_TIMEOUTS, "timeout", True),
    ((Exception,), "reset", True),
)
_OF_THE_PROXY = ("connect_timeout", "dns", "refused")


def lost(error: Exception, *, connecting: bool, by_proxy: bool = False) -> Loss:
    """
    Make the neutral form of a missing answer, with the operating system's words for it, if any.

    :param connecting: whether the connection was not made yet, which proves that nothing was sent.
    :param by_proxy: whether the only connections made from here are those to a proxy.
    """
    causes = _causes(error)
    table = _WHILE_CONNECTING if connecting else _AFTER_CONNECTING
    reason, sent = next((why, sent) for kinds, why, sent in table if any(isinstance(cause, kinds) for cause in causes))
    if by_proxy and reason in _OF_THE_PROXY:
        reason = "proxy"
    words = (cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror)
    return Loss(reason, sent, next(words, ""))


def _causes(error: BaseException) -> list[BaseException]:
    """Unwrap an error: libraries keep the cause as an argument, as ``reason`` or as Python's ``__cause__``."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and cause not in found:
            found.append(cause)
            waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__]
    # Every exception of requests is an OSError, whatever happened, and those of urllib3 say more.
    return [cause for cause in found if not isinstance(cause, requests.RequestException)] or [error]
