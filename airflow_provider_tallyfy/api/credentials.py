"""Who a connection acts as, and how it gets tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: Who a connection acts as: the person who made its token, the application itself, or a user that it names.
Actor = Literal["person", "application", "user"]


@dataclass(frozen=True)
class ClientCredentials:
    """
    How to get tokens instead of having one (documentation page "Client credentials flow").

    :param client_id: numeric id that Tallyfy Support issued.
    :param user_email: whose token to exchange the application's for, if anybody's.
    """

    client_id: str
    client_secret: str = field(repr=False)
    token_url: str
    user_email: str | None = None
