"""The proxy to Tallyfy, chosen by the same rules for both hooks."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit

from requests.utils import get_environ_proxies, select_proxy

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError
from airflow_provider_tallyfy.connection import is_loopback, is_proxy_url

_SOURCES = "the connection's extra `proxies`, or HTTPS_PROXY, HTTP_PROXY and ALL_PROXY in the environment"


def proxy_for(url: str, own: Mapping[str, str], *, socks_module: str) -> str | None:
    """
    Choose the proxy to an address: the connection's, or else the environment's; ``socks_module`` is needed for SOCKS.

    The environment's proxies are not used for this machine: a proxy would reach its own, with a token in plain HTTP.
    """
    proxy = select_proxy(url, own)
    if not proxy and not is_loopback(urlsplit(url).hostname or ""):
        proxy = select_proxy(url, get_environ_proxies(url))
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not is_proxy_url(proxy):
        raise TallyfyConfigurationError(
            "The proxy on the way to Tallyfy is not a URL like http://proxy:3128.\n"
            f"Nothing was sent.\nCheck {_SOURCES}."
        )
    if proxy.lower().startswith("socks") and find_spec(socks_module) is None:
        raise TallyfyConfigurationError(
            f"The proxy on the way to Tallyfy speaks SOCKS, and {socks_module} is missing.\nNothing was sent.\n"
            f'Install it (pip install "requests[socks]" "httpx[socks]"), or check {_SOURCES}.'
        )
    return _with_password(proxy)


def _with_password(proxy: str) -> str:
    """Add an empty password to a user without one, since requests would not send that user otherwise."""
    parts = urlsplit(proxy)
    user, _, host = parts.netloc.rpartition("@")
    if not unquote(user).isascii():
        raise TallyfyConfigurationError(
            "The user or the password of the proxy on the way to Tallyfy is not ASCII.\nNothing was sent.\n"
            f"There is no agreed way to send that.\nCheck {_SOURCES}."
        )
    return parts._replace(netloc=f"{user}:@{host}").geturl() if user and ":" not in user else proxy
