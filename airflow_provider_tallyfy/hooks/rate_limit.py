"""How fast coroutines that share a connection may send requests."""

from __future__ import annotations

import asyncio
from typing import Protocol

# How long a rate takes to double: at first, when it is a guess from a burst and a rounded Retry-After, and later.
_SECONDS_TO_DOUBLE_AT_FIRST = 10.0
_SECONDS_TO_DOUBLE_LATER = 240.0


class RateLimiter(Protocol):
    """Decides when each request of a connection may be sent."""

    async def acquire(self) -> float:
        """Wait until a request may be sent, and return that moment on the event loop's clock."""

    def throttled(self, sent_at: float, after: float) -> bool:
        """Stop all requests for so long after a 429; tell whether it is the first of those that were sent together."""


class AdaptiveRateLimiter:
    """
    Finds the highest rate that Tallyfy accepts.

    There is no limit until the first 429. Then no request is sent until ``Retry-After`` is over, and from there on
    requests are spaced at the rate that Tallyfy has just accepted: the requests since the stop before, divided by the
    time they took and the wait. After later stops the rate is a little less than that. It grows, slowly at first, so
    that a limit is seldom hit while it stands, and found when it rises.
    """

    def __init__(self) -> None:
        self._accepted_rate: float | None = None
        self._seconds_to_double = _SECONDS_TO_DOUBLE_AT_FIRST
        self._lock = asyncio.Lock()  # held by the coroutine that sends next
        self._next_at = float("-inf")
        self._sending_since = float("-inf")
        self._paused_until = float("-inf")
        self._sent = 0
        self._refused = 0

    async def acquire(self) -> float:
        """Wait until a request may be sent, and return that moment on the event loop's clock."""
        clock = asyncio.get_running_loop().time
        async with self._lock:
            while (wait := max(self._next_at, self._paused_until) - clock()) > 0:  # noqa: ASYNC110 - the clock is no event
                await asyncio.sleep(wait)
            return self._register(clock())

    def throttled(self, sent_at: float, after: float) -> bool:
        """Stop all requests for a while, unless the 429 is for one that was sent before the last stop."""
        if sent_at < self._sending_since:
            return False
        is_first = not self._refused
        self._refused += 1
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + after)
        return is_first

    def _register(self, now: float) -> float:
        age = now - self._sending_since
        if self._refused:
            self._learn(max(1, self._sent - self._refused) / max(age, 0.001), age)
        if self._refused or not self._sent:
            self._sending_since, self._sent, self._refused, self._next_at = now, 0, 0, now
        self._sent += 1
        rate = self._rate(now - self._sending_since)
        self._next_at = now if rate is None else max(now, self._next_at) + 1.0 / rate
        return now

    def _learn(self, accepted: float, age: float) -> None:
        too_high = self._rate(age)
        if too_high is None:
            self._accepted_rate = accepted
        else:
            self._accepted_rate, self._seconds_to_double = (accepted + 3 * too_high) / 4, _SECONDS_TO_DOUBLE_LATER

    def _rate(self, age: float) -> float | None:
        """Grow with the cube of the time since the last stop: hardly at first, then ever faster."""
        rate = self._accepted_rate
        return None if rate is None else rate * (1.0 + (age / self._seconds_to_double) ** 3)
