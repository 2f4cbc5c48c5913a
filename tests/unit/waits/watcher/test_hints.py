"""A hint that a run changed leads to a look at once, whatever the watcher is doing."""

from __future__ import annotations

import asyncio

from airflow_provider_tallyfy.waits.probes import RunProbe
from tests.unit.waits.watcher.virtual_waits import INTERVAL, is_over, until, virtually, waiting


@virtually
async def test_a_hint_leads_to_a_look_at_once(tallyfy):
    run_ids = tallyfy.add_runs(100)
    async with waiting(tallyfy, run_ids) as waits:
        await asyncio.sleep(10)
        tallyfy.complete_run(run_ids[50])
        tallyfy.clear_requests()
        waits.watcher.run_changed(run_ids[50])
        await asyncio.sleep(0.01)
        assert waits.last(run_ids[50]) == "complete"
        assert len(tallyfy.requests) == 1


@virtually
async def test_a_hint_while_an_older_look_is_under_way_is_followed(tallyfy):
    (run_id,) = tallyfy.add_runs(1)
    stale = tallyfy.faults.add("status", status=200, body=None, path=run_id)
    stale.body = {"data": {"id": run_id, "name": "Run", "status": "active"}}
    tallyfy.latency = 5
    async with waiting(tallyfy, [run_id]) as waits:
        await asyncio.sleep(3)
        tallyfy.complete_run(run_id)
        waits.watcher.run_changed(run_id)
        await asyncio.sleep(8)
        assert [status for _, status in waits.received[run_id]] == ["active", "complete"]


@virtually
async def test_a_hint_while_an_older_list_is_under_way_is_followed(tallyfy):
    run_ids = tallyfy.add_runs(10)
    async with waiting(tallyfy, run_ids) as waits:
        await asyncio.sleep(10)
        pages = {"total": 10, "count": 10, "per_page": 100, "current_page": 1, "total_pages": 1}
        shown = {"data": [dict(tallyfy.run(run_id)) for run_id in run_ids], "meta": {"pagination": pages}}
        tallyfy.faults.add("status", status=200, body=shown, path=r"/runs\?")
        tallyfy.latency, asked = 5, len(tallyfy.asked_at)
        while len(tallyfy.asked_at) == asked:  # noqa: ASYNC110 - only the clock goes on
            await asyncio.sleep(0.5)
        tallyfy.complete_run(run_ids[3])
        waits.watcher.run_changed(run_ids[3])
        await asyncio.sleep(11)
        assert waits.last(run_ids[3]) == "complete"


@virtually
async def test_a_requested_look_is_reported_even_if_nothing_changed(tallyfy):
    (run_id,) = tallyfy.add_runs(1)
    watcher = await tallyfy.watcher()
    watch = RunProbe(watcher.organization_id, run_id)
    with watcher.subscribe([watch], INTERVAL, None, until(is_over)) as subscription:
        first = await subscription.updates()
        watcher.look_now(subscription)
        assert await asyncio.wait_for(subscription.updates(), 1) == first
    await watcher.close()
