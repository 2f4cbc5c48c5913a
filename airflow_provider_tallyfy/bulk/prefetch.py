"""What is known of many runs before anything is done to them, learned with few requests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyResponseError
from airflow_provider_tallyfy.api.inputs.queries import RunQuery
from airflow_provider_tallyfy.api.models.envelope import Page
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.api.parsing import parsed
from airflow_provider_tallyfy.bulk.parallel import work_through
from airflow_provider_tallyfy.bulk.results import concerns_everything

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook


_NOT_KEPT = Run(id="", name="", stored_status="")


def slim(run: Run) -> Run:
    """
    Keep of a run what flows want to know of it, since thousands of them are kept.

    :param run: a run.
    """
    return Run(
        id=run.id,
        name=run.name,
        stored_status=sys.intern(run.stored_status),
        template_id=run.template_id and sys.intern(run.template_id),
        archived_at=run.archived_at,
        progress=_NOT_KEPT.progress,
        raw=_NOT_KEPT.raw,
    )


class Lookout:
    """
    Reads the states of runs by whichever is cheaper: the pages of lists, or one by one.

    :param hook: sends the requests.
    :param organization_id: the runs' organization.
    :param concurrency: how many requests at once.
    """

    def __init__(self, hook: TallyfyAsyncHook, organization_id: str, concurrency: int) -> None:
        self._hook = hook
        self._organization_id = organization_id
        self._concurrency = concurrency
        #: Runs that are there, or may be, but could not be read.
        self.unreadable: set[str] = set()

    async def see(
        self, run_ids: Iterable[str], shelves: Sequence[str], look: Callable[[str, str], Flow[Run | None]]
    ) -> dict[str, Run]:
        """
        Look at runs.

        :param run_ids: the runs.
        :param shelves: which lists to look through, values of ``RunQuery.archived``, the likeliest first.
        :param look: makes the flow that reads one run, of organization and id.
        :return: the runs that were seen, by id; a missing run, one that only its own flow can find, and one that is
            :attr:`unreadable` is not in it.
        :raises TallyfyError: if a list cannot be read.
        """
        unseen = set(run_ids)
        seen: dict[str, Run] = {}
        for shelf in shelves:
            if not await self._leaf_through(RunQuery(archived=shelf), unseen, seen):
                await self._look_singly(sorted(unseen), look, seen)
                break
        return seen

    async def _leaf_through(self, query: RunQuery, unseen: set[str], seen: dict[str, Run]) -> bool:
        """
        Read on while there are fewer pages left than runs to find, which is what asking for each would cost.

        :return: whether the list was read to its end.
        """
        number, last = 1, 1

        async def read(page_number: int) -> None:
            nonlocal last
            page: Page = await self._hook.execute(calls.list_runs(self._organization_id, query, page_number))
            last = page.total_pages
            self._take(page, unseen, seen)

        while 0 <= last - number < len(unseen) - 1:
            batch = range(number, min(number + self._concurrency, last + 1))
            await work_through(batch, read, self._concurrency)
            number = batch.stop
        return number > last

    async def _look_singly(
        self,
        run_ids: Sequence[str],
        look: Callable[[str, str], Flow[Run | None]],
        seen: dict[str, Run],
    ) -> None:
        async def read(run_id: str) -> None:
            try:
                run: Run | None = await self._hook.execute(look(self._organization_id, run_id))
            except TallyfyError as error:
                is_of_this_run = error.permanent or isinstance(error, TallyfyResponseError)
                if not is_of_this_run or concerns_everything(error):
                    raise
                self.unreadable.add(run_id)  # why is for the run's own flow to find out, and to report
            else:
                if run is not None:
                    seen[run_id] = slim(run)

        await work_through(run_ids, read, self._concurrency)

    def _take(self, page: Page, unseen: set[str], seen: dict[str, Run]) -> None:
        for row in page.rows:
            run_id = row.get("id")
            if not isinstance(run_id, str) or run_id not in unseen:
                continue
            try:
                seen[run_id] = slim(parsed(Run.from_json, row, TallyfyResponseError))
                unseen.discard(run_id)
            except TallyfyResponseError:
                self.unreadable.add(run_id)
