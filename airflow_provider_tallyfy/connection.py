"""An Airflow connection of type ``tallyfy``, read and checked once."""

from __future__ import annotations

import ipaddress
import json
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol
from urllib.parse import SplitResult, quote, unquote, urlsplit

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_tallyfy.api.credentials import Actor, ClientCredentials
from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError
from airflow_provider_tallyfy.api.models.envelope import is_token
from airflow_provider_tallyfy.connection_extras import (
    DEFAULT_CREDENTIALS_GRACE,
    DEFAULT_MAX_RESPONSE_BYTES,
    DEFAULT_RETRY_BUDGET,
    DEFAULT_TIMEOUT,
    DEFAULT_TOKEN_URL,
    DEFAULT_WAIT_REQUESTS_PER_MINUTE,
    EXTRAS,
    Kind,
)

DEFAULT_BASE_URL = "https://go.tallyfy.com/api"
_MAX_CONNECT_TIMEOUT = 10.0
_MAX_URL = 2000
_MAX_NUMBER = 1e9  # operating systems take no longer timeouts

_HOST = re.compile(r"[a-z0-9_.\-\u0080-\U0010ffff]+")
_PROXIED = {"http", "https", "all"}
_PROXY_SCHEMES = {"http", "https", "socks5", "socks5h"}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_WEB_HOSTS = {"api.tallyfy.com": "go.tallyfy.com", "staging-api.tallyfy.com": "staging.go.tallyfy.com"}


class AirflowConnection(Protocol):
    """The parts of Airflow's ``Connection`` that matter here, whichever module it comes from."""

    conn_id: Any
    host: Any
    port: Any
    schema: Any
    login: Any
    password: Any
    extra: Any


