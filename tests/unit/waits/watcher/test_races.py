"""Hints, ends and new waits that come during a request are not lost, and do not affect other waits."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError
from airflow_provider_tallyfy.waits.probes import RunProbe
from airflow_provider_tallyfy.waits.watcher import SharedConnection, Watcher
from tests.unit.waits.watcher.virtual_waits import INTERVAL, is_over, now, until, virtually, waiting
from tests.virtual_time import VirtualTallyfy, in_virtual_time

LONG = 600


async def until_asked(tallyfy: VirtualTallyfy) -> None:
    """Advance the clock until a request is under way."""
    asked = len(tallyfy.asked_at)
    while len(tallyfy.asked_at) == asked:  # noqa: ASYNC110 - only the clock goes on
        await asyncio.sleep(0.5)


async def hint_while_a_list_is_read(tallyfy: VirtualTallyfy, waits, run_id: str, latency: float) -> float:
    """Complete a run and send a hint while the next list is being read. Return the moment."""
    await asyncio.sleep(10)
    tallyfy.latency = latency
    await until_asked(tallyfy)
    tallyfy.complete_run(run_id)
    waits.watcher.run_changed(run_id)
    return now()


def received_at(waits, name: str, status: str) -> float:
    return next(moment for moment, shown in waits.received[name] if shown == status)


@virtually
async def test_a_hint_survives_a_wait_that_joins_while_a_list_is_read(tallyfy):
    run_ids = tallyfy.add_runs(10)
    async with waiting(tallyfy, []) as waits:
        for run_id in run_ids:
            waits.begin(run_id, interval=LONG)
        hinted = await hint_while_a_list_is_read(tallyfy, waits, run_ids[3], latency=5)
        await asyncio.sleep(0.2)
        waits.begin(run_ids[3], interval=LONG, name="late")
        await asyncio.sleep(30)
        assert received_at(waits, run_ids[3], "complete") - hinted < 15
        assert received_at(waits, "late", "complete") - hinted < 15


@virtually
async def test_a_hint_does_not_wait_for_a_long_list(tallyfy):
    run_ids = tallyfy.add_runs(1500)
    async with waiting(tallyfy, run_ids) as waits:
        hinted = await hint_while_a_list_is_read(tallyfy, waits, run_ids[0], latency=1)
        await asyncio.sleep(30)
        assert received_at(waits, run_ids[0], "complete") - hinted < 4


@virtually
async def test_a_short_interval_is_kept_beside_long_lists(tallyfy):
    run_ids = tallyfy.add_runs(1500)
    tallyfy.latency = 1
    async with waiting(tallyfy, run_ids[1:]) as waits:
        waits.begin(run_ids[0], interval=5)
        await asyncio.sleep(30)
        tallyfy.clear_requests()
        await asyncio.sleep(LONG / 2)
        looks = [request for request in tallyfy.requests if request.path.endswith(run_ids[0])]
        pages = [request for request in tallyfy.requests if request.path.endswith("/runs")]
        assert len(looks) > LONG / 2 / 5 * 0.5
        assert len(pages) > 15 * LONG / 2 / INTERVAL * 0.8, "the others are looked at all the same"


@virtually
async def test_a_list_that_fails_again_and_again_does_not_hold_up_single_looks(tallyfy):
    run_ids = tallyfy.add_runs(50)
    tallyfy.faults.add("status", status=503, path=r"/runs\?", times=None)
    async with waiting(tallyfy, run_ids) as waits:
        await asyncio.sleep(10 * INTERVAL)
        lists = [request for request in tallyfy.requests if request.path.endswith("/runs")]
        assert len(lists) <= 3 * 11
        assert {len(received) for received in waits.received.values()} == {1}
        for run_id in run_ids:
            tallyfy.complete_run(run_id)
        await asyncio.sleep(1.5 * INTERVAL)
        assert {waits.last(run_id) for run_id in run_ids} == {"complete"}


@virtually
async def test_a_list_without_a_readable_run_is_not_read_again_and_again(tallyfy):
    run_ids = tallyfy.add_runs(50)
    tallyfy.faults.add("status", status=200, body={"data": [{"name": "no id"}]}, path=r"/runs\?", times=None)
    async with waiting(tallyfy, run_ids) as waits:
        await asyncio.sleep(INTERVAL / 2)
        assert {tuple(shown for _, shown in received) for received in waits.received.values()} == {("active",)}
        lists = [request for request in tallyfy.requests if request.path.endswith("/runs")]
        assert [dict(request.query)["status"] for request in lists] == ["active", "complete"]


#: Defects that make a run unreadable, and odd values on which nothing depends.
BROKEN = [{"status": None}, {"status": "act\nive"}, {"archived_at": 5}, {"archived_at": "9999-12-31T23:59:59-23:59"}]
ODD = [
    {"progress": {"percent": 10**400}},
    {"name": "half a \ud83d"},
    {"next_task": {"title": {}}},
    {"checklist_id": []},
]


@pytest.mark.parametrize("defect", [*BROKEN, *ODD], ids=repr)
def test_a_defect_of_one_run_ends_no_other_wait(defect):
    tallyfy = VirtualTallyfy()
    run_ids = tallyfy.add_runs(6)
    for run_id in run_ids[1:]:
        tallyfy.complete_run(run_id)
    rows = [dict(tallyfy.run(run_id)) for run_id in run_ids]
    rows[0] |= defect
    answers = {path: json.dumps({"data": data}) for path, data in {r"/runs\?": rows, run_ids[0]: rows[0]}.items()}
    for path, body in answers.items():
        tallyfy.faults.add("status", status=200, body=body, path=path, times=None)

    async def main() -> None:
        async with waiting(tallyfy, run_ids) as waits:
            await asyncio.sleep(3 * INTERVAL)
            assert {waits.last(run_id) for run_id in run_ids[1:]} == {"complete"}
            received = waits.last(run_ids[0])
            assert received == ("TallyfyResponseError" if defect in BROKEN else "active")

    in_virtual_time(main)


@virtually
async def test_a_look_that_began_before_a_wait_does_not_end_it(tallyfy):
    """The run was complete when it was read. Then it was reopened, and only then the wait began."""
    (run_id,) = tallyfy.add_runs(1)
    async with waiting(tallyfy, [run_id]) as waits:
        await asyncio.sleep(10)
        old = tallyfy.faults.add("status", status=200, body=None, path=run_id)
        old.body = {"data": dict(tallyfy.run(run_id)) | {"status": "complete"}}
        tallyfy.latency = 20
        await until_asked(tallyfy)
        waits.begin(run_id, name="new")
        await asyncio.sleep(45)
        assert [shown for _, shown in waits.received["new"]] == ["active"]


@virtually
async def test_a_wait_for_a_known_state_ends_although_nothing_changed(tallyfy):
    (run_id,) = tallyfy.add_runs(1)
    tallyfy.complete_run(run_id)
    async with waiting(tallyfy, []) as waits:
        watch = RunProbe(waits.watcher.organization_id, run_id)
        with waits.watcher.subscribe([watch], LONG, None, until(lambda run: run.is_archived)) as patient:
            assert (await patient.updates())[watch.key].value.status == "complete"
            waits.begin(run_id, name="late")
            await asyncio.sleep(1)
            assert waits.last("late") == "complete"


@virtually
async def test_a_token_that_is_replaced_just_after_a_check_fails_no_wait(tallyfy):
    run_ids = tallyfy.add_runs(3)
    async with waiting(tallyfy, run_ids[:1]) as waits:
        tallyfy.faults.add("status", status=401, path=run_ids[0])
        await asyncio.sleep(9)
        tallyfy.revoke_token()
        tallyfy.token = tallyfy.issue_token()
        for run_id in run_ids[1:]:
            waits.begin(run_id)
        await asyncio.sleep(40)
        assert [[shown for _, shown in waits.received[run_id]] for run_id in run_ids[1:]] == [["active"], ["active"]]


@virtually
async def test_a_secrets_backend_that_is_down_while_the_token_is_replaced_ends_no_wait(tallyfy):
    run_ids = tallyfy.add_runs(3)
    connect, is_down = tallyfy.connect, True

    async def flaky():
        if tallyfy.connections_read and is_down:
            raise RuntimeError("the secrets backend is down")
        return await connect()

    tallyfy.connect = flaky
    async with waiting(tallyfy, run_ids) as waits:
        await asyncio.sleep(10)
        tallyfy.revoke_token()
        tallyfy.token = tallyfy.issue_token()
        await asyncio.sleep(2 * INTERVAL)
        is_down = False
        for run_id in run_ids:
            tallyfy.complete_run(run_id)
        await asyncio.sleep(INTERVAL)
        assert [[shown for _, shown in waits.received[run_id]] for run_id in run_ids] == [["active", "complete"]] * 3


@virtually
async def test_a_secrets_backend_that_is_down_at_first_ends_no_wait_and_is_logged_once(tallyfy):
    records, handler = [], logging.Handler()
    handler.emit = records.append
    logging.getLogger("airflow_provider_tallyfy.waits.watcher.shared_connection").addHandler(handler)
    connect, failures = tallyfy.connect, iter([RuntimeError("down"), OSError("down"), TimeoutError()])

    async def flaky():
        for failure in failures:
            raise failure
        return await connect()

    tallyfy.connect = flaky
    [run_id] = tallyfy.add_runs(1)
    async with waiting(tallyfy, [run_id]) as waits:
        await asyncio.sleep(10)
        tallyfy.complete_run(run_id)
        await asyncio.sleep(INTERVAL)
        assert [shown for _, shown in waits.received[run_id]] == ["active", "complete"]
    logging.getLogger("airflow_provider_tallyfy.waits.watcher.shared_connection").removeHandler(handler)
    assert [record.msg for record in records] == [
        "The Airflow connection could not be read; trying again until it can."
    ]


@virtually
async def test_a_missing_connection_raises_its_error(tallyfy):
    async def missing():
        raise TallyfyConfigurationError("there is no such connection")

    with pytest.raises(TallyfyConfigurationError):
        await SharedConnection(missing).ready()


@virtually
async def test_a_look_of_many_requests_stays_within_the_budget(tallyfy):
    tallyfy.add_runs(1000, archived=True)
    missing = [f"{number:032x}" for number in range(40)]
    async with waiting(tallyfy, missing):
        await asyncio.sleep(90)
        assert tallyfy.most_asked_within(60) <= 301
        assert tallyfy.most_asked_within(1) <= 36


@virtually
async def test_the_organizations_of_a_connection_share_its_budget(tallyfy):
    tallyfy.settings["wait_requests_per_minute"] = 30
    connection = await SharedConnection(tallyfy.connect).ready()
    watchers = [Watcher(connection, organization) for organization in (tallyfy.organization_id, "0" * 32)]
    run_ids = tallyfy.add_runs(200)[::50]

    async def wait(watcher: Watcher) -> None:
        watches = [RunProbe(watcher.organization_id, run_id) for run_id in run_ids]
        with watcher.subscribe(watches, 1, None, until(is_over)) as subscription:
            while True:
                await subscription.updates()

    waits = [asyncio.create_task(wait(watcher)) for watcher in watchers]
    await asyncio.sleep(300)
    for task in waits:
        task.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    for watcher in watchers:
        await watcher.close()
    await connection.close()
    assert 20 <= tallyfy.most_asked_within(60) <= 31
    asked = [sum(each.organization_id in request.path for request in tallyfy.requests) for each in watchers]
    assert min(asked) > 10, "neither starves"


@virtually
async def test_a_wait_that_cannot_begin_leaves_nothing_over(tallyfy):
    (run_id,) = tallyfy.add_runs(1)
    async with waiting(tallyfy, [run_id]) as waits:
        await asyncio.sleep(5)

        def refusing(*_):
            raise TallyfyConfigurationError("nobody can tell")

        watch = RunProbe(waits.watcher.organization_id, run_id)
        with pytest.raises(TallyfyConfigurationError), waits.watcher.subscribe([watch], 1, None, refusing):
            pass
        tallyfy.clear_requests()
        await asyncio.sleep(INTERVAL)
        assert len(tallyfy.requests) == 1, "at the pace of those who wait"


@virtually
async def test_runs_that_move_up_while_a_list_is_read_cost_pages_and_no_looks(tallyfy):
    run_ids = tallyfy.add_runs(400)
    async with waiting(tallyfy, run_ids) as waits:
        await asyncio.sleep(10)
        tallyfy.latency = 1
        await until_asked(tallyfy)
        await until_asked(tallyfy)
        for run_id in run_ids[200:]:  # the newest, which was listed before all others
            tallyfy.complete_run(run_id)
        tallyfy.clear_requests()
        await asyncio.sleep(INTERVAL - 20)
        assert {waits.last(run_id) for run_id in run_ids[200:]} == {"complete"}
        assert len(tallyfy.requests) <= 16


@virtually
async def test_a_token_renewed_by_another_watcher_fails_no_wait(tallyfy):
    connection = await SharedConnection(tallyfy.connect).ready()
    watchers = [Watcher(connection, tallyfy.organization_id) for _ in range(2)]
    received: list[str] = []

    async def wait(watcher: Watcher, run_id: str) -> None:
        with watcher.subscribe(
            [RunProbe(watcher.organization_id, run_id)], INTERVAL, None, until(is_over)
        ) as subscription:
            while True:
                received.extend(str(seen.error) for seen in (await subscription.updates()).values() if seen.error)

    run_ids = tallyfy.add_runs(2)
    waits = [asyncio.create_task(wait(*pair)) for pair in zip(watchers, run_ids, strict=True)]
    await asyncio.sleep(10)
    tallyfy.revoke_token()
    tallyfy.token = tallyfy.issue_token()
    tallyfy.latency = 20  # both are under way when the first is refused
    await asyncio.sleep(3 * INTERVAL)
    for task in waits:
        task.cancel()
    await asyncio.gather(*waits, *(watcher.close() for watcher in watchers), return_exceptions=True)
    await connection.close()
    assert received == []
    assert tallyfy.connections_read == 2
