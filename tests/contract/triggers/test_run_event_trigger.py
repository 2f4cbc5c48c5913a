"""DAGs that start when something happens to a run."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from airflow_provider_tallyfy.triggers import _event_memory as event_memory
from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunEventTrigger
from airflow_provider_tallyfy.waits import watcher
from tests.airflow_driver import eventually

BOTH_WORLDS = pytest.mark.parametrize("tallyfy_sandbox", ["lenient", "strict"], indirect=True)


class StateStore:
    """The asset state store that Airflow >= 3.3 gives to an event trigger."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def aget(self, key: str, default: Any = None) -> Any:
        return json.loads(self.kept[key]) if key in self.kept else default

    async def aset(self, key: str, value: Any) -> None:
        self.kept[key] = json.dumps(value)


@pytest.fixture
def kept_at_once(monkeypatch):
    """Airflow takes no time to take events over."""
    monkeypatch.setattr(event_memory, "_SHIPPING", 0.0)


def trigger(store: StateStore | None = None, **arguments: Any) -> TallyfyRunEventTrigger:
    made = TallyfyRunEventTrigger(**{"poll_interval": 0.5, "replay": 0, **arguments})
    made.asset_state_store = store
    return made


async def heard(tallyfy, listening: TallyfyRunEventTrigger, *acts: Any, count: int) -> list[dict[str, Any]]:
    """Listen, do something after the first look and after every second look since, and stop after some events."""
    events: list[dict[str, Any]] = []

    async def listen() -> None:
        async for event in listening.run():
            events.append(event.payload)  # noqa: PERF401 - they are read while more come

    def looks_begun() -> int:
        return sum(("sort", "created_at") in request.query for request in list(tallyfy.requests))

    async def looks(more: int) -> None:
        begun = looks_begun()
        assert await asyncio.to_thread(eventually, lambda: looks_begun() >= begun + more)

    task = asyncio.create_task(listen())
    await looks(1)
    for act in (lambda: None, *acts):
        await looks(2)  # the answer to the last but one is taken in
        act()
    await looks(3)
    assert await asyncio.to_thread(eventually, lambda: len(events) >= count)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(watcher._SHARED) == 0
    return events


def names(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["event"], event["run"]["id"]) for event in events]


@BOTH_WORLDS
def test_it_tells_what_happens_to_a_run_of_its_template_as_it_happens(tallyfy):
    tallyfy.add_template("Onboarding")
    tallyfy.add_template("Other")
    run_id = tallyfy.add_run("Onboarding")["id"]
    acts = (
        lambda: (tallyfy.complete_run(run_id), tallyfy.add_run("Other", status="complete")),
        lambda: tallyfy.archive_run(run_id),
        lambda: tallyfy.restore_run(run_id),
    )
    template_id = tallyfy.run(run_id)["checklist_id"]
    listening = trigger(events=["completed", "archived", "restored"], template_id=template_id)
    events = asyncio.run(heard(tallyfy, listening, *acts, count=3))
    assert names(events) == [("completed", run_id), ("archived", run_id), ("restored", run_id)]
    assert len({event["event_id"] for event in events}) == 3
    assert events[0]["run"]["url"] == tallyfy.run_url(run_id)


def test_a_launch_is_told_with_what_happened_to_the_run_since(tallyfy):
    tallyfy.add_run(created_at="2026-01-01T00:00:00Z")

    def act() -> None:
        tallyfy.add_run(id="1" * 32, status="complete")

    events = asyncio.run(heard(tallyfy, trigger(events=["launched", "completed"]), act, count=2))
    assert names(events) == [("launched", "1" * 32), ("completed", "1" * 32)]


@BOTH_WORLDS
@pytest.mark.usefixtures("kept_at_once")
def test_what_happened_to_a_run_before_it_was_archived_is_told(tallyfy):
    run_id, store = tallyfy.add_run()["id"], StateStore()

    def act() -> None:
        tallyfy.complete_run(run_id)
        tallyfy.archive_run(run_id)
        tallyfy.add_run(id="1" * 32, status="complete", archived=True)

    told = asyncio.run(heard(tallyfy, trigger(store), act, count=2))
    assert sorted(names(told)) == sorted([("completed", run_id), ("completed", "1" * 32)])
    tallyfy.add_run(id="2" * 32, status="complete", archived=True)  # while no triggerer runs
    assert names(asyncio.run(heard(tallyfy, trigger(store), count=1))) == [("completed", "2" * 32)]


def test_a_problem_is_told(tallyfy):
    run_id = tallyfy.add_run()["id"]
    events = asyncio.run(heard(tallyfy, trigger(events=["problem"]), lambda: tallyfy.add_problem(run_id), count=1))
    assert names(events) == [("problem", run_id)]


@pytest.mark.usefixtures("kept_at_once")
def test_a_restart_neither_loses_nor_repeats_an_event(tallyfy):
    run_ids, store = tallyfy.add_runs(4), StateStore()
    before = asyncio.run(heard(tallyfy, trigger(store), lambda: tallyfy.complete_run(run_ids[0]), count=1))
    tallyfy.complete_run(run_ids[1])  # while no triggerer runs
    after = asyncio.run(heard(tallyfy, trigger(store), lambda: tallyfy.complete_run(run_ids[2]), count=2))
    nothing_new = asyncio.run(heard(tallyfy, trigger(store), count=0))
    assert [names(events) for events in (before, after, nothing_new)] == [
        [("completed", run_ids[0])],
        [("completed", run_ids[1]), ("completed", run_ids[2])],
        [],
    ]


def test_without_a_state_store_recent_events_come_again_under_the_same_id(tallyfy):
    run_id = tallyfy.add_run()["id"]
    before = asyncio.run(heard(tallyfy, trigger(replay=3600), lambda: tallyfy.complete_run(run_id), count=1))
    again = asyncio.run(heard(tallyfy, trigger(replay=3600), count=1))
    assert before == again


def test_it_goes_on_listening_through_trouble(tallyfy, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    run_id = tallyfy.add_run()["id"]

    def act() -> None:
        tallyfy.faults.add("status", status=503, times=2)
        tallyfy.complete_run(run_id)

    assert names(asyncio.run(heard(tallyfy, trigger(), act, count=1))) == [("completed", run_id)]


def test_several_listeners_to_the_same_list_share_one_look(tallyfy):
    run_id = tallyfy.add_run()["id"]

    async def first(events: list[str]) -> Any:
        async for event in trigger(events=events).run():
            return event.payload

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(first(events)) for events in (["completed"], ["completed", "problem"])]
        assert await asyncio.to_thread(eventually, lambda: len(tallyfy.requests) == 1)
        for _ in range(100):
            await asyncio.sleep(0)  # a look of the second listener would begin here
        assert len(tallyfy.requests) == 1
        tallyfy.complete_run(run_id)
        return await asyncio.gather(*tasks)

    assert names(asyncio.run(main())) == [("completed", run_id)] * 2
