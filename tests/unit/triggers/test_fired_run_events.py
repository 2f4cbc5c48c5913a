"""The events that a trigger fires, in an event loop whose clock jumps."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook
from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunEventTrigger
from airflow_provider_tallyfy.waits import watcher
from tests.virtual_time import VirtualTallyfy, in_virtual_time

INTERVAL = 60


class StateStore:
    """The asset state store that Airflow >= 3.3 gives to an event trigger."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def aget(self, key: str, default: Any = None) -> Any:
        return json.loads(self.kept[key]) if key in self.kept else default

    async def aset(self, key: str, value: Any) -> None:
        self.kept[key] = json.dumps(value)


@pytest.fixture(params=["lenient", "strict"])
def tallyfy(request, monkeypatch) -> VirtualTallyfy:
    virtual = VirtualTallyfy(request.param)
    monkeypatch.setattr(TallyfyAsyncHook, "connect", lambda conn_id: virtual.connect())
    return virtual


def trigger(store: StateStore | None = None, **arguments: Any) -> TallyfyRunEventTrigger:
    made = TallyfyRunEventTrigger(**{"poll_interval": INTERVAL, "replay": 0, **arguments})
    made.asset_state_store = store
    return made


def fired(listening: TallyfyRunEventTrigger, *acts: Any) -> list[dict[str, Any]]:
    """Run the trigger, act after the first look and after every second look since, and stop a few looks later."""
    events: list[dict[str, Any]] = []

    async def listen() -> None:
        async for event in listening.run():
            events.append(event.payload)  # noqa: PERF401 - they are kept when the task is cancelled

    async def main() -> None:
        task = asyncio.create_task(listen())
        for act in acts:
            await asyncio.sleep(2.5 * INTERVAL)
            act()
        await asyncio.sleep(4 * INTERVAL)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert len(watcher._SHARED) == 0

    in_virtual_time(main)
    return events


def names(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["event"], event["run"]["id"]) for event in events]


def test_events_of_a_run_fire_as_they_happen(tallyfy):
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
    events = fired(listening, *acts)
    assert names(events) == [("completed", run_id), ("archived", run_id), ("restored", run_id)]
    assert len({event["event_id"] for event in events}) == 3


def test_a_launch_fires_with_later_events_of_the_run(tallyfy):
    tallyfy.add_run(created_at="2026-01-01T00:00:00Z")

    def act() -> None:
        tallyfy.add_run(id="1" * 32, status="complete")

    events = fired(trigger(events=["launched", "completed"]), act)
    assert names(events) == [("launched", "1" * 32), ("completed", "1" * 32)]


def test_events_before_a_run_was_archived_fire(tallyfy):
    run_id, store = tallyfy.add_run()["id"], StateStore()

    def act() -> None:
        tallyfy.complete_run(run_id)
        tallyfy.archive_run(run_id)
        tallyfy.add_run(id="1" * 32, status="complete", archived=True)

    events = fired(trigger(store), act)
    assert sorted(names(events)) == sorted([("completed", run_id), ("completed", "1" * 32)])
    tallyfy.add_run(id="2" * 32, status="complete", archived=True)  # while no triggerer runs
    assert names(fired(trigger(store))) == [("completed", "2" * 32)]


def test_a_problem_fires(tallyfy):
    run_id = tallyfy.add_run()["id"]
    events = fired(trigger(events=["problem"]), lambda: tallyfy.add_problem(run_id))
    assert names(events) == [("problem", run_id)]


def test_a_restart_neither_loses_nor_repeats_an_event(tallyfy):
    run_ids, store = tallyfy.add_runs(4), StateStore()
    before = fired(trigger(store), lambda: tallyfy.complete_run(run_ids[0]))
    tallyfy.complete_run(run_ids[1])  # while no triggerer runs
    after = fired(trigger(store), lambda: tallyfy.complete_run(run_ids[2]))
    nothing_new = fired(trigger(store))
    assert [names(events) for events in (before, after, nothing_new)] == [
        [("completed", run_ids[0])],
        [("completed", run_ids[1]), ("completed", run_ids[2])],
        [],
    ]


def test_without_a_state_store_recent_events_come_again_under_the_same_id(tallyfy):
    run_id = tallyfy.add_run()["id"]
    before = fired(trigger(replay=3600), lambda: tallyfy.complete_run(run_id))
    again = fired(trigger(replay=3600))
    assert before == again


def test_a_trigger_goes_on_after_failures(tallyfy):
    tallyfy.settings["retry_budget"] = 0.0
    run_id = tallyfy.add_run()["id"]

    def act() -> None:
        tallyfy.faults.add("status", status=503, times=2)
        tallyfy.complete_run(run_id)

    assert names(fired(trigger(), act)) == [("completed", run_id)]
