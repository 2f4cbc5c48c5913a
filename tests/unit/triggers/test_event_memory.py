"""Event triggers across restarts and kills, with Airflow's own state stores and a supervisor like Airflow's."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_tallyfy.compat import AIRFLOW_V_3_3_PLUS
from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook
from airflow_provider_tallyfy.waits import run_list
from airflow_provider_tallyfy.waits.run_events import EventLog
from airflow_provider_tallyfy.waits.run_list import RunListProbe
from tests.unit.triggers.supervisor import INTERVAL, ONE, OTHER, Supervisor, until_told
from tests.virtual_time import VirtualLoop, VirtualTallyfy, in_virtual_time

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="older Airflow keeps no state of assets")


@pytest.fixture
def virtually(monkeypatch):
    """Run something in virtual time with a Tallyfy and an Airflow."""

    def run(scenario) -> None:
        async def main() -> None:
            tallyfy = VirtualTallyfy()
            airflow = Supervisor(tallyfy)
            monkeypatch.setattr(TallyfyAsyncHook, "connect", lambda conn_id: tallyfy.connect())
            monkeypatch.setattr("airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS", airflow, raising=False)
            await scenario(tallyfy, airflow)
            await airflow.kill()

        in_virtual_time(main)

    return run


@pytest.mark.parametrize("assets", [[ONE], [ONE, OTHER]])
def test_an_event_fires_once_across_a_restart(virtually, assets):
    async def scenario(tallyfy, airflow):
        before, between, after = tallyfy.add_runs(3)
        airflow.start(assets)
        await asyncio.sleep(INTERVAL)
        tallyfy.complete_run(before)
        await asyncio.sleep(2 * INTERVAL)
        await airflow.kill()
        tallyfy.complete_run(between)
        airflow.start(assets)
        await asyncio.sleep(INTERVAL)
        tallyfy.complete_run(after)
        await asyncio.sleep(2 * INTERVAL)
        assert [event["run"]["id"] for event in airflow.fired] == [before, between, after]
        assert {name for name, _ in airflow.kept} == set(assets)

    virtually(scenario)


@pytest.mark.parametrize("alive", [number / 2 for number in range(24)])
def test_a_kill_at_any_moment_loses_no_event_and_repeats_it_only_under_the_same_id(virtually, alive):
    async def scenario(tallyfy, airflow):
        run_id = tallyfy.add_run()["id"]
        airflow.start([ONE, OTHER])
        await asyncio.sleep(2)
        tallyfy.complete_run(run_id)
        asked = len(tallyfy.asked_at)
        while len(tallyfy.asked_at) == asked:  # noqa: ASYNC110 - virtual time costs nothing
            await asyncio.sleep(0.01)
        await asyncio.sleep(alive)
        await airflow.kill()
        airflow.start([ONE, OTHER])
        await asyncio.sleep(3 * INTERVAL)
        times = airflow.times_fired(run_id)
        assert times == 1 if alive > 8 else 1 <= times <= 2
        assert len({event["event_id"] for event in airflow.fired}) == 1

    virtually(scenario)


@pytest.mark.parametrize("alive", [number / 2 for number in range(12)])
def test_a_kill_after_airflow_was_stuck_loses_no_event(virtually, alive):
    async def scenario(tallyfy, airflow):
        run_id = tallyfy.add_run()["id"]
        airflow.start()
        await asyncio.sleep(2)
        tallyfy.complete_run(run_id)
        airflow.stuck_until = 2 * INTERVAL
        await asyncio.sleep(2 * INTERVAL - 2 + alive)
        await airflow.kill()
        airflow.start()
        await asyncio.sleep(3 * INTERVAL)
        assert 1 <= airflow.times_fired(run_id) <= 2

    virtually(scenario)


@pytest.mark.parametrize("events", ["completed", "completed, problem, restored"])
def test_events_between_the_start_and_the_first_look_fire(virtually, events):
    async def scenario(tallyfy, airflow):
        tallyfy.add_run(status="complete", completed_at="2026-01-01T00:00:00Z")
        early = tallyfy.add_run()["id"]
        airflow.stuck_until = 20  # its first answer takes long
        airflow.start(replay=0, events=events)
        await asyncio.sleep(10)
        tallyfy.complete_run(early)
        await asyncio.sleep(2 * INTERVAL)
        assert [event["run"]["id"] for event in airflow.fired] == [early]

    virtually(scenario)


def test_events_between_the_beginning_and_the_first_look_survive_a_restart(virtually):
    async def scenario(tallyfy, airflow):
        tallyfy.faults.add("status", status=503, times=1000)
        run_id = tallyfy.add_run()["id"]
        airflow.start(replay=0)
        await asyncio.sleep(30)
        tallyfy.complete_run(run_id)
        await airflow.kill()
        tallyfy.faults.clear()
        airflow.start(replay=0)
        await asyncio.sleep(INTERVAL)
        assert [event["run"]["id"] for event in airflow.fired] == [run_id]

    virtually(scenario)


def test_events_between_a_first_look_and_a_restart_fire(virtually):
    async def scenario(tallyfy, airflow):
        run_id = tallyfy.add_run()["id"]
        airflow.start()
        while not airflow.kept:  # noqa: ASYNC110 - virtual time costs nothing
            await asyncio.sleep(0.25)
        assert asyncio.get_running_loop().time() < 2
        await airflow.kill()
        tallyfy.complete_run(run_id)
        airflow.start()
        await until_told(airflow, run_id)

    virtually(scenario)


def test_a_steady_stream_of_events_is_kept_as_well(virtually):
    async def scenario(tallyfy, airflow):
        run_ids = tallyfy.add_runs(40)
        airflow.start(poll_interval=0.5)
        await asyncio.sleep(1)
        for run_id in run_ids:
            tallyfy.complete_run(run_id)
            await asyncio.sleep(1)
        await airflow.kill()
        airflow.start()
        await asyncio.sleep(INTERVAL)
        times = Counter(event["run"]["id"] for event in airflow.fired)
        assert times.keys() == set(run_ids)
        assert all(times[run_id] == 1 for run_id in run_ids[:-10])

    virtually(scenario)


def test_an_asset_that_is_added_later_begins_where_the_others_are(virtually):
    async def scenario(tallyfy, airflow):
        old, new = tallyfy.add_runs(2)
        airflow.start()
        await asyncio.sleep(2)
        tallyfy.complete_run(old)
        await asyncio.sleep(2 * INTERVAL)
        await airflow.kill()
        tallyfy.complete_run(new)
        airflow.start([OTHER, ONE])
        await asyncio.sleep(INTERVAL)
        assert [event["run"]["id"] for event in airflow.fired] == [old, new]

    virtually(scenario)


def test_events_that_one_of_two_assets_missed_fire_again(virtually):
    async def scenario(tallyfy, airflow):
        run_id = tallyfy.add_run()["id"]
        for assets in ([ONE, OTHER], [ONE], [ONE, OTHER], [ONE, OTHER]):
            airflow.start(assets)
            await asyncio.sleep(INTERVAL)
            if len(assets) == 1:
                tallyfy.complete_run(run_id)
                await asyncio.sleep(2 * INTERVAL)
            await airflow.kill()
        assert airflow.times_fired(run_id) == 2
        assert len({event["event_id"] for event in airflow.fired}) == 1

    virtually(scenario)


def test_two_triggers_of_one_asset_keep_separate_states(virtually):
    async def scenario(tallyfy, airflow):
        run_id = tallyfy.add_run()["id"]
        for events in ("completed", "problem", "problem", "completed"):
            airflow.start(events=events)
            await asyncio.sleep(2)
            tallyfy.add_problem(run_id)
            await asyncio.sleep(2 * INTERVAL)
            await airflow.kill()
            tallyfy.complete_run(run_id)
        assert len(airflow.kept) == 2
        assert [event["event"] for event in airflow.fired] == ["problem", "problem", "completed"]

    virtually(scenario)


def test_a_state_that_cannot_be_saved_stops_nothing_and_is_saved_later(virtually, caplog):
    async def scenario(tallyfy, airflow):
        first, second = tallyfy.add_runs(2)
        airflow.start([ONE, OTHER])
        await asyncio.sleep(2)
        airflow.broken = {OTHER}
        tallyfy.complete_run(first)
        await asyncio.sleep(2 * INTERVAL)
        assert "Airflow does not keep which Tallyfy events were fired" in caplog.text
        airflow.broken = set()
        await asyncio.sleep(2 * INTERVAL)
        await airflow.kill()
        tallyfy.complete_run(second)
        airflow.start([ONE, OTHER])
        await asyncio.sleep(INTERVAL)
        assert [event["run"]["id"] for event in airflow.fired] == [first, second]

    virtually(scenario)


def test_a_state_that_cannot_be_read_for_a_while_loses_nothing_and_is_logged_once(virtually, capsys):
    async def scenario(tallyfy, airflow):
        run_id = tallyfy.add_run()["id"]
        airflow.broken = {ONE}
        airflow.start(replay=0)
        await asyncio.sleep(INTERVAL)
        tallyfy.complete_run(run_id)
        assert capsys.readouterr().out.count("Cannot listen to Tallyfy") == 1
        assert airflow.asked.count("GetAssetStateStoreByName") > 3
        airflow.broken = set()
        await until_told(airflow, run_id)

    virtually(scenario)


def test_a_defect_of_one_look_does_not_end_the_trigger(virtually, capsys, monkeypatch):
    async def scenario(tallyfy, airflow):
        run_id = tallyfy.add_run()["id"]
        looks = iter([RuntimeError("momentary")])
        look = RunListProbe.look

        def broken_once(watch):
            for defect in looks:
                raise defect
            return look(watch)

        monkeypatch.setattr(RunListProbe, "look", broken_once)
        airflow.start(replay=0)
        await asyncio.sleep(1)
        tallyfy.complete_run(run_id)
        await until_told(airflow, run_id)
        assert "RuntimeError: momentary" in capsys.readouterr().out

    virtually(scenario)


def test_the_log_says_since_when_and_how_many_runs_are_known(virtually, capsys):
    async def scenario(tallyfy, airflow):
        tallyfy.add_runs(3)
        airflow.start(replay=0)
        await asyncio.sleep(3 * INTERVAL)
        since = r"Listening since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00, 3 runs known\."
        assert len(re.findall(since, capsys.readouterr().out)) == 1

    virtually(scenario)


@pytest.mark.parametrize(("replay", "fired"), [(0, 0), (3600, 1), (1e300, 1)])
def test_a_first_start_fires_the_events_of_the_replay_before(virtually, replay, fired):
    async def scenario(tallyfy, airflow):
        a_minute_ago = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
        run_id = tallyfy.add_run(status="complete", completed_at=a_minute_ago)["id"]
        for _ in range(2):
            airflow.start(replay=replay)
            await asyncio.sleep(INTERVAL)
            await airflow.kill()
        assert airflow.times_fired(run_id) == fired

    virtually(scenario)


def turn() -> int:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.turns


def test_a_long_archive_is_compared_in_parts(virtually, monkeypatch):
    work: Counter[int] = Counter()

    def count_calls(owner: type, name: str) -> None:
        method = getattr(owner, name)

        def counted(*arguments):
            work[turn()] += 1
            return method(*arguments)

        monkeypatch.setattr(owner, name, counted)

    async def scenario(tallyfy, airflow):
        count_calls(EventLog, "_keep")
        monkeypatch.setattr(run_list, "_age", lambda run: work.update([turn()]) or age(run))
        tallyfy.add_runs(1500, archived=True, status="complete")
        airflow.start(events="completed, restored", replay=0)
        await asyncio.sleep(3 * INTERVAL)
        assert work.total() > 3000
        assert max(work.values()) <= 1000, "in one turn of the event loop; comparing two runs reads two ages"

    age = run_list._age
    virtually(scenario)


def test_the_state_has_a_short_key_for_any_filters(virtually):
    async def scenario(tallyfy, airflow):
        airflow.start(query="A/B " * 500, tags=[f"{number:032x}" for number in range(50)])
        await asyncio.sleep(2)
        [(_, key)] = airflow.kept
        assert len(key) < 100
        assert "/" not in key

    virtually(scenario)
