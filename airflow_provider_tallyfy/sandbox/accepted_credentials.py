"""The client and the tokens that a sandbox accepts. Source: documentation page "authentication"."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Literal

from airflow_provider_tallyfy.sandbox.ids_and_times import Clock

#: Lifetimes in seconds of application tokens and of the user tokens made with them.
APPLICATION_LIFETIME = 604_800
USER_LIFETIME = 7_776_000

Kind = Literal["personal", "application", "user"]


@dataclass
class Token:
    """What a bearer token stands for.

    :param kind: Personal access token, application token, or user token made by an application.
    :param expires_at: When it expires, in seconds since the epoch; None for never.
    """

    kind: Kind
    user_id: int | None
    expires_at: float | None = None


class Credentials:
    """The client and the tokens this sandbox accepts."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.client_id = str(1000 + secrets.randbelow(9000))
        self.client_secret = secrets.token_urlsafe(30)
        self.application_lifetime: float = APPLICATION_LIFETIME
        self.tokens: dict[str, Token] = {}

    def issue(self, kind: Kind, user_id: int | None, lifetime: float | None = None, text: str | None = None) -> str:
        """Make a token."""
        text = text or f"{kind}-{secrets.token_urlsafe(30)}"
        expires_at = None if lifetime is None else self.clock.now() + lifetime
        self.tokens[text] = Token(kind, user_id, expires_at)
        return text

    def find(self, authorization: str) -> Token | None:
        """Return the valid token an ``Authorization`` header carries: one space, as documented."""
        scheme, _, text = authorization.partition(" ")
        token = self.tokens.get(text) if scheme.casefold() == "bearer" else None
        if token is None or (token.expires_at is not None and token.expires_at <= self.clock.now()):
            return None
        return token

    def revoke(self, text: str | None = None) -> None:
        """Make a token, or every token, invalid."""
        if text is None:
            self.tokens.clear()
        else:
            self.tokens.pop(text, None)
