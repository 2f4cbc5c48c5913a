"""A list that is read repeatedly shows what was archived in between, and stays cheap."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from airflow_provider_tallyfy.api.inputs.queries import RunQuery
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.waits.run_list import RunListProbe
from tests.virtual_time import VirtualTallyfy, in_virtual_time

LONG_AGO = "2020-01-01T00:00:00.000Z"


class Looks:
    """One list, and what its looks show and cost."""

    def __init__(self, tallyfy: VirtualTallyfy, **query: Any) -> None:
        self.tallyfy = tallyfy
        self._watch = RunListProbe(tallyfy.organization_id, RunQuery(**query))
        self.requests = 0

    async def look(self) -> dict[str, Run]:
        before = len(self.tallyfy.asked_at)
        hook = await self.tallyfy.connect()
        runs = await hook.execute(self._watch.look())
        self.requests = len(self.tallyfy.asked_at) - before
        shown = {run.id: run for run in runs}
        assert len(shown) == len(runs)
        return shown


def in_both_worlds(test: Callable[[VirtualTallyfy], Awaitable[None]]) -> Callable[[str], None]:
    @pytest.mark.parametrize("behavior", ["lenient", "strict"])
    def run(behavior: str) -> None:
        async def main() -> None:
            tallyfy = VirtualTallyfy(behavior)
            tallyfy.behavior = tallyfy.behavior.changed({"list_lag": 0})
            await test(tallyfy)

        in_virtual_time(main)

    run.__name__ = test.__name__
    return run


@in_both_worlds
async def test_a_run_that_is_completed_and_archived_between_two_looks_is_shown(tallyfy):
    old = tallyfy.add_run(created_at=LONG_AGO)["id"]
    tallyfy.add_runs(250, created_at=LONG_AGO, archived=True)
    tallyfy.add_run()
    looks = Looks(tallyfy)
    assert len(await looks.look()) == 252
    tallyfy.complete_run(old)
    tallyfy.archive_run(old)
    shown = await looks.look()
    assert shown[old].is_archived
    assert shown[old].completed_at is not None
    assert looks.requests <= 5
    assert await looks.look() == shown
    assert looks.requests == 2


@in_both_worlds
async def test_a_run_that_is_launched_and_archived_between_two_looks_is_shown(tallyfy):
    tallyfy.add_runs(300, created_at=LONG_AGO, archived=True)
    tallyfy.add_run()
    looks = Looks(tallyfy)
    await looks.look()
    new = tallyfy.add_runs(150, status="complete", archived=True)
    assert set(new) <= (await looks.look()).keys()
    assert looks.requests <= 4


@in_both_worlds
async def test_many_runs_that_are_archived_at_once_cost_pages(tallyfy):
    run_ids = tallyfy.add_runs(300)
    looks = Looks(tallyfy)
    await looks.look()
    for run_id in run_ids[:250]:
        tallyfy.archive_run(run_id)
    shown = await looks.look()
    assert [run_id for run_id in run_ids if shown[run_id].is_archived] == run_ids[:250]
    assert looks.requests <= 4


@in_both_worlds
async def test_a_restored_run_is_shown_live(tallyfy):
    run_id = tallyfy.add_run(created_at=LONG_AGO, archived=True)["id"]
    looks = Looks(tallyfy)
    assert (await looks.look())[run_id].is_archived
    tallyfy.restore_run(run_id)
    assert not (await looks.look())[run_id].is_archived


@in_both_worlds
async def test_a_missing_run_is_soon_not_looked_for_any_more(tallyfy):
    run_id = tallyfy.add_run()["id"]
    tallyfy.add_run()
    looks = Looks(tallyfy)
    await looks.look()
    tallyfy.archive_run(run_id)
    tallyfy.delete_run(run_id)
    for _ in range(3):
        await looks.look()
        assert 2 < looks.requests <= 6
    await looks.look()
    assert looks.requests == 2


@in_both_worlds
async def test_a_run_that_does_not_match_any_more_is_soon_not_looked_for_any_more(tallyfy):
    tallyfy.add_run(name="ACME one")
    run_id = tallyfy.add_run(name="ACME two")["id"]
    looks = Looks(tallyfy, query="ACME")
    await looks.look()
    tallyfy.update_run(run_id, name="Contoso")
    for _ in range(4):
        shown = await looks.look()
    assert run_id not in shown
    assert looks.requests == 2


@in_both_worlds
async def test_a_look_that_fails_changes_nothing(tallyfy):
    run_id = tallyfy.add_run(created_at=LONG_AGO)["id"]
    looks = Looks(tallyfy)
    await looks.look()
    tallyfy.archive_run(run_id)
    tallyfy.faults.add("status", status=422, path="archived=only")
    with pytest.raises(Exception, match="422"):
        await looks.look()
    assert (await looks.look())[run_id].is_archived


@in_both_worlds
async def test_a_run_without_permission_hides_no_other(tallyfy):
    hidden, other = tallyfy.add_runs(2)
    looks = Looks(tallyfy)
    await looks.look()
    tallyfy.faults.add("status", status=403, path=hidden, times=None)
    tallyfy.archive_run(hidden)
    tallyfy.delete_run(hidden)
    tallyfy.complete_run(other)
    assert (await looks.look())[other].completed_at is not None


def test_a_list_that_lags_behind_restores_no_run():
    async def main() -> None:
        tallyfy = VirtualTallyfy()
        run_id = tallyfy.add_run(created_at=LONG_AGO)["id"]
        looks = Looks(tallyfy)
        await looks.look()
        stale = dict(tallyfy.run(run_id))
        tallyfy.archive_run(run_id)
        await looks.look()
        tallyfy.faults.add("status", status=200, body={"data": [stale]}, path=r"/runs\?(?!.*archived)")
        assert (await looks.look())[run_id].is_archived

    in_virtual_time(main)


@in_both_worlds
async def test_a_run_that_a_list_shows_with_a_defect_is_read_alone_and_hides_no_other(tallyfy):
    broken, sound = tallyfy.add_runs(2)
    looks = Looks(tallyfy)
    before = await looks.look()
    rows = [dict(tallyfy.run(run_id)) for run_id in (broken, sound)]
    rows[0]["archived_at"] = 5
    tallyfy.faults.add("status", status=200, body={"data": rows}, path=r"/runs\?", times=1)
    tallyfy.complete_run(sound)
    rows[1] |= dict(tallyfy.run(sound))
    shown = await looks.look()
    assert shown[sound].has_status("complete")
    assert shown[broken] == before[broken]
    for body, path in ((rows, r"/runs\?"), (rows[0], f"{broken}$")):
        tallyfy.faults.add("status", status=200, body={"data": body}, path=path, times=1)
    assert (await looks.look())[broken] == before[broken]


@in_both_worlds
async def test_runs_archived_long_before_the_latest_launch_are_shown_once_and_forgotten(tallyfy):
    tallyfy.add_runs(150, created_at=LONG_AGO, archived=True, archived_at=LONG_AGO)
    tallyfy.add_runs(3, archived=True)
    live = tallyfy.add_run()["id"]
    looks = Looks(tallyfy)
    assert len(await looks.look()) == 154
    await looks.look()
    shown = await looks.look()
    assert live in shown
    assert len(looks._watch._archived) == 3
