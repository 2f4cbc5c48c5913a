"""The watcher and a sandbox in one event loop whose clock jumps: hours of waiting are exact and take no time."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyAuthError, TallyfyConfigurationError
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.connection_extras import DEFAULT_CREDENTIALS_GRACE
from airflow_provider_tallyfy.waits.probes import Observation
from airflow_provider_tallyfy.waits.watcher import SharedConnection
from tests.unit.waits.watcher.virtual_waits import INTERVAL, Waits, now, virtually, waiting
from tests.virtual_time import VirtualTallyfy, in_virtual_time


@virtually
async def test_a_thousand_waits_cost_no_more_than_the_pages_of_the_list(tallyfy):
    run_ids = tallyfy.add_runs(1500)[250:1250]
    async with waiting(tallyfy, run_ids) as waits:
        await asyncio.sleep(30)
        assert tallyfy.asked_between(0, 30) <= 15
        assert {len(received) for received in waits.received.values()} == {1}
        await asyncio.sleep(10 * INTERVAL)
        assert tallyfy.asked_between(30, 30 + 10 * INTERVAL) <= 15 * 12


@virtually
async def test_waits_for_runs_launched_together_cost_the_pages_that_show_them(tallyfy):
    tallyfy.add_runs(500)
    async with waiting(tallyfy, tallyfy.add_runs(150)):
        await asyncio.sleep(10)
        assert len(tallyfy.requests) == 2


@virtually
async def test_half_of_many_finishing_at_once_are_all_noticed_for_a_few_pages_more(tallyfy):
    run_ids = tallyfy.add_runs(200)
    async with waiting(tallyfy, run_ids) as waits:
        await asyncio.sleep(10)
        for run_id in run_ids[::2]:
            tallyfy.complete_run(run_id)
        tallyfy.clear_requests()
        await asyncio.sleep(INTERVAL * 1.1)
        assert [waits.last(run_id) for run_id in run_ids] == ["complete", "active"] * 100
        assert len(tallyfy.requests) <= 4


@virtually
async def test_the_end_of_one_run_is_noticed_within_the_interval_of_its_wait(tallyfy):
    (run_id,) = tallyfy.add_runs(1)
    async with waiting(tallyfy, [run_id]) as waits:
        await asyncio.sleep(10)
        tallyfy.complete_run(run_id)
        finished = now()
        await asyncio.sleep(2 * INTERVAL)
        moment, status = waits.received[run_id][-1]
        assert status == "complete"
        assert moment - finished <= INTERVAL * 1.1
        assert {request.path.rpartition("/")[2] for request in tallyfy.requests} == {run_id}


@virtually
async def test_a_stale_list_does_not_end_a_wait(tallyfy):
    """The list still shows a run as it was before it was reopened. A direct look shows it as it is."""
    run_ids = tallyfy.add_runs(10)
    stale = run_ids[0]
    async with waiting(tallyfy, run_ids) as waits:
        await asyncio.sleep(10)
        tallyfy.update_run(stale, status="complete", last_updated="2020-01-01T00:00:00.000Z")
        tallyfy.clear_requests()
        await asyncio.sleep(INTERVAL * 1.2)
        assert waits.last(stale) == "complete"
        assert [request for request in tallyfy.requests if request.path.endswith(stale)]


@pytest.mark.parametrize("lie", ["status_filter_honored", "hides_all"])
def test_a_wrong_list_fails_no_wait_and_hides_no_end(lie):
    async def main() -> None:
        tallyfy = VirtualTallyfy()
        run_ids = tallyfy.add_runs(120)
        if lie == "hides_all":
            tallyfy.faults.add("status", status=200, body={"data": []}, path=r"/runs\?", times=None)
        else:
            tallyfy.behavior = tallyfy.behavior.changed({lie: False})
        async with waiting(tallyfy, run_ids) as waits:
            await asyncio.sleep(2 * INTERVAL)
            assert {waits.last(run_id) for run_id in run_ids} == {"active"}
            for run_id in run_ids:
                tallyfy.complete_run(run_id)
            await asyncio.sleep(2 * INTERVAL)
            assert {waits.last(run_id) for run_id in run_ids} == {"complete"}

    in_virtual_time(main)


@pytest.mark.parametrize("status", [403, 404, 422, 500, 503])
def test_a_list_that_fails_fails_no_wait(status):
    async def main() -> None:
        tallyfy = VirtualTallyfy()
        run_ids = tallyfy.add_runs(50)
        tallyfy.faults.add("status", status=status, path=r"/runs\?", times=None)
        async with waiting(tallyfy, run_ids) as waits:
            await asyncio.sleep(INTERVAL)
            assert {tuple(shown for _, shown in received) for received in waits.received.values()} == {("active",)}

    in_virtual_time(main)


@virtually
async def test_missing_runs_are_looked_for_one_by_one_within_the_budget(tallyfy):
    missing = [f"{number:032x}" for number in range(400)]
    async with waiting(tallyfy, missing) as waits:
        await asyncio.sleep(240)
        assert all(waits.received.values())
        assert {shown for received in waits.received.values() for _, shown in received} == {None}
        assert tallyfy.most_asked_within(60) <= 310


@virtually
async def test_the_budget_of_the_connection_is_kept(tallyfy):
    tallyfy.settings["wait_requests_per_minute"] = 60
    async with waiting(tallyfy, [f"{number:032x}" for number in range(200)]):
        await asyncio.sleep(600)
        assert 40 <= tallyfy.most_asked_within(60) <= 70


@virtually
async def test_runs_that_are_listed_do_not_wait_for_those_that_are_read_one_by_one(tallyfy):
    listed = tallyfy.add_runs(100)
    async with waiting(tallyfy, listed + [f"{number:032x}" for number in range(1000)]) as waits:
        await asyncio.sleep(INTERVAL)
        tallyfy.complete_run(listed[0])
        finished = now()
        await asyncio.sleep(INTERVAL * 1.5)
        assert waits.last(listed[0]) == "complete"
        assert waits.received[listed[0]][-1][0] - finished <= INTERVAL * 1.1 + 5


@virtually
async def test_a_rate_limit_slows_the_watcher_and_fails_no_wait(tallyfy):
    run_ids = tallyfy.add_runs(300)
    tallyfy.faults.add("status", status=429, retry_after=40, times=2)
    async with waiting(tallyfy, run_ids) as waits:
        await asyncio.sleep(110)
        assert tallyfy.asked_between(0.2, 40) == 0
        assert tallyfy.asked_between(0, 110) <= 2 + 3
        assert {tuple(shown for _, shown in received) for received in waits.received.values()} == {("active",)}


@virtually
async def test_a_long_rate_limit_counts_as_a_failed_look_and_is_waited_out(tallyfy):
    run_ids = tallyfy.add_runs(50)
    tallyfy.faults.add("status", status=429, retry_after=900, times=1)
    async with waiting(tallyfy, run_ids) as waits:
        await asyncio.sleep(899)
        assert len(tallyfy.requests) == 1
        assert {waits.last(run_id) for run_id in run_ids} == {"TallyfyRateLimitError"}
        await asyncio.sleep(INTERVAL * 2)
        assert {waits.last(run_id) for run_id in run_ids} == {"active"}


@virtually
async def test_an_outage_costs_few_requests_and_ends_as_soon_as_tallyfy_is_back(tallyfy):
    run_ids = tallyfy.add_runs(200)
    outage = tallyfy.faults.add("status", status=503, times=None)
    async with waiting(tallyfy, run_ids) as waits:
        await asyncio.sleep(3600)
        assert tallyfy.asked_between(0, 600) < 40
        assert tallyfy.asked_between(600, 3600) < 3000 / 30
        assert all(1 < len(received) < 60 for received in waits.received.values())
        tallyfy.faults.remove(outage)
        tallyfy.clear_requests()
        await asyncio.sleep(2 * INTERVAL)
        assert {waits.last(run_id) for run_id in run_ids} == {"active"}
        assert len(tallyfy.requests) <= 6


@virtually
async def test_one_transient_failure_is_not_logged(tallyfy):
    run_ids = tallyfy.add_runs(2)
    tallyfy.faults.add("status", status=503, path=run_ids[0], times=2)
    async with waiting(tallyfy, run_ids) as waits:
        await asyncio.sleep(INTERVAL / 2)
        assert [waits.received[run_id][0][1] for run_id in run_ids] == ["active", "active"]


@virtually
async def test_a_failure_of_one_run_does_not_affect_the_others(tallyfy):
    broken, *others = tallyfy.add_runs(3)
    tallyfy.faults.add("status", status=500, path=broken, times=None)
    async with waiting(tallyfy, [broken, *others]) as waits:
        await asyncio.sleep(600)
        assert waits.last(broken) == "TallyfyServerError"
        tallyfy.complete_run(others[0])
        finished = now()
        await asyncio.sleep(INTERVAL * 2)
        assert waits.last(others[0]) == "complete"
        assert waits.received[others[0]][-1][0] - finished <= INTERVAL * 1.1


@virtually
async def test_a_look_that_hangs_does_not_delay_others(tallyfy):
    hanging, *others = tallyfy.add_runs(3)
    tallyfy.settings["timeout"] = 10_000
    tallyfy.faults.add("hang", path=hanging, times=None, seconds=10_000)
    async with waiting(tallyfy, [hanging, *others]) as waits:
        await asyncio.sleep(INTERVAL)
        tallyfy.complete_run(others[1])
        await asyncio.sleep(INTERVAL * 1.2)
        assert waits.received[hanging] == []
        assert [waits.last(run_id) for run_id in others] == ["active", "complete"]


@virtually
async def test_a_permanent_failure_reaches_only_its_wait_and_at_once(tallyfy):
    tallyfy.settings["credentials_grace"] = 0
    forbidden, other = tallyfy.add_runs(2)
    tallyfy.faults.add("status", status=403, path=forbidden, times=None)
    async with waiting(tallyfy, [forbidden, other]) as waits:
        await asyncio.sleep(1)
        assert [waits.last(forbidden), waits.last(other)] == ["TallyfyPermissionError", "active"]


@virtually
async def test_a_later_wait_gets_the_current_state_without_another_request(tallyfy):
    (run_id,) = tallyfy.add_runs(1)
    async with waiting(tallyfy, [run_id]) as waits:
        await asyncio.sleep(10)
        waits.begin(run_id, name="late")
        await asyncio.sleep(0.01)
        assert waits.received["late"] == [(10, "active")]
        assert len(tallyfy.requests) == 1


@virtually
async def test_the_shortest_interval_sets_the_pace_while_its_wait_lasts(tallyfy):
    (run_id,) = tallyfy.add_runs(1)
    async with waiting(tallyfy, [run_id]) as waits:
        hasty = Waits(tallyfy, waits.watcher)
        hasty.begin(run_id, interval=5)
        await asyncio.sleep(300)
        assert 50 <= tallyfy.asked_between(0, 300) <= 70
        await hasty.end()
        await asyncio.sleep(300)
        assert tallyfy.asked_between(310, 600) <= 6


@virtually
async def test_a_long_wait_looks_less_often(tallyfy):
    (run_id,) = tallyfy.add_runs(1)
    async with waiting(tallyfy, []) as waits:
        waits.begin(run_id, interval=10, longest=600)
        await asyncio.sleep(6000)
        assert 7 <= tallyfy.asked_between(0, 1200) <= 10
        assert 7 <= tallyfy.asked_between(1200, 6000) <= 10


@virtually
async def test_looks_are_spread_over_the_interval(tallyfy):
    (run_id,) = tallyfy.add_runs(1)
    async with waiting(tallyfy, [run_id]):
        await asyncio.sleep(20 * INTERVAL)
        gaps = [later - earlier for earlier, later in pairwise(tallyfy.asked_at)]
        assert all(INTERVAL * 0.9 <= gap <= INTERVAL * 1.1 + 0.01 for gap in gaps)
        assert len({round(gap, 3) for gap in gaps}) > 10


@virtually
async def test_the_connection_is_read_once_for_all_waits(tallyfy):
    async with waiting(tallyfy, tallyfy.add_runs(100)):
        await asyncio.sleep(10 * INTERVAL)
        assert tallyfy.connections_read == 1


@virtually
async def test_a_token_that_was_replaced_in_the_connection_is_picked_up(tallyfy):
    run_ids = tallyfy.add_runs(100)
    async with waiting(tallyfy, run_ids) as waits:
        await asyncio.sleep(10)
        tallyfy.revoke_token()
        tallyfy.token = tallyfy.issue_token()
        for run_id in run_ids:
            tallyfy.complete_run(run_id)
        await asyncio.sleep(2 * INTERVAL)
        assert {waits.last(run_id) for run_id in run_ids} == {"complete"}
        assert tallyfy.connections_read == 2


@pytest.mark.parametrize("count", [1, 100])
def test_a_revoked_token_fails_the_waits_and_is_not_tried_again_and_again(count):
    async def main() -> None:
        tallyfy = VirtualTallyfy()
        run_ids = tallyfy.add_runs(count)
        async with waiting(tallyfy, run_ids) as waits:
            await asyncio.sleep(10)
            tallyfy.revoke_token()
            tallyfy.clear_requests()
            await asyncio.sleep(1.2 * INTERVAL + DEFAULT_CREDENTIALS_GRACE)
            assert {waits.last(run_id) for run_id in run_ids} == {TallyfyAuthError.__name__}
            assert tallyfy.connections_read <= 13
            assert len(tallyfy.requests) <= 14

    in_virtual_time(main)


@virtually
async def test_a_connection_that_cannot_be_read_fails_every_wait_that_begins(tallyfy):
    async def connect() -> Any:
        raise TallyfyConfigurationError("no such connection")

    connection = SharedConnection(connect)
    for _ in range(2):
        with pytest.raises(TallyfyConfigurationError):
            await connection.ready()
    await connection.close()


def test_observations_are_equal_if_nothing_changed():
    assert Observation(Run("a", "b", "active")) == Observation(Run("a", "b", "active"))
