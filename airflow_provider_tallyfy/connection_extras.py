"""The keys of the connection's extra: the one table behind its reader, its form and its documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

DEFAULT_TOKEN_URL = "https://account.tallyfy.com/oauth/token"  # noqa: S105 - an address, not a secret
DEFAULT_TIMEOUT = 30.0
DEFAULT_RETRY_BUDGET = 120.0
DEFAULT_WAIT_REQUESTS_PER_MINUTE = 300
DEFAULT_CREDENTIALS_GRACE = 300.0
DEFAULT_MAX_RESPONSE_BYTES = 32 * 1024 * 1024

#: What a value is; ``connection.py`` has a reader for each.
Kind = Literal["text", "auth", "email", "number", "positive", "count", "flag", "verify", "proxies"]

_SCHEMAS: dict[Kind, dict[str, Any]] = {
    "text": {"type": "string"},
    "auth": {"type": "string", "enum": ["token", "client_credentials"]},
    "email": {"type": "string"},
    "number": {"type": "number", "minimum": 0},
    "positive": {"type": "number", "minimum": 0},
    "count": {"type": "integer", "minimum": 1},
    "flag": {"type": "boolean"},
    "verify": {"type": "string"},
    "proxies": {"type": "object"},
}


@dataclass(frozen=True)
class Extra:
    """
    One key of the extra.

    :param label: what the form calls it.
    :param meaning: what it does, for the form and the documentation; code in backticks.
    :param default: what holds without it, in words.
    """

    label: str
    meaning: str
    kind: Kind
    default: str = "none"

    @property
    def form_field(self) -> dict[str, Any]:
        """The field of the connection form, as Airflow's provider metadata describes one. No field is required."""
        schema = _SCHEMAS[self.kind]
        description = f"{self.meaning} Default: {self.default}".replace("`", "")
        return {"label": self.label, "description": description, "schema": schema | {"type": [schema["type"], "null"]}}


EXTRAS = {
    "organization_id": Extra(
        "Organization id",
        "32 characters, from Settings > Organization in the Tallyfy web app. Every task can name another organization.",
        "text",
    ),
    "auth": Extra(
        "Authentication",
        "`token`: the password is a personal access token. `client_credentials`: login and password are client id and "
        "client secret.",
        "auth",
        "`token`",
    ),
    "token_url": Extra(
        "OAuth token URL",
        "OAuth token endpoint for `client_credentials`.",
        "text",
        "that of `account.tallyfy.com`",
    ),
    "user_email": Extra(
        "Act as user", "For `client_credentials`: exchange the application token for the token of this user.", "email"
    ),
    "timeout": Extra(
        "Timeout (s)",
        "Seconds to wait for an answer, and again for the whole of its body.",
        "positive",
        f"{DEFAULT_TIMEOUT:.0f}",
    ),
    "retry_budget": Extra(
        "Retry budget (s)", "Seconds within which one request may be repeated.", "number", f"{DEFAULT_RETRY_BUDGET:.0f}"
    ),
    "wait_requests_per_minute": Extra(
        "Requests per minute of waits",
        "How many requests the deferred waits of one triggerer may send together.",
        "count",
        f"{DEFAULT_WAIT_REQUESTS_PER_MINUTE}",
    ),
    "credentials_grace": Extra(
        "Credentials grace (s)",
        "Seconds for which deferred waits go on although Tallyfy refuses the credentials; 0 for none.",
        "number",
        f"{DEFAULT_CREDENTIALS_GRACE:.0f}",
    ),
    "max_response_bytes": Extra(
        "Largest answer (bytes)",
        "An answer with a larger body is refused, compressed or decompressed.",
        "count",
        f"{DEFAULT_MAX_RESPONSE_BYTES} (32 MiB)",
    ),
    "web_url": Extra("Web app URL", "Origin of the links to runs.", "text", "derived from the host"),
    "verify": Extra(
        "Verify TLS",
        "`true`, `false`, or the path of a CA bundle; for Tallyfy, and for a proxy that speaks TLS.",
        "verify",
        "the environment's, or `true`",
    ),
    "proxies": Extra(
        "Proxies",
        'For example `{"https": "http://proxy:3128"}`; `socks5` needs `requests[socks]` and `httpx[socks]`.',
        "proxies",
        "the environment's",
    ),
    "read_only": Extra(
        "Read only",
        "Refuse every request that would change something, those of the session from `get_conn()` as well.",
        "flag",
        "`false`",
    ),
    "allow_http": Extra("Allow http", "Permit an unencrypted host that is not this machine.", "flag", "`false`"),
}
