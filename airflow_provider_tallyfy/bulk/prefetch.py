"""The states of many runs before anything is done to them, read with few requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyResponseError
from airflow_provider_tallyfy.api.inputs.queries import RunQuery
from airflow_provider_tallyfy.api.models.envelope import Page
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.api.parsing import parsed
from airflow_provider_tallyfy.bulk.executor import for_each
from airflow_provider_tallyfy.bulk.outcomes import affects_every_item

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook


@dataclass
class Prefetch:
    """
    Reads runs by the pages of lists or one by one, whichever takes fewer requests.

    :param list_filters: which lists to read, values of ``RunQuery.archived``, the likeliest first.
    :param read: makes the flow that reads one run, of organization and id.
    """

    hook: TallyfyAsyncHook
    organization_id: str
    list_filters: Sequence[str]
    read: Callable[[str, str], Flow[Run | None]]
    concurrency: int
    #: The runs that were found, by id.
    runs: dict[str, Run] = field(default_factory=dict)
    #: Runs that may exist, but could not be read.
    unreadable: set[str] = field(default_factory=set)

    async def fetch(self, run_ids: Iterable[str]) -> None:
        """Read runs. Missing ones, and those that only their own flow can find, are left out."""
        missing = set(run_ids)
        for archived in self.list_filters:
            if not await self._read_list(RunQuery(archived=archived), missing):
                await for_each(sorted(missing), self._read_one, self.concurrency)
                break

    async def _read_list(self, query: RunQuery, missing: set[str]) -> bool:
        """Read on while fewer pages are left than runs are missing; tell whether the list was read to its end."""
        number, last = 1, 1

        async def read(page_number: int) -> None:
            nonlocal last
            page: Page = await self.hook.execute(calls.list_runs(self.organization_id, query, page_number))
            last = page.total_pages
            self._keep_wanted(page, missing)

        while 0 <= last - number < len(missing) - 1:
            batch = range(number, min(number + self.concurrency, last + 1))
            await for_each(batch, read, self.concurrency)
            number = batch.stop
        return number > last

    async def _read_one(self, run_id: str) -> None:
        try:
            run = await self.hook.execute(self.read(self.organization_id, run_id))
        except TallyfyError as error:
            is_of_this_run = error.permanent or isinstance(error, TallyfyResponseError)
            if not is_of_this_run or affects_every_item(error):
                raise
            self.unreadable.add(run_id)  # the run's own flow finds out why
        else:
            if run is not None:
                self.runs[run_id] = run.without_raw()

    def _keep_wanted(self, page: Page, missing: set[str]) -> None:
        for row in page.rows:
            run_id = row.get("id")
            if not isinstance(run_id, str) or run_id not in missing:
                continue
            try:
                self.runs[run_id] = parsed(Run.from_json, row, TallyfyResponseError).without_raw()
                missing.discard(run_id)
            except TallyfyResponseError:
                self.unreadable.add(run_id)
