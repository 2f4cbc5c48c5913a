"""How fast coroutines that share a connection may send: as fast as Tallyfy lets them, and all as one."""

from __future__ import annotations

import asyncio
from typing import Protocol

# How long a rate takes to double: at first, since a burst and a rounded Retry-After tell little, and once it was found.
_SECONDS_OF_SEARCH = 10.0
_SECONDS_OF_CAUTION = 240.0


class Turns(Protocol):
    """Gives out turns to send to everybody who shares a connection."""

    async def turn(self) -> float:
        """
        Wait until a request may be sent.

        :return: the moment, on the event loop's clock.
        """

    def declined(self, turn: float, after: float) -> bool:
        """
        Learn that Tallyfy declined a request.

        :param turn: what :meth:`turn` returned for it.
        :param after: seconds to wait.
        :return: whether that is news, and not one more of the requests that were under way together.
        """


class Pace:
    """
    Gives out turns to send, in order, to the coroutines of one event loop.

    Until Tallyfy declines a request (429) there is no limit but ``ceiling``. Then nobody sends until ``Retry-After`` is
    over, and from there on turns are spaced at the rate that Tallyfy has shown to bear: what it let pass since the
    stop before, by the time that took and the wait it asked for; once a rate was found to be too high, a little less
    than that. The rate grows, slowly at first, so that a limit is seldom hit while it stands, and found when it rises.

    :param ceiling: requests per second that are never exceeded; ``None`` for any number.
    """

    def __init__(self, ceiling: float | None = None) -> None:
        self._ceiling = ceiling
        self._learned: float | None = None
        self._doubling = _SECONDS_OF_SEARCH
        self._gate = asyncio.Lock()  # held by the coroutine whose turn is next
        self._next = float("-inf")  # when that turn is
        self._opened = float("-inf")  # since when requests are let pass
        self._reopens = float("-inf")  # until when nobody sends
        self._sent = 0
        self._declined = 0

    async def turn(self) -> float:
        """
        Wait until a request may be sent.

        :return: the moment, on the event loop's clock.
        """
        clock = asyncio.get_running_loop().time
        async with self._gate:
            while (wait := max(self._next, self._reopens) - clock()) > 0:  # noqa: ASYNC110 - the clock is no event
                await asyncio.sleep(wait)
            return self._take(clock())

    def declined(self, turn: float, after: float) -> bool:
        """
        Learn that Tallyfy declined a request.

        :param turn: what :meth:`turn` returned for it.
        :param after: seconds to wait.
        :return: whether that is news, and not one more of the requests that were under way together.
        """
        if turn < self._opened:
            return False  # it was sent before the last stop
        now = asyncio.get_running_loop().time()
        is_news = not self._declined
        self._declined += 1
        self._reopens = max(self._reopens, now + after)
        return is_news

    def _take(self, now: float) -> float:
        if self._declined:
            self._learn(max(1, self._sent - self._declined) / max(now - self._opened, 0.001), now - self._opened)
        if self._declined or not self._sent:
            self._opened, self._sent, self._declined, self._next = now, 0, 0, now
        self._sent += 1
        rate = self._rate(now - self._opened)
        self._next = now if rate is None else max(now, self._next) + 1.0 / rate
        return now

    def _learn(self, passed: float, age: float) -> None:
        too_high = self._rate(age)
        if too_high is None:
            self._learned = passed
        else:
            self._learned, self._doubling = (passed + 3 * too_high) / 4, _SECONDS_OF_CAUTION

    def _rate(self, age: float) -> float | None:
        """Grow with the cube of the time since the last stop: hardly at first, then ever faster."""
        limits = [] if self._ceiling is None else [self._ceiling]
        if self._learned is not None:
            limits.append(self._learned * (1.0 + (age / self._doubling) ** 3))
        return min(limits, default=None)
