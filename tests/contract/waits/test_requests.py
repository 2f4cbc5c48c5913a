"""What a hundred waits cost Tallyfy, over a real socket, and that they leave nothing open."""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunStatusTrigger
from airflow_provider_tallyfy.waits import watcher
from tests.airflow_driver import TOO_LONG, eventually

INTERVAL = 0.5
COUNT = 100


@pytest.fixture(autouse=True)
def _connection(tallyfy, monkeypatch):
    """Raise the limit of requests, which is not tested here, and shorten timeouts while Tallyfy fails."""
    connection = tallyfy.connection_json(wait_requests_per_minute=600_000, retry_budget=5, timeout=2)
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", connection)


def trigger(run_id: str, **arguments: Any) -> TallyfyRunStatusTrigger:
    defaults = {"target_status": ["complete"], "failure_status": ["archived"], "deadline": time.time() + TOO_LONG}
    common = {"organization_id": None, "tallyfy_conn_id": "tallyfy_default", "poll_interval": INTERVAL}
    return TallyfyRunStatusTrigger(run_id=run_id, **defaults | common | arguments)


def newest_update(tallyfy, run_id: str) -> str:
    return tallyfy.run(run_id)["last_updated"].replace("Z", "+00:00")


async def end_of(waiting: TallyfyRunStatusTrigger) -> Any:
    async for event in waiting.run():
        return event.payload["outcome"]


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until a condition holds."""
    async with asyncio.timeout(TOO_LONG):
        while not condition():  # noqa: ASYNC110 - another thread makes it true
            await asyncio.sleep(0.01)


def looks_at(tallyfy) -> int:
    """Count the requests about runs, without those for a token."""
    return sum(request.method == "GET" for request in tallyfy.requests)


def outcomes(tallyfy, triggers: list[TallyfyRunStatusTrigger], *acts: Callable[[], Any]) -> Counter[str]:
    """Let triggers wait together, act after each look, and count how they end."""

    async def main() -> Counter[str]:
        waits = [asyncio.create_task(end_of(each)) for each in triggers]
        for act in acts:
            looks = looks_at(tallyfy)
            await until(lambda: looks_at(tallyfy) > looks)  # noqa: B023 - it is asked in this round of the loop
            act()
        async with asyncio.timeout(TOO_LONG):
            ends = Counter(await asyncio.gather(*waits))
        assert len(watcher._SHARED) == 0, "the last wait ends the watcher and its entry in the registry"
        assert asyncio.all_tasks() == {asyncio.current_task()}, "and its tasks"
        return ends

    return asyncio.run(main())


def pages(runs: int) -> int:
    return -(-runs // 100)


@pytest.mark.parametrize("auth", ["token", "client_credentials"])
def test_a_token_that_expires_is_replaced_and_costs_no_wait(tallyfy, auth, monkeypatch):
    extra = {"auth": auth, "user_email": tallyfy.user_email} if auth == "client_credentials" else {}

    def connect() -> None:
        connection = tallyfy.connection_json(wait_requests_per_minute=600_000, **extra)
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", connection)

    def expire() -> None:
        tallyfy.clear_requests()
        tallyfy.revoke_token()
        tallyfy.token = tallyfy.issue_token()
        connect()
        for run_id in run_ids:
            tallyfy.complete_run(run_id)

    connect()
    run_ids = tallyfy.add_runs(COUNT)
    triggers = [trigger(run_id, newer_than=newest_update(tallyfy, run_id)) for run_id in run_ids]
    assert outcomes(tallyfy, triggers, expire) == {"reached": COUNT}
    assert len(tallyfy.requests) <= 8 * max(2, pages(COUNT))


def test_cancelling_the_last_of_many_waits_leaves_nothing_open(tallyfy):
    run_ids = tallyfy.add_runs(20)

    async def main() -> None:
        waits = [asyncio.create_task(end_of(trigger(run_id))) for run_id in run_ids]
        await until(lambda: len(tallyfy.requests) > 1)
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        assert all(each.cancelled() for each in waits)
        assert len(watcher._SHARED) == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert eventually(lambda: tallyfy.open_connections == 0)
    gc.collect()
    assert not [each for each in gc.get_objects() if type(each) is watcher.Watcher]


def test_cancelling_one_wait_leaves_the_others_alone(tallyfy):
    run_ids = tallyfy.add_runs(3)

    async def main() -> list[Any]:
        waits = [asyncio.create_task(end_of(trigger(run_id))) for run_id in run_ids]
        await until(lambda: bool(tallyfy.requests))
        waits[0].cancel()  # the first is the one that started the watcher
        for run_id in run_ids:
            tallyfy.complete_run(run_id)
        async with asyncio.timeout(TOO_LONG):
            return await asyncio.gather(*waits, return_exceptions=True)

    ends = asyncio.run(main())
    assert isinstance(ends[0], asyncio.CancelledError)
    assert ends[1:] == ["reached", "reached"]


def test_a_hanging_answer_does_not_block_the_event_loop(tallyfy, monkeypatch):
    """If the request blocked the loop, it would be free only after the request timed out, which ends waits."""
    connection = tallyfy.connection_json(wait_requests_per_minute=600_000, retry_budget=0, timeout=30)
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", connection)
    silence = tallyfy.faults.add("hang", times=None)
    run_ids = tallyfy.add_runs(200)
    for run_id in run_ids:
        tallyfy.complete_run(run_id)
    seen_before = {"newer_than": "2020-01-01T00:00:00+00:00", "max_poll_failures": 0}
    triggers = [trigger(run_id, **seen_before) for run_id in run_ids]

    async def main() -> Counter[str]:
        waits = [asyncio.create_task(end_of(each)) for each in triggers]
        await until(lambda: bool(tallyfy.requests))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert len(tallyfy.requests) == 1
        tallyfy.faults.remove(silence)
        return Counter(await asyncio.gather(*waits))

    assert asyncio.run(main()) == {"reached": 200}


def test_the_waits_of_an_organization_share_one_connection_while_tallyfy_is_quick(tallyfy, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json())
    run_ids = tallyfy.add_runs(5)
    spelled = [None, tallyfy.organization_id]
    triggers = [
        trigger(run_id, newer_than=newest_update(tallyfy, run_id), organization_id=spelled[number % 2])
        for number, run_id in enumerate(run_ids)
    ]
    acts = [lambda run_id=run_id: tallyfy.complete_run(run_id) for run_id in run_ids]
    assert outcomes(tallyfy, triggers, *acts) == {"reached": len(run_ids)}
    assert len(tallyfy.requests) > 4
    assert tallyfy.connections_opened == 1
