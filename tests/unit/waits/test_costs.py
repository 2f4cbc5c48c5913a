"""What one wait and two hundred waits cost Tallyfy, in an event loop whose clock jumps."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook
from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunStatusTrigger
from airflow_provider_tallyfy.waits import watcher
from airflow_provider_tallyfy.waits.goals import RunGoal
from airflow_provider_tallyfy.waits.results import WaitResult
from tests.virtual_time import VirtualTallyfy, in_virtual_time

INTERVAL = 0.5


@pytest.fixture(params=[1, 200])
def count(request) -> int:
    return request.param


@pytest.fixture
def tallyfy(monkeypatch) -> VirtualTallyfy:
    """Raise the limit of requests, which is not tested here, and shorten timeouts while Tallyfy fails."""
    virtual = VirtualTallyfy()
    virtual.settings = {"wait_requests_per_minute": 600_000, "retry_budget": 5.0, "timeout": 2.0}
    monkeypatch.setattr(TallyfyAsyncHook, "connect", lambda conn_id: virtual.connect())
    now = SimpleNamespace(time=lambda: asyncio.get_running_loop().time())
    monkeypatch.setattr("airflow_provider_tallyfy.triggers._waits.time", now)
    return virtual


def trigger(run_id: str, **arguments: Any) -> TallyfyRunStatusTrigger:
    defaults = {"target_status": ["complete"], "failure_status": ["archived"], "deadline": 3600.0}
    common = {"organization_id": None, "tallyfy_conn_id": "tallyfy_default", "poll_interval": INTERVAL}
    return TallyfyRunStatusTrigger(run_id=run_id, **defaults | common | arguments)


def newest_update(tallyfy, run_id: str) -> str:
    return tallyfy.run(run_id)["last_updated"].replace("Z", "+00:00")


async def end_of(waiting: TallyfyRunStatusTrigger) -> Any:
    async for event in waiting.run():
        return event.payload["outcome"]


def outcomes(triggers: list[TallyfyRunStatusTrigger], *acts: Callable[[], Any]) -> Counter[str]:
    """Let triggers wait together, act in each interval from the third on, and count how they end."""

    async def main() -> Counter[str]:
        waits = [asyncio.create_task(end_of(each)) for each in triggers]
        await asyncio.sleep(2.5 * INTERVAL)
        for act in acts:
            act()
            await asyncio.sleep(INTERVAL)
        ends = Counter(await asyncio.gather(*waits))
        assert len(watcher._SHARED) == 0, "the last wait ends the watcher and its entry in the registry"
        assert asyncio.all_tasks() == {asyncio.current_task()}, "and its tasks"
        return ends

    ends: Counter[str] = in_virtual_time(main)
    return ends


def pages(runs: int) -> int:
    return -(-runs // 100)


def lists_and_looks(tallyfy) -> tuple[int, int]:
    lists = sum(request.path.endswith("/runs") for request in tallyfy.requests)
    return lists, len(tallyfy.requests) - lists


def test_waiting_for_active_runs_costs_a_list_or_a_look_a_round(tallyfy, count):
    run_ids = tallyfy.add_runs(count)
    costs: list[int] = []

    def measure() -> None:
        costs.append(len(tallyfy.requests))
        tallyfy.clear_requests()

    def finish() -> None:
        for run_id in run_ids:
            tallyfy.complete_run(run_id)

    triggers = [trigger(run_id, newer_than=newest_update(tallyfy, run_id)) for run_id in run_ids]
    ends = outcomes(triggers, tallyfy.clear_requests, measure, measure, finish)
    assert ends == {"reached": count}
    rounds = 2 * pages(count)  # an interval has one round, or two if jitter shortens them
    assert all(cost <= rounds for cost in costs)
    assert len(tallyfy.requests) <= 5 * max(1, pages(count))


def test_a_wait_judges_each_state_of_its_run_once_however_often_it_is_seen(tallyfy, count, monkeypatch):
    run_ids = tallyfy.add_runs(count)
    judged: Counter[tuple[str, str]] = Counter()
    judge = RunGoal.judge

    def counted(goal: RunGoal, seen: Run, run_url: str) -> WaitResult:
        judged[seen.id, seen.status] += 1
        return judge(goal, seen, run_url)

    def finish() -> None:
        for run_id in run_ids:
            tallyfy.complete_run(run_id)

    monkeypatch.setattr(RunGoal, "judge", counted)
    triggers = [trigger(run_id, newer_than=newest_update(tallyfy, run_id)) for run_id in run_ids]
    assert outcomes(triggers, lambda: None, lambda: None, finish) == {"reached": count}
    assert judged == {(run_id, status): 1 for run_id in run_ids for status in ("active", "complete")}


def test_half_of_the_runs_finishing_costs_some_pages_more(tallyfy, count):
    run_ids = tallyfy.add_runs(2 * count)
    half, rest = run_ids[::2], run_ids[1::2]

    def finish(finished: list[str]) -> None:
        for run_id in finished:
            tallyfy.complete_run(run_id)
        tallyfy.clear_requests()

    triggers = [trigger(run_id, newer_than=newest_update(tallyfy, run_id)) for run_id in run_ids]
    requests: list[int] = []
    ends = outcomes(
        triggers, lambda: finish(half), lambda: requests.append(len(tallyfy.requests)), lambda: finish(rest)
    )
    assert ends == {"reached": 2 * count}
    assert requests[0] <= 4 * pages(2 * count) + 2


def test_missing_runs_cost_a_look_each_and_hardly_a_list(tallyfy, count):
    ends = outcomes([trigger(f"{number:032x}", missing="fail") for number in range(count)])
    assert ends == {"missing": count}
    lists, looks = lists_and_looks(tallyfy)
    assert looks == count
    # The list of archived runs is read once for each, to see whether it is archived. The other lists
    # show none of them, and are read again only when twice as many are searched for.
    assert lists <= count + 2 * count.bit_length() + 2


@pytest.mark.parametrize("lie", ["status_filter_honored", "nothing listed"])
def test_a_wrong_list_costs_looks_and_fails_no_wait(tallyfy, count, lie):
    run_ids = tallyfy.add_runs(count)
    if lie == "nothing listed":
        tallyfy.faults.add("status", status=200, body={"data": []}, path=r"/runs\?", times=None)
    else:
        tallyfy.behavior = tallyfy.behavior.changed({lie: False})
    triggers = [trigger(run_id, newer_than=newest_update(tallyfy, run_id)) for run_id in run_ids]
    ends = outcomes(triggers, lambda: [tallyfy.complete_run(run_id) for run_id in run_ids])
    assert ends == {"reached": count}


def test_a_storm_of_429_costs_few_requests_and_fails_no_wait(tallyfy, count):
    tallyfy.settings |= {"retry_budget": 60.0}
    run_ids = tallyfy.add_runs(count)
    tallyfy.faults.add("status", status=429, retry_after=1, times=2)
    for run_id in run_ids:
        tallyfy.complete_run(run_id)
    ends = outcomes([trigger(run_id, newer_than="2020-01-01T00:00:00+00:00") for run_id in run_ids])
    assert ends == {"reached": count}
    assert len(tallyfy.requests) <= 2 + 2 * pages(count) + 2


def test_a_lasting_storm_of_429_costs_few_requests_and_counts_no_failed_look(tallyfy):
    tallyfy.settings |= {"retry_budget": 60.0}
    run_ids = tallyfy.add_runs(200)
    storm = tallyfy.faults.add("status", status=429, retry_after=1, times=None)

    def calm() -> None:
        tallyfy.faults.remove(storm)
        for run_id in run_ids:
            tallyfy.complete_run(run_id)

    triggers = [trigger(run_id, newer_than=newest_update(tallyfy, run_id), max_poll_failures=0) for run_id in run_ids]
    goes_on = [lambda: None] * 10
    assert outcomes(triggers, *goes_on, calm) == {"reached": 200}
    assert 2 < storm.hits <= 4, "each pause is longer than the one before"
    assert len(tallyfy.requests) <= storm.hits + 3 * pages(200)


def test_a_storm_of_5xx_costs_few_requests_and_fails_no_wait(tallyfy, count):
    run_ids = tallyfy.add_runs(count)
    storm = tallyfy.faults.add("status", status=503, times=None)
    during: list[int] = []

    def calm() -> None:
        during.append(len(tallyfy.requests))
        tallyfy.faults.remove(storm)
        for run_id in run_ids:
            tallyfy.complete_run(run_id)

    triggers = [trigger(run_id, newer_than=newest_update(tallyfy, run_id)) for run_id in run_ids]
    assert outcomes(triggers, calm) == {"reached": count}
    assert during[0] <= 20


def test_a_hanging_tallyfy_costs_few_requests_and_fails_no_wait(tallyfy, count):
    tallyfy.settings |= {"retry_budget": 20.0, "timeout": 1.0}
    run_ids = tallyfy.add_runs(count)
    tallyfy.faults.add("hang", seconds=60, times=2)
    for run_id in run_ids:
        tallyfy.complete_run(run_id)
    ends = outcomes([trigger(run_id, newer_than="2020-01-01T00:00:00+00:00") for run_id in run_ids])
    assert ends == {"reached": count}
    assert len(tallyfy.requests) <= 4 + 2 * pages(count)
