"""DAGs that start when something happens to a run, over a real socket."""

from __future__ import annotations

import asyncio
from typing import Any

from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunEventTrigger
from airflow_provider_tallyfy.waits import watcher
from tests.airflow_driver import eventually


def trigger(**arguments: Any) -> TallyfyRunEventTrigger:
    return TallyfyRunEventTrigger(**{"poll_interval": 0.5, "replay": 0, **arguments})


async def fired(tallyfy, listening: TallyfyRunEventTrigger, *acts: Any, count: int) -> list[dict[str, Any]]:
    """Run the trigger, act after the first look and after every second look since, and stop after some events."""
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
        await looks(2)  # the answer to the last but one is processed
        act()
    await looks(3)
    assert await asyncio.to_thread(eventually, lambda: len(events) >= count)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(watcher._SHARED) == 0
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
    events = asyncio.run(fired(tallyfy, listening, *acts, count=3))
    assert names(events) == [("completed", run_id), ("archived", run_id), ("restored", run_id)]
    assert len({event["event_id"] for event in events}) == 3
    assert events[0]["run"]["url"] == tallyfy.run_url(run_id)


def test_several_triggers_for_the_same_list_share_one_look(tallyfy):
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


def test_template_and_tag_go_by_name_which_is_looked_up_once(tallyfy):
    tallyfy.add_template("Vendor review")
    run_id = tallyfy.add_run("Vendor review", tags=["Audit"])["id"]
    tallyfy.add_run("Vendor review", name="without the tag")
    listening = trigger(template_id="vendor review", tags=["Audit"])
    events = asyncio.run(fired(tallyfy, listening, lambda: tallyfy.complete_run(run_id), count=1))
    assert names(events) == [("completed", run_id)]
    assert sum(request.path.endswith(("/tags", "/checklists")) for request in tallyfy.requests) == 2