@dataclass(frozen=True)
class TallyfySettings:
    """
    Everything a driver needs to talk to Tallyfy. :data:`~.connection_extras.EXTRAS` explains the other fields.

    :param base_url: API base URL without a slash at the end.
    :param credentials: a personal access token, or how to get tokens.
    """

    base_url: str
    credentials: str | ClientCredentials = field(repr=False)
    organization_id: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    retry_budget: float = DEFAULT_RETRY_BUDGET
    web_url: str = "https://go.tallyfy.com"
    verify: bool | str = True
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES
    read_only: bool = False
    wait_requests_per_minute: int = DEFAULT_WAIT_REQUESTS_PER_MINUTE
    credentials_grace: float = DEFAULT_CREDENTIALS_GRACE

    @property
    def connect_timeout(self) -> float:
        """Seconds to wait for a connection to be made."""
        return min(self.timeout, _MAX_CONNECT_TIMEOUT)

    @property
    def actor(self) -> Actor:
        """Who the connection acts as."""
        if isinstance(self.credentials, str):
            return "person"
        return "user" if self.credentials.user_email else "application"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log, message or XCom may show."""
        own = self.credentials if isinstance(self.credentials, str) else self.credentials.client_secret
        in_proxies = (password for url in self.proxies.values() if (password := urlsplit(url).password))
        return (own, *(form for password in in_proxies for form in {password, unquote(password)}))

    def is_but_for_credentials(self, other: TallyfySettings) -> bool:
        """Whether another connection leads to the same place in the same way, so that its credentials belong there."""
        return replace(other, credentials=self.credentials) == self

    def run_url(self, organization_id: str, run_id: str) -> str:
        """Address of a run in the web app (documentation page "How to find your Tallyfy ids")."""
        return f"{self.web_url}/{quote(organization_id, safe='')}/processes/{quote(run_id, safe='')}"


def organization_in(run_url: str | None, run_id: str) -> str | None:
    """Read the organization in the address of a run; ``None`` if it is another address."""
    match = re.fullmatch(rf".*/([^/]+)/processes/{re.escape(quote(run_id, safe=''))}", run_url or "")
    return unquote(match[1]) if match else None


def read_settings(connection: AirflowConnection, organization_id: str | None = None) -> TallyfySettings:
    """Read and check a connection, for an organization instead of its own if one is given."""
    extra = _read_extra(connection)
    if organization_id:
        extra["organization_id"] = organization_id
    allow_http = bool(extra.get("allow_http", False))
    base_url = _checked_url(_base_url(connection), "host", allow_http)
    as_they_are = {field.name for field in fields(TallyfySettings)} - {"web_url"}
    return TallyfySettings(
        base_url=base_url,
        credentials=_credentials(connection, extra, allow_http),
        web_url=_checked_url(extra["web_url"], "web_url", True) if "web_url" in extra else _web_url(base_url),
        **{name: value for name, value in extra.items() if name in as_they_are},
    )


@contextmanager
def explain_missing(conn_id: str) -> Iterator[None]:
    """Say which connection is missing, and how to make it, if Airflow does not find it inside the block."""
    try:
        yield
    except AirflowNotFoundException:
        raise TallyfyConfigurationError(
            f"The Airflow connection {conn_id!r} is not defined.\n"
            f"Create one of type tallyfy with that id.\n"
            f"Its password is the personal access token; organization_id is in its extra."
        ) from None


def _credentials(connection: AirflowConnection, extra: Mapping[str, Any], allow_http: bool) -> str | ClientCredentials:
    password = (connection.password or "").strip()
    if extra.get("auth", "token") == "token":
        if not password:
            raise _problem("password", "is empty", "It holds the personal access token.")
        if not is_token(password):
            raise _problem("password", "contains characters that no token has", "It holds the personal access token.")
        return str(password)
    login = (connection.login or "").strip()
    if not login or not password:
        raise _problem(
            "login and password",
            "are not both given",
            'With auth="client_credentials" they are client id and client secret.',
        )
    return ClientCredentials(
        client_id=login,
        client_secret=password,
        token_url=_checked_url(extra.get("token_url", DEFAULT_TOKEN_URL), "token_url", allow_http),
        user_email=extra.get("user_email"),
    )


def _base_url(connection: AirflowConnection) -> str:
    """Put together what URI connections take apart: host, port and (as ``schema``) the path or the scheme."""
    host = (connection.host or "").strip()
    if not host:
        return DEFAULT_BASE_URL
    schema = (connection.schema or "").strip("/")
    if "://" not in host:
        host = f"{schema}://{host}" if schema in ("http", "https") else f"https://{host}"
    scheme, _, rest = host.partition("://")
    name, _, own_path = rest.partition("/")
    is_named = connection.port and connection.port != _DEFAULT_PORTS.get(scheme) and ":" not in name.rpartition("]")[2]
    port = f":{connection.port}" if is_named else ""
    path = [own_path.strip("/"), "" if schema in ("http", "https") else schema]
    return "/".join([f"{scheme}://{name}{port}", *filter(None, path)])


def _checked_url(url: str, name: str, allow_http: bool) -> str:
    parts, host = _split_url(url, name)
    if parts.scheme not in ("http", "https"):
        raise _problem(name, "is not an http(s) URL")
    if parts.username is not None or parts.password is not None:
        raise _problem(name, "contains a user name or password", "Those have fields of their own.")
    if "?" in url or "#" in url:
        raise _problem(name, "contains a query or a fragment")
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise _problem(name, "would send the token unencrypted", "Use https, or set the extra allow_http to true.")
    return url.rstrip("/")


def _split_url(url: str, name: str) -> tuple[SplitResult, str]:
    """Split a URL into parts that any HTTP library can take; it may hold a secret, so no message quotes it."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        is_usable = _is_usable_host(host, parts.netloc.rpartition("@")[2])
    except ValueError:
        raise _problem(name, "is not a URL") from None
    # A backslash is a slash to one library, and a character of the host or user to another.
    if not is_usable or " " in url or "\\" in url or not url.isprintable():
        raise _problem(name, "is not a URL like https://go.tallyfy.com/api")
    if len(url) > _MAX_URL:
        raise _problem(name, f"is longer than {_MAX_URL} characters")
    return parts, host


def _is_usable_host(host: str, as_written: str) -> bool:
    """Whether all libraries take a host, and for the same one; ``ValueError`` if it is invalid."""
    if "[" in as_written or "]" in as_written:
        is_all = as_written.startswith("[") and as_written.partition("]")[2][:1] in ("", ":")
        return is_all and "%" not in host and bool(ipaddress.IPv6Address(host))
    if host.rstrip(".").rpartition(".")[2].isdecimal():
        return bool(ipaddress.IPv4Address(host))
    host.encode("idna")
    if _HOST.fullmatch(host) is None:
        return False
    return (host.isascii() and "xn--" not in host) or _is_international_host(host)


