"""One exchange over ``requests``: a call goes out, an answer or the lack of one comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from airflow_provider_tallyfy.api.call import Answer, Call, Loss
from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError
from airflow_provider_tallyfy.connection import TallyfySettings
from airflow_provider_tallyfy.hooks.body import ACCEPTED_ENCODINGS, Body
from airflow_provider_tallyfy.hooks.certificates import trusted_certificates
from airflow_provider_tallyfy.hooks.driver import default_headers
from airflow_provider_tallyfy.hooks.losses import lost
from airflow_provider_tallyfy.hooks.proxy import proxy_for
from airflow_provider_tallyfy.hooks.read_deadline import Deadline, watched

_CHUNK_BYTES = 64 * 1024

Authorize: TypeAlias = Callable[[requests.PreparedRequest], requests.PreparedRequest]


class _Session(requests.Session):
    """Lets the connection's ``verify`` and ``proxies`` win over the environment, which plain sessions do not."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        own_verify = self.verify if verify is None else verify
        return super().merge_environment_settings(url, self._proxies_for(url, proxies), stream, own_verify, cert)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Choose the proxy for a request, too, that was prepared by hand."""
        if "proxies" not in kwargs:
            kwargs["proxies"] = self._proxies_for(request.url)
        return super().send(request, **kwargs)

    def _proxies_for(self, url: Any, proxies: Any = None) -> dict[str, str]:
        own = {**self.proxies, **(proxies or {})}
        # An empty proxy keeps requests from taking one of the environment.
        own[urlsplit(url).scheme] = proxy_for(url, own, socks_module="socks") or ""
        return own

    def resolve_redirects(
        self, resp: Any, req: Any, *args: Any, yield_requests: bool = False, **kwargs: Any
    ) -> Iterator[Any]:
        """Leave a redirect alone that is not followed; requests would read its body whole and parse its location."""
        return iter(()) if yield_requests else super().resolve_redirects(resp, req, *args, **kwargs)


class _Adapter(HTTPAdapter):
    """Gives every request the connection's timeouts, unless it brings its own, and keeps an exchange's deadline."""

    def __init__(self, timeout: tuple[float, float]) -> None:
        self._timeout = timeout
        super().__init__(max_retries=0)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or self._timeout
        return super().send(request, *args, **kwargs)

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = watched(type(pool).ConnectionCls)
        return pool


def new_session(settings: TallyfySettings) -> requests.Session:
    """
    Make a session with Tallyfy's headers, the connection's TLS and proxy settings and timeouts, and no token.

    It keeps no cookies, so that no request depends on an earlier one.
    """
    session = _Session()
    session.headers.update({**default_headers(), "Accept-Encoding": ACCEPTED_ENCODINGS})
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.verify = trusted_certificates(settings.verify)
    session.proxies.update(settings.proxies)
    adapter = _Adapter((settings.connect_timeout, settings.timeout))
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def authorize(token: str) -> Authorize:
    """Make the ``auth`` of a request for a token or ``""``; it keeps requests from taking one out of ``~/.netrc``."""

    def add_header(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    return add_header


def authorize_session(session: requests.Session, settings: TallyfySettings, token: str) -> None:
    """
    Give every request of a session the token, unless it goes to another host, port or scheme than the connection's.

    If the connection is read-only, requests that would change something are refused with ``TallyfyConfigurationError``.
    """
    add_token = authorize(token)
    base_url = requests.Request("GET", settings.base_url).prepare().url  # spelled as the URLs of requests are

    def check(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if settings.read_only and request.method not in _READING:
            path = request.path_url.partition("?")[0]
            raise TallyfyConfigurationError(
                "The Airflow connection is read-only (extra read_only is true).\n"
                f"{request.method} {path} was not sent.",
                method=request.method,
                path=path,
            )
        goes_elsewhere = session.should_strip_auth(base_url, request.url)  # type: ignore[no-untyped-call]
        return request if goes_elsewhere else add_token(request)

    session.auth = check


def exchange(session: requests.Session, settings: TallyfySettings, call: Call[Any], token: str) -> Answer | Loss:
    """Send a call once, with a bearer token or, if that is ``""``, without."""
    data, headers = call.content()
    request = requests.Request(
        call.method, call.url(settings.base_url), headers=headers, data=data, auth=authorize(token)
    )
    deadline = Deadline(settings.connect_timeout + settings.timeout)
    try:
        # Session.request would look through the whole environment once more.
        with deadline, session.send(session.prepare_request(request), allow_redirects=False, stream=True) as response:
            deadline.extend_to(settings.timeout)
            if response.status_code < 200:  # Python takes it for the answer, which may be on its way
                return Loss("reset", sent=True, detail=f"only status {response.status_code} arrived")
            body = Body(response.headers, settings)
            while body.wants_more and (piece := response.raw.read1(_CHUNK_BYTES, decode_content=False)):
                body.add(piece)
            return body.outcome(response.status_code)
    except (requests.RequestException, urllib3.exceptions.HTTPError, TimeoutError) as error:
        return lost(error, connecting=deadline.is_connecting)
