"""The limiter finds the rate that a server accepts, on a clock that the tests advance."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from math import ceil
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.credentials import ClientCredentials
from airflow_provider_tallyfy.hooks import driver, tallyfy_async
from airflow_provider_tallyfy.hooks.rate_limit import AdaptiveRateLimiter
from tests.virtual_time import VirtualTallyfy, in_virtual_time

ROUND_TRIP = 0.05


def on_turned_clock(work: Coroutine[Any, Any, Any]) -> Any:
    return in_virtual_time(lambda: work)


class RollingLimit:
    """A limit of requests in a span of seconds, which does not count refused ones."""

    def __init__(self, requests: int, seconds: float) -> None:
        self.requests, self.seconds = requests, seconds
        self.passed: deque[float] = deque()

    def declines(self, now: float) -> float | None:
        while self.passed and self.passed[0] <= now - self.seconds:
            self.passed.popleft()
        if len(self.passed) < self.requests:
            self.passed.append(now)
            return None
        return max(1, ceil(self.passed[0] + self.seconds - now))


class FixedWindow:
    """A limit of requests in each window of the clock."""

    def __init__(self, requests: int, seconds: float) -> None:
        self.requests, self.seconds = requests, seconds
        self.window, self.passed = -1, 0

    def declines(self, now: float) -> float | None:
        window = int(now // self.seconds)
        if window != self.window:
            self.window, self.passed = window, 0
        if self.passed < self.requests:
            self.passed += 1
            return None
        return max(1, ceil((window + 1) * self.seconds - now))


async def send_all(
    total: int, concurrency: int, limiter: AdaptiveRateLimiter, declines: Callable[[float], float | None]
) -> tuple[float, int]:
    """Send requests until all were accepted. Return the seconds that took and how many were refused."""
    clock = asyncio.get_running_loop().time
    todo = iter(range(total))
    declined = 0

    async def sender() -> None:
        nonlocal declined
        for _ in todo:
            while True:
                turn = await limiter.acquire()
                await asyncio.sleep(ROUND_TRIP / 2)
                after = declines(clock())
                await asyncio.sleep(ROUND_TRIP / 2)
                if after is None:
                    break
                declined += 1
                limiter.throttled(turn, after)

    await asyncio.gather(*(sender() for _ in range(concurrency)))
    return clock(), declined


@pytest.mark.parametrize("concurrency", [8, 32])
@pytest.mark.parametrize(("requests", "seconds"), [(10, 1), (100, 10), (600, 60)])
@pytest.mark.parametrize("limit", [RollingLimit, FixedWindow])
def test_the_limiter_uses_nearly_all_that_a_limit_allows_and_seldom_hits_it(limit, requests, seconds, concurrency):
    total = 3000
    server = limit(requests, seconds)

    took, declined = on_turned_clock(send_all(total, concurrency, AdaptiveRateLimiter(), server.declines))

    allowed = requests / seconds
    assert total / took >= 0.9 * allowed
    assert declined <= concurrency + 0.1 * total


def test_the_limiter_limits_nothing_before_the_first_429():
    took, _ = on_turned_clock(send_all(400, 8, AdaptiveRateLimiter(), lambda now: None))

    assert took == pytest.approx(400 / 8 * ROUND_TRIP)


def test_nothing_is_sent_until_the_pause_is_over():
    async def scenario() -> list[float]:
        limiter = AdaptiveRateLimiter()
        turn = await limiter.acquire()
        limiter.throttled(turn, 7.0)
        return list(await asyncio.gather(*(limiter.acquire() for _ in range(3))))

    turns = on_turned_clock(scenario())

    assert turns[0] == pytest.approx(7.0)
    assert turns == sorted(set(turns)), "they come one after the other, not all at once"


def test_several_429s_at_once_count_as_one():
    async def scenario() -> list[bool]:
        limiter = AdaptiveRateLimiter()
        turns = [await limiter.acquire() for _ in range(4)]
        return [limiter.throttled(turn, 1.0) for turn in turns]

    assert on_turned_clock(scenario()) == [True, False, False, False]


def test_the_longest_pause_counts():
    async def scenario() -> float:
        limiter = AdaptiveRateLimiter()
        turns = [await limiter.acquire() for _ in range(3)]
        for turn, after in zip(turns, (1.0, 9.0, 2.0), strict=True):
            limiter.throttled(turn, after)
        return await limiter.acquire()

    assert on_turned_clock(scenario()) == pytest.approx(9.0)


def test_a_late_429_for_an_earlier_request_starts_no_second_pause():
    async def scenario() -> tuple[bool, float]:
        limiter = AdaptiveRateLimiter()
        early, late = await limiter.acquire(), await limiter.acquire()
        limiter.throttled(early, 1.0)
        reopened = await limiter.acquire()
        is_new = limiter.throttled(late, 60.0)
        return is_new, await limiter.acquire() - reopened

    is_new, gap = on_turned_clock(scenario())

    assert not is_new
    assert gap < 5


def test_a_raised_limit_is_found_again():
    slow, fast = RollingLimit(10, 1), RollingLimit(100, 1)
    limiter = AdaptiveRateLimiter()

    async def scenario() -> tuple[float, float]:
        took, _ = await send_all(600, 8, limiter, slow.declines)
        end, _ = await send_all(6000, 8, limiter, fast.declines)
        return took, end - took

    _, took = on_turned_clock(scenario())

    assert 6000 / took >= 15, "half as much again as the old limit, and more"


def test_a_cancelled_request_does_not_delay_the_others():
    async def scenario() -> float:
        limiter = AdaptiveRateLimiter()
        limiter.throttled(await limiter.acquire(), 1.0)
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0.5)
        waiting.cancel()
        return await limiter.acquire()

    assert on_turned_clock(scenario()) == pytest.approx(1.0)


def read_the_time_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    clock = asyncio.get_running_loop().time
    for module in (driver, tallyfy_async):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock))
    return clock


def test_time_in_the_queue_does_not_count_against_the_retry_budget(monkeypatch):
    """Each call is refused twice, with all others in between. Its two pauses fit the budget, the queue does not."""
    budget, pause = 50.0, 20

    async def scenario() -> float:
        clock = read_the_time_of_the_loop(monkeypatch)
        tallyfy = VirtualTallyfy()
        tallyfy.settings["retry_budget"] = budget
        run_ids = tallyfy.add_runs(8)
        for run_id in run_ids:
            tallyfy.faults.add("status", method="DELETE", path=run_id, status=429, times=2, retry_after=pause)
        hook = await tallyfy.connect()
        hook.limiter = AdaptiveRateLimiter()
        archivals = [calls.archive_run(tallyfy.organization_id, run_id) for run_id in run_ids]
        await asyncio.gather(*map(hook.execute, archivals))
        assert len(tallyfy.requests) == 3 * 8
        return clock()

    assert on_turned_clock(scenario()) > 2 * budget


class SlowLimiter:
    """Queues each request for as long as it is told."""

    def __init__(self, *seconds: float) -> None:
        self._seconds = iter(seconds)

    async def acquire(self) -> float:
        await asyncio.sleep(next(self._seconds, 0.0))
        return 0.0

    def throttled(self, sent_at: float, after: float) -> bool:
        return True


def test_a_pause_is_charged_to_the_budget_once_although_the_token_is_renewed(monkeypatch):
    budget, pause = 50.0, 30

    async def scenario() -> list[str]:
        read_the_time_of_the_loop(monkeypatch)
        # Before Airflow 3.3.2 a thread masks secrets, for which the virtual clock does not wait.
        monkeypatch.setattr(tallyfy_async, "mask_secret_async", AsyncMock())
        tallyfy = VirtualTallyfy()
        token_url = "http://127.0.0.1/oauth/token"
        tallyfy.settings["credentials"] = ClientCredentials(tallyfy.client_id, tallyfy.client_secret, token_url)
        tallyfy.faults.add(status=429, path="/me", retry_after=pause)
        tallyfy.faults.add(status=401, path="/me")
        tallyfy.faults.add(status=503, path="/me")
        hook = await tallyfy.connect()
        hook.limiter = SlowLimiter(0, 0, pause, 0, pause)  # the first and the fourth are the token's
        await hook.execute(calls.current_user(tallyfy.organization_id), retry_budget=budget)
        return [request.path.rpartition("/")[2] for request in tallyfy.requests]

    assert in_virtual_time(scenario) == ["token", "me", "me", "token", "me", "me"]
