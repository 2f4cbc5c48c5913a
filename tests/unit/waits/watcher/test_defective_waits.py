"""A wait with a defect fails alone, and a defect of the watcher leaves no wait hanging."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import Any

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.waits.probes import Probe, RunProbe
from airflow_provider_tallyfy.waits.watcher import Subscription
from tests.unit.waits.watcher.virtual_waits import INTERVAL, is_over, until, virtually, waiting
from tests.virtual_time import VirtualTallyfy, in_virtual_time


class BrokenProbe(Probe):
    def look(self):
        raise ZeroDivisionError("a defect")
        yield


@virtually
async def test_a_defect_in_one_look_breaks_that_wait_only(tallyfy):
    run_ids = tallyfy.add_runs(1)
    async with waiting(tallyfy, run_ids) as waits:
        subscribing = waits.watcher.subscribe([BrokenProbe("broken", "broken")], INTERVAL, None, until(is_over))
        with subscribing as subscription, pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(subscription.updates(), 5)
        await asyncio.sleep(INTERVAL)
        assert waits.last(run_ids[0]) == "active"


def defective(*_: Any, **__: Any) -> bool:
    raise ZeroDivisionError("a defect")


async def hear_all(subscribing: AbstractContextManager[Subscription]) -> None:
    with subscribing as subscription:
        while True:
            await asyncio.wait_for(subscription.updates(), 5)


@pytest.mark.parametrize(("count", "seconds"), [(1, 30), (10, 0), (10, 30)])
def test_a_wait_whose_goal_raises_an_error_breaks_alone(count, seconds):
    async def main() -> None:
        tallyfy = VirtualTallyfy()
        run_ids = tallyfy.add_runs(count)
        async with waiting(tallyfy, run_ids) as waits:
            await asyncio.sleep(seconds)
            watches = [RunProbe(tallyfy.organization_id, run_id) for run_id in run_ids]
            with pytest.raises(ZeroDivisionError):
                await hear_all(waits.watcher.subscribe(watches, INTERVAL, None, defective))
            for run_id in run_ids:
                tallyfy.complete_run(run_id)
            await asyncio.sleep(2 * INTERVAL)
            assert {waits.last(run_id) for run_id in run_ids} == {"complete"}

    in_virtual_time(main)


@pytest.mark.parametrize(
    ("interval", "longest"),
    [
        *((interval, None) for interval in (None, "10", 0, -1, True, float("nan"), float("inf"))),
        *((60, longest) for longest in ("9", 0, -9, float("inf"), 10**400)),
    ],
)
def test_an_invalid_interval_is_refused_and_disturbs_no_other_wait(interval, longest):
    async def main() -> None:
        tallyfy = VirtualTallyfy()
        (run_id,) = tallyfy.add_runs(1)
        async with waiting(tallyfy, [run_id]) as waits:
            watch = RunProbe(tallyfy.organization_id, run_id)
            with pytest.raises(TallyfyValidationError, match=r"poll_interval=.* is not a finite number of seconds"):
                await hear_all(waits.watcher.subscribe([watch], interval, longest, until(is_over)))
            tallyfy.complete_run(run_id)
            await asyncio.sleep(2 * INTERVAL)
            assert waits.last(run_id) == "complete"

    in_virtual_time(main)


def test_a_defect_of_the_watcher_breaks_every_wait_instead_of_leaving_it_hanging(monkeypatch):
    async def main() -> None:
        tallyfy = VirtualTallyfy()
        watcher = await tallyfy.watcher()
        watches = [RunProbe("org", run_id) for run_id in tallyfy.add_runs(10)]
        monkeypatch.setattr("airflow_provider_tallyfy.waits.watcher.poller.next_step", defective)
        for _ in ("first", "late"):
            with watcher.subscribe(watches, INTERVAL, None, until(is_over)) as each, pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(each.updates(), 5)
        await watcher.close()

    in_virtual_time(main)