def _is_international_host(host: str) -> bool:
    import httpx  # only here, since these take long to import
    import requests

    try:
        prepared = requests.Request("GET", f"https://{host}").prepare()
        url = httpx.URL(f"https://{host}")
        return bool(url.host) and urlsplit(prepared.url or "").hostname == url.raw_host.decode()
    except httpx.InvalidURL:
        return False


def is_proxy_url(url: str) -> bool:
    """Whether both HTTP libraries can use a proxy."""
    try:
        return _split_url(url, "proxy")[0].scheme in _PROXY_SCHEMES
    except TallyfyConfigurationError:
        return False


def is_loopback(host: str) -> bool:
    """Whether a host (in lower case) is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _web_url(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{_WEB_HOSTS.get(parts.hostname or '', parts.netloc)}"


def _read_extra(connection: AirflowConnection) -> dict[str, Any]:
    try:
        given = json.loads(connection.extra or "{}")
    except ValueError:
        raise _problem("extra", "is not valid JSON") from None
    if not isinstance(given, dict):
        raise _problem("extra", "is not a JSON object")
    extra = {key.removeprefix("extra__tallyfy__"): value for key, value in given.items()}
    unknown = sorted(extra.keys() - EXTRAS.keys())
    if unknown:
        raise _problem("extra", f"has unknown keys: {', '.join(unknown)}", f"Known: {', '.join(EXTRAS)}.")
    given = {key: value for key, value in extra.items() if value not in (None, "")}
    return {key: _READERS[EXTRAS[key].kind](f"extra {key}", value) for key, value in given.items()}


def _problem(name: str, problem: str, *then: str) -> TallyfyConfigurationError:
    return TallyfyConfigurationError(
        "\n".join([f"The Tallyfy connection cannot be used: its {name} {problem}.", *then])
    )


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _problem(name, "is not text")
    return value.strip()


def _email(name: str, value: Any) -> str:
    text = _text(name, value)
    if "@" not in text or "/" in text or not is_token(text):
        raise _problem(name, "is not an e-mail address")
    return text


def _auth(name: str, value: Any) -> str:
    if value not in ("token", "client_credentials"):
        raise _problem(name, 'is neither "token" nor "client_credentials"')
    return str(value)


def _flag(name: str, value: Any) -> bool:
    word = str(value).strip().lower()  # values of URI connections are text
    if word not in ("true", "false", "1", "0", "yes", "no"):
        raise _problem(name, "is neither true nor false")
    return word in ("true", "1", "yes")


def _number(name: str, value: Any) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else -1.0
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= _MAX_NUMBER:
        raise _problem(name, f"is not a number between 0 and {_MAX_NUMBER:.0f}")
    return number


def _positive(name: str, value: Any) -> float:
    number = _number(name, value)
    if number == 0:
        raise _problem(name, "must be more than 0")
    return number


def _count(name: str, value: Any) -> int:
    number = _positive(name, value)
    if not number.is_integer():
        raise _problem(name, "is not a whole number")
    return int(number)


def _verify(name: str, value: Any) -> bool | str:
    try:
        return _flag(name, value)
    except TallyfyConfigurationError:
        path = _text(name, value)
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError):
        raise _problem(name, "is neither true, false nor the path of a file with CA certificates") from None
    return path


def _proxies(name: str, value: Any) -> dict[str, str]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, dict) or not all(isinstance(url, str) for url in value.values()):
        raise _problem(name, 'is not an object like {"https": "http://proxy:3128"}')
    if not value.keys() <= _PROXIED:
        raise _problem(name, "has an unknown key", f"Known: {', '.join(sorted(_PROXIED))}.")
    for scheme, url in value.items():
        if not is_proxy_url(url):
            raise _problem(name, f"for {scheme} is not a URL like http://proxy:3128")
    return value


_READERS: dict[Kind, Callable[[str, Any], Any]] = {
    "text": _text,
    "auth": _auth,
    "email": _email,
    "number": _number,
    "positive": _positive,
    "count": _count,
    "flag": _flag,
    "verify": _verify,
    "proxies": _proxies,
}
