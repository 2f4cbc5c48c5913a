"""Everything that may go wrong between a client and Tallyfy, switched on per request pattern."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from email.utils import formatdate
from math import ceil
from typing import Any, Literal, get_args

from airflow_provider_tallyfy.sandbox.ids_and_times import Clock, Json
from airflow_provider_tallyfy.sandbox.responses import HTML, Answer

Kind = Literal[
    "status", "hang", "slow", "truncated", "reset", "oversized", "redirect", "content_type", "echo_authorization"
]

_PAGE = "<!DOCTYPE html><html><head><title>Sorry</title></head><body><h1>Something went wrong</h1></body></html>"
_TRACE = {
    "message": 'SQLSTATE[42S22]: Column not found: 1054 Unknown column "runs.deleted_at" '
    "(SQL: select * from `runs` where `id` = 'x' and `password` = 'hunter2')",
    "exception": "Illuminate\\Database\\QueryException",
    "file": "/var/www/api-v2/vendor/laravel/framework/src/Illuminate/Database/Connection.php",
    "line": 712,
    "trace": [{"file": "/var/www/api-v2/app/Services/RunService.php", "line": 135, "function": "editRun"}],
}

#: Bodies that can be asked for by name.
BODIES: dict[str, tuple[Any, str]] = {
    "html": (_PAGE, HTML),
    "plain": ("Service Unavailable", "text/plain; charset=UTF-8"),
    "laravel": (_TRACE, "application/json"),
    "null": ({"data": None}, "application/json"),
    "list": ([{"id": 1}], "application/json"),
    "empty": ("", "application/json"),
    "not_json": ("{'data': oops", "application/json"),
}

#: Bodies that go with a status when none is asked for. Source: documentation page "errors".
_BY_STATUS: dict[int, Json] = {
    401: {"error": True, "message": "Permission denied. error code: apsh213."},
    402: {"message": "Trial limit reached: 100 unique task assignments", "code": "TRIAL_LIMIT_REACHED_100_U"},
    403: {"error": True, "message": "You do not have permission to perform this action.", "code": "FORBIDDEN"},
    404: {"error": True, "message": "Resource not found", "code": "RESOURCE_NOT_FOUND"},
    422: {"error": True, "errors": {"name": ["The name is invalid."]}},
    429: {
        "message": "You've reached the limit for API requests. Please try again later.",
        "code": "RATE_LIMIT_EXCEEDED",
    },
}


@dataclass(eq=False)
class Fault:
    """One thing that goes wrong, and for which requests.

    :param kind: ``status``: answer ``status`` with ``body``. ``hang``: wait ``seconds`` (None: until the
        fault is cleared), then answer properly. ``slow``: answer properly, dripping the body over
        ``seconds``. ``truncated``: announce more bytes than are sent, then close. ``reset``: a TCP RST.
        ``oversized``: ``size`` bytes of valid JSON. ``redirect``: to ``location`` with ``status``.
        ``content_type``: the proper answer, called ``content_type``. ``echo_authorization``: an error that
        repeats the request's Authorization header.
    :param method: The HTTP method it concerns; None for all.
    :param path: Regular expression searched in the path, and in path and query.
    :param times: How many requests it hits; None for all.
    :param after: How many matching requests pass first.
    :param applied: Whether the request takes effect although the answer fails. With ``slow``, ``truncated`` and
        ``content_type`` it always does; otherwise a ``hang`` applies it when it ends.
    :param status: HTTP status.
    :param body: A name from ``BODIES``, other text, bytes or JSON; None for the usual one of the status.
    :param content_type: Media type instead of the body's own.
    :param headers: Further headers.
    :param retry_after: ``Retry-After``, as it is, or as an HTTP date when ``retry_after_date`` is true.
    :param retry_after_date: Send ``retry_after`` seconds from now as a date.
    :param seconds: How long to hang or drip.
    :param size: Bytes of an oversized body.
    :param location: Where a redirect leads.
    """

    kind: Kind = "status"
    method: str | None = None
    path: str = ""
    times: int | None = 1
    after: int = 0
    applied: bool = False
    status: int = 500
    body: Any = None
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | str | None = None
    retry_after_date: bool = False
    seconds: float | None = None
    size: int = 64 * 1024 * 1024
    location: str = "http://localhost:9/elsewhere"
    seen: int = field(default=0, init=False)
    hits: int = field(default=0, init=False)
    cleared: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"There is no fault {self.kind!r}; choose one of {get_args(Kind)}")
        self._pattern = re.compile(self.path)

    def applies_to(self, method: str, path: str, query: str) -> bool:
        """Return whether the fault applies to this request, and count it.

        :meta private:
        """
        if self.method not in (None, method):
            return False
        if not (self._pattern.search(path) or self._pattern.search(f"{path}?{query}")):
            return False
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True

    def answer(self, now: float) -> Answer:
        """Return the answer of the kinds that replace the proper one.

        :meta private:
        """
        headers = dict(self.headers)
        if self.retry_after is not None:
            date = formatdate(now + float(self.retry_after), usegmt=True) if self.retry_after_date else None
            headers["retry-after"] = date or str(self.retry_after)
        answer = self._body()
        answer.status, answer.headers = self.status, headers
        answer.content_type = self.content_type or answer.content_type
        return answer

    def _body(self) -> Answer:
        if self.body is None:
            return Answer.json(_BY_STATUS.get(self.status, {"error": True, "message": "Server Error"}))
        if isinstance(self.body, bytes):
            return Answer(body=self.body, content_type="application/octet-stream")
        named = BODIES.get(self.body) if isinstance(self.body, str) else None
        content, content_type = named or (self.body, None)
        if isinstance(content, str):
            return Answer(body=content.encode(), content_type=content_type or "text/plain; charset=UTF-8")
        return Answer.json(content)

    def description(self) -> Json:
        """Return the fault as JSON.

        :meta private:
        """
        shown = {f.name: getattr(self, f.name) for f in fields(self)}
        return shown | {"body": self.body if not isinstance(self.body, bytes) else repr(self.body)}


class Faults:
    """The faults that are switched on; the first that matches a request takes effect."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, kind: Kind = "status", **settings: Any) -> Fault:
        """Switch a fault on.

        :param kind: What goes wrong.
        :param settings: Fields of :class:`Fault`.
        """
        fault = Fault(kind, **settings)
        with self._lock:
            self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Switch a fault off; requests that hang on it go on.

        :param fault: What ``add`` returned.
        """
        with self._lock:
            self._faults.remove(fault)
        fault.cleared = True

    def clear(self) -> None:
        """Switch every fault off; requests that hang go on."""
        with self._lock:
            cleared, self._faults = self._faults, []
        for fault in cleared:
            fault.cleared = True

    def match(self, method: str, path: str, query: str) -> Fault | None:
        """Return the fault that applies to this request.

        :meta private:
        """
        with self._lock:
            return next((fault for fault in self._faults if fault.applies_to(method, path, query)), None)

    def __iter__(self) -> Iterator[Fault]:
        with self._lock:
            return iter(list(self._faults))

    def __len__(self) -> int:
        return len(self._faults)


class RateLimit:
    """A limit over a rolling window: so many requests in so many seconds, then 429 with ``Retry-After``.

    Source: documentation page "troubleshooting" (rolling limit, ``Retry-After``, ``X-RateLimit-Remaining``).
    """

    def __init__(self, requests: int, seconds: float, clock: Clock) -> None:
        self.requests = requests
        self.seconds = seconds
        self._clock = clock
        self._passed: deque[float] = deque()

    def refuse(self) -> Answer | None:
        """Count a request; return the refusal if it is one too many. Refused requests are not counted."""
        now = self._clock.now()
        while self._passed and self._passed[0] <= now - self.seconds:
            self._passed.popleft()
        if len(self._passed) < self.requests:
            self._passed.append(now)
            return None
        wait = ceil(self._passed[0] + self.seconds - now)
        headers = {"retry-after": str(max(1, wait)), "x-ratelimit-remaining": "0"}
        answer = Answer.json(_BY_STATUS[429], 429)
        answer.headers = headers | {"x-ratelimit-limit": str(self.requests)}
        return answer
