"""What drivers and flows exchange: a call, and what came back."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

from airflow_provider_tallyfy.api.parsing import loads_answer

T = TypeVar("T")

REPEATABLE_METHODS = frozenset({"GET", "PUT", "DELETE"})

LossReason = Literal["dns", "refused", "tls", "proxy", "connect_timeout", "timeout", "reset", "too_large"]


@dataclass(frozen=True)
class Answer:
    """
    One HTTP answer, whatever library received it.

    :param headers: header names in lower case, with their values.
    :param body: the whole body, decompressed.
    :param unreadable: why the body was not read; ``""`` if it was.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    unreadable: str = ""

    def json(self) -> Any:
        """Parse the body; ``ValueError`` if it is not JSON, or is nested too deeply."""
        return loads_answer(self.body)


@dataclass(frozen=True)
class Loss:
    """No complete answer arrived; a request that was ``sent`` may have reached Tallyfy, and a write been applied."""

    reason: LossReason
    sent: bool
    detail: str = ""


@dataclass(frozen=True)
class Call(Generic[T]):
    """
    One request to Tallyfy and how to read its answer.

    :param action: completes the sentence "Could not ...", for example ``archive run 4f2...``.
    :param path: path below the base URL, with every segment percent-encoded.
    :param parse: turns a 2xx answer into ``T``; raises ``ValueError`` or ``TypeError`` on anything else.
    :param body: JSON body.
    :param form: form-encoded body (token endpoints only).
    :param base_url: used instead of the connection's base URL (token endpoint only).
    :param bearer: sent instead of the connection's token; ``""`` sends none.
    :param changes_nothing: whether it leaves Tallyfy as it is although its method is not GET.
    :param non_retryable: statuses that repeating it is known not to cure.
    :param retry_budget: seconds within which it may be repeated; with ``None`` the driver knows.
    """

    action: str
    method: str
    path: str
    parse: Callable[[Answer], T] = field(repr=False)
    run_id: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    base_url: str | None = None
    bearer: str | None = field(default=None, repr=False)
    changes_nothing: bool = False
    non_retryable: frozenset[int] = frozenset()
    retry_budget: float | None = None

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again although the first one may have been applied."""
        return self.changes_nothing or self.method in REPEATABLE_METHODS

    @property
    def writes(self) -> bool:
        """Whether it changes something in Tallyfy."""
        return self.method != "GET" and not self.changes_nothing

    @property
    def target(self) -> str:
        """What it is sent to, for messages: the path, or the whole address of a token endpoint."""
        return self.path or self.base_url or "/"

    def url(self, base_url: str) -> str:
        """Address to send it to. Tallyfy reads ``+`` literally, so spaces become ``%20``."""
        query = f"?{urlencode(self.query, quote_via=quote)}" if self.query else ""
        return f"{self.base_url or base_url}{self.path}{query}"

    def content(self) -> tuple[bytes | None, dict[str, str]]:
        """Body to send and the headers that describe it."""
        if self.form is not None:
            return urlencode(self.form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
        if self.body is not None:
            return json.dumps(self.body).encode(), {"Content-Type": "application/json"}
        return None, {}


@dataclass(frozen=True)
class Pause:
    """A step of a flow: let Tallyfy's read replicas catch up."""

    seconds: float


#: A procedure of several steps: yields calls and pauses, receives what the calls' answers mean, returns ``T``.
Flow: TypeAlias = Generator[Call[Any] | Pause, Any, T]
