"""How much work one turn of the event loop has. The rest of the triggerer waits for its end, so it must be little."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import ExitStack

from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.waits.probes import RunProbe
from airflow_provider_tallyfy.waits.watcher import Subscription
from tests.unit.waits.watcher.virtual_waits import is_over, until
from tests.virtual_time import VirtualLoop, VirtualTallyfy, in_virtual_time

RUNS = 100
WAITS_FOR_EACH = 5
INTERVAL = 60


async def count_wakings(subscription: Subscription, by_turn: Counter[int]) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    while True:
        await subscription.updates()
        by_turn[loop.turns] += 1


async def wakings_by_turn(tallyfy: VirtualTallyfy) -> tuple[Counter[int], Counter[int]]:
    """Show five waits for each of a hundred runs first as active, and then as complete."""
    run_ids = tallyfy.add_runs(RUNS)
    watcher = await tallyfy.watcher()
    first_seen: Counter[int] = Counter()
    ended: Counter[int] = Counter()
    with ExitStack() as subscriptions:
        subscribed = [
            subscriptions.enter_context(watcher.subscribe([watch_of(tallyfy, run_id)], INTERVAL, None, until(is_over)))
            for run_id in run_ids
            for _ in range(WAITS_FOR_EACH)
        ]
        await listen(subscribed, first_seen, INTERVAL / 2)
        for run_id in run_ids:
            tallyfy.complete_run(run_id)
        await listen(subscribed, ended, INTERVAL * 1.1)
    await watcher.close()
    return first_seen, ended


def watch_of(tallyfy: VirtualTallyfy, run_id: str) -> RunProbe:
    return RunProbe(tallyfy.organization_id, run_id, Run.from_json(tallyfy.run(run_id)).last_updated)


async def listen(subscriptions: list[Subscription], by_turn: Counter[int], seconds: float) -> None:
    listeners = [asyncio.create_task(count_wakings(each, by_turn)) for each in subscriptions]
    await asyncio.sleep(seconds)
    for listener in listeners:
        listener.cancel()
    await asyncio.gather(*listeners, return_exceptions=True)


def test_a_page_of_a_list_wakes_the_waits_of_one_run_per_turn_of_the_loop():
    async def main() -> None:
        tallyfy = VirtualTallyfy()
        for wakings in await wakings_by_turn(tallyfy):
            assert wakings.total() == RUNS * WAITS_FOR_EACH
            assert max(wakings.values()) == WAITS_FOR_EACH
        assert len(tallyfy.requests) <= 5, "the ends were shown by pages"

    in_virtual_time(main)
