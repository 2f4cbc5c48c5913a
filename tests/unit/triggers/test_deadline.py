"""What a trigger does at its deadline, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_tallyfy.api.retry import MAX_RETRY_AFTER
from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook
from airflow_provider_tallyfy.triggers import tallyfy as triggers
from airflow_provider_tallyfy.waits.results import Outcome, WaitResult
from tests.virtual_time import VirtualTallyfy, in_virtual_time

RUN_ID = "0123456789abcdef0123456789abcdef"
COMMON = {
    "organization_id": None,
    "tallyfy_conn_id": "tallyfy_default",
    "poll_interval": 60,
    "failure_status": [],
    "missing": "wait",
}
TRIGGERS: dict[str, Any] = {
    "run": lambda **arguments: triggers.TallyfyRunStatusTrigger(
        **{"run_id": RUN_ID, "target_status": ["complete"]} | COMMON | arguments
    ),
    "runs": lambda **arguments: triggers.TallyfyRunsStatusTrigger(
        **{"run_ids": [RUN_ID], "target_status": ["complete"]} | COMMON | arguments
    ),
    "task": lambda **arguments: triggers.TallyfyTaskTrigger(
        **{"run_id": RUN_ID, "task_name": "Sign", "may_appear_later": True} | COMMON | arguments
    ),
}
ENDS = {"run": Outcome.REACHED, "runs": Outcome.REACHED, "task": Outcome.FAILED}


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture(params=["lenient", "strict"])
def tallyfy(request, monkeypatch) -> VirtualTallyfy:
    virtual = VirtualTallyfy(request.param)
    monkeypatch.setattr(TallyfyAsyncHook, "connect", lambda conn_id: virtual.connect())
    monkeypatch.setattr("airflow_provider_tallyfy.triggers._waits.time", SimpleNamespace(time=now))
    return virtual


async def end_of(trigger: Any) -> tuple[WaitResult, float]:
    (event,) = [event async for event in trigger.run()]
    return WaitResult.from_event(event.payload), now()


async def at(moment: float, act: Callable[[], Any]) -> None:
    await asyncio.sleep(moment - now())
    act()


def appear(tallyfy: VirtualTallyfy) -> None:
    tallyfy.add_run(id=RUN_ID, status="complete", archived=True)


@pytest.mark.parametrize("kind", TRIGGERS)
def test_a_run_that_appears_archived_is_found_at_the_end(tallyfy, kind):
    async def main() -> WaitResult:
        appearing = asyncio.create_task(at(90, lambda: appear(tallyfy)))
        ending, moment = await end_of(TRIGGERS[kind](deadline=200.0))
        await appearing
        assert moment < 202
        return ending

    assert in_virtual_time(main).outcome is ENDS[kind]


def test_a_run_that_appears_archived_is_found_although_a_longer_wait_shares_looks(tallyfy):
    async def main() -> WaitResult:
        longer = asyncio.create_task(end_of(TRIGGERS["run"]()))
        await asyncio.sleep(30)
        appearing = asyncio.create_task(at(90, lambda: appear(tallyfy)))
        ending, _ = await end_of(TRIGGERS["run"](deadline=200.0))
        await appearing
        await longer
        return ending

    assert in_virtual_time(main).outcome is Outcome.REACHED


@pytest.mark.parametrize("kind", TRIGGERS)
def test_a_run_that_appears_archived_is_found_at_a_tenth_look(tallyfy, kind):
    async def main() -> tuple[WaitResult, float]:
        appearing = asyncio.create_task(at(90, lambda: appear(tallyfy)))
        ended = await end_of(TRIGGERS[kind]())
        await appearing
        return ended

    ending, moment = in_virtual_time(main)
    assert ending.outcome is ENDS[kind]
    assert moment < 12 * 60


def test_a_run_that_never_appears_costs_little_more_than_a_request_a_look(tallyfy):
    async def main() -> WaitResult:
        return (await end_of(TRIGGERS["run"](deadline=3600.0)))[0]

    assert in_virtual_time(main).outcome is Outcome.TIMED_OUT
    assert len(tallyfy.asked_at) <= 80


def limited(tallyfy: VirtualTallyfy, retry_after: float, after: int = 0) -> None:
    tallyfy.add_run(id=RUN_ID)
    tallyfy.faults.add("status", status=429, retry_after=retry_after, times=None, after=after)


@pytest.mark.parametrize("kind", TRIGGERS)
def test_a_long_pause_delays_neither_the_deadline_nor_the_last_look(tallyfy, kind):
    limited(tallyfy, 60)
    ending, moment = in_virtual_time(lambda: end_of(TRIGGERS[kind](deadline=6.0, poll_interval=1)))
    assert ending.outcome is Outcome.TIMED_OUT
    assert moment < 7
    assert tallyfy.asked_at[1:] == [pytest.approx(6.0, abs=0.2)]


@pytest.mark.parametrize("kind", ["run", "runs"])
def test_a_wrong_retry_after_does_not_hide_what_happened_meanwhile(tallyfy, kind):
    tallyfy.add_run(id=RUN_ID)
    tallyfy.faults.add("status", status=429, retry_after=604_800, times=1)

    async def main() -> tuple[WaitResult, float]:
        completing = asyncio.create_task(at(5, lambda: tallyfy.complete_run(RUN_ID)))
        ended = await end_of(TRIGGERS[kind](deadline=60.0, poll_interval=1))
        await completing
        return ended

    ending, moment = in_virtual_time(main)
    assert (ending.outcome, len(tallyfy.asked_at)) == (Outcome.REACHED, 2)
    assert moment == pytest.approx(60.0, abs=1)


def test_a_retry_after_pauses_a_connection_for_a_quarter_of_an_hour_at_most(tallyfy, caplog):
    caplog.set_level("INFO", "airflow_provider_tallyfy.waits.watcher.poller")
    tallyfy.add_run(id=RUN_ID)
    tallyfy.faults.add("status", status=429, retry_after=604_800, times=1)

    async def main() -> tuple[WaitResult, float]:
        completing = asyncio.create_task(at(5, lambda: tallyfy.complete_run(RUN_ID)))
        ended = await end_of(TRIGGERS["run"](poll_interval=1))
        await completing
        return ended

    ending, moment = in_virtual_time(main)
    assert ending.outcome is Outcome.REACHED
    assert MAX_RETRY_AFTER <= moment < MAX_RETRY_AFTER + 120
    assert "Tallyfy asked for a pause: no look at its runs for the next 90" in caplog.text


@pytest.mark.parametrize("kind", TRIGGERS)
def test_the_last_look_is_not_repeated_after_the_deadline(tallyfy, kind):
    limited(tallyfy, 60, after=1)
    ending, moment = in_virtual_time(lambda: end_of(TRIGGERS[kind](deadline=6.0)))
    assert ending.outcome is Outcome.TIMED_OUT
    assert moment < 8
    assert len(tallyfy.asked_at) == 2


def test_a_short_pause_does_not_skip_the_last_look(tallyfy):
    tallyfy.add_run(id=RUN_ID)
    tallyfy.faults.add("status", status=429, retry_after=7, times=1)

    async def main() -> tuple[WaitResult, float]:
        completing = asyncio.create_task(at(5, lambda: tallyfy.complete_run(RUN_ID)))
        ended = await end_of(TRIGGERS["run"](deadline=6.0, poll_interval=1))
        await completing
        return ended

    ending, moment = in_virtual_time(main)
    assert ending.outcome is Outcome.REACHED
    assert 7 <= moment < 10
