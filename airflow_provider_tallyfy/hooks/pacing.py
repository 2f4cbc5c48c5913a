"""How fast coroutines that share a connection may send: as fast as Tallyfy lets them, and all as one."""

from __future__ import annotations

import asyncio

# How long a rate that Tallyfy bore takes to double; see Pace._rate.
_CAUTIOUS_SECONDS = 120.0


class Pace:
    """
    Gives out turns to send, in order, to the coroutines of one event loop.

    Until Tallyfy declines a request (429) there is no limit but ``ceiling``. Then nobody sends until ``Retry-After`` is
    over, and from there on turns are spaced at the rate that Tallyfy has shown to bear: what it let pass since the
    stop before, by the time that took and the wait it asked for, averaged with the rate that was too high. It grows,
    slowly at first, so that a limit is seldom hit while it stands, and found again when it rises.

    :param ceiling: requests per second that are never exceeded; ``None`` for any number.
    """

    def __init__(self, ceiling: float | None = None) -> None:
        self._ceiling = ceiling
        self._learned: float | None = None
        self._gate = asyncio.Lock()  # held by the coroutine whose turn is next
        self._next = float("-inf")  # when that turn is
        self._opened = float("-inf")  # since when requests are let pass
        self._stopped = float("-inf")  # when Tallyfy last declined one of them
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
            passed = max(1, self._sent - self._declined) / max(now - self._opened, 0.001)
            self._learned = (passed + (self._rate(now - self._opened) or passed)) / 2
        if self._declined or not self._sent:
            self._opened, self._sent, self._declined, self._next = now, 0, 0, now
        self._sent += 1
        rate = self._rate(now - self._opened)
        self._next = now if rate is None else max(now, self._next) + 1.0 / rate
        return now

    def _rate(self, age: float) -> float | None:
        """Grow with the cube of the time since the last stop: by a fiftieth in half a minute, twofold in two."""
        limits = [] if self._ceiling is None else [self._ceiling]
        if self._learned is not None:
            limits.append(self._learned * (1.0 + (age / _CAUTIOUS_SECONDS) ** 3))
        return min(limits, default=None)
