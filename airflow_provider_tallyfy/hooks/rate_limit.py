"""How fast coroutines that share a connection may send requests."""

from __future__ import annotations

import asyncio
from typing import Protocol

# How long a rate takes to double: at first, when it is a guess from a burst and a rounded Retry-After, and later.
_SECONDS_OF_SEARCH = 10.0
_SECONDS_OF_CAUTION = 240.0


class RateLimiter(Protocol):
    """Decides when each request of a connection may be sent."""

    async def acquire(self) -> float:
        """Wait until a request may be sent, and return that moment on the event loop's clock."""

    def throttled(self, sent_at: float, after: float) -> bool:
        """
        Stop all requests for a while, since Tallyfy answered one with 429.

        :param sent_at: what :meth:`acquire` returned for that request.
        :param after: seconds to wait.
        :return: whether this is the first 429 of the requests that were on their way together.
        """


class AdaptiveRateLimiter:
    """
    Finds the highest rate that Tallyfy accepts.

    There is no limit until the first 429. Then no request is sent until ``Retry-After`` is over, and from there on
    requests are spaced at the rate that Tallyfy has just accepted: the requests since the stop before, divided by the
    time they took and the wait. After later stops the rate is a little less than that. It grows, slowly at first, so
    that a limit is seldom hit while it stands, and found when it rises.
    """

    def __init__(self) -> None:
        self._learned: float | None = None
        self._doubling = _SECONDS_OF_SEARCH
        self._lock = asyncio.Lock()  # held by the coroutine that sends next
        self._next = float("-inf")  # when that may be
        self._opened = float("-inf")  # since when requests are sent
        self._reopens = float("-inf")  # until when none is
        self._sent = 0
        self._refused = 0

    async def acquire(self) -> float:
        """Wait until a request may be sent, and return that moment on the event loop's clock."""
        clock = asyncio.get_running_loop().time
        async with self._lock:
            while (wait := max(self._next, self._reopens) - clock()) > 0:  # noqa: ASYNC110 - the clock is no event
                await asyncio.sleep(wait)
            return self._count(clock())

    def throttled(self, sent_at: float, after: float) -> bool:
        """Stop all requests for a while, unless the 429 is for one that was sent before the last stop."""
        if sent_at < self._opened:
            return False
        is_first = not self._refused
        self._refused += 1
        self._reopens = max(self._reopens, asyncio.get_running_loop().time() + after)
        return is_first

    def _count(self, now: float) -> float:
        if self._refused:
            self._learn(max(1, self._sent - self._refused) / max(now - self._opened, 0.001), now - self._opened)
        if self._refused or not self._sent:
            self._opened, self._sent, self._refused, self._next = now, 0, 0, now
        self._sent += 1
        rate = self._rate(now - self._opened)
        self._next = now if rate is None else max(now, self._next) + 1.0 / rate
        return now

    def _learn(self, accepted: float, age: float) -> None:
        too_high = self._rate(age)
        if too_high is None:
            self._learned = accepted
        else:
            self._learned, self._doubling = (accepted + 3 * too_high) / 4, _SECONDS_OF_CAUTION

    def _rate(self, age: float) -> float | None:
        """Grow with the cube of the time since the last stop: hardly at first, then ever faster."""
        return None if self._learned is None else self._learned * (1.0 + (age / self._doubling) ** 3)
