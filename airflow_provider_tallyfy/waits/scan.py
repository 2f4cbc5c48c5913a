"""Finding many runs at once: one request for a page of a list shows a hundred."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_tallyfy.api.call import Call
from airflow_provider_tallyfy.api.flows.lifecycle import run_pager
from airflow_provider_tallyfy.api.inputs.queries import RunQuery
from airflow_provider_tallyfy.api.models.envelope import Page
from airflow_provider_tallyfy.api.models.run import Run

#: What is read with a run, for the line about its progress.
INCLUDES = ("next_task",)

#: Up to so many runs are read one by one, which costs less than the pages of a list.
FEW = 3


class Scan:
    """
    Reads the list of runs in one status, newest first, for as long as that is cheaper than reading runs one by one.

    What Airflow waits for was mostly launched lately and together, so it stands at the beginning and close together.
    Nothing follows from a run not being listed: filters are loosely documented and lists can lag behind.
    """

    def __init__(self, organization_id: str, status: str, sought: Iterable[str]) -> None:
        query = RunQuery(status=status, sort="-created_at", includes=INCLUDES)
        self._pager = run_pager(organization_id, query, whole=False, skips_unreadable=True)
        self._goes_on = True
        self.missing = set(sought)
        self.pages = 0
        self.found = 0

    def next_call(self) -> Call[Page] | None:
        """Build the call for the next page, or ``None`` if the rest is cheaper one by one."""
        return self._pager.next_call() if self._goes_on else None

    def accept(self, page: Page) -> list[Run]:
        """Take a page and give all its runs, without their ``raw``: there are many."""
        runs = [run.without_raw() for run in self._pager.accept(page)]
        hits = self.missing.intersection(run.id for run in runs)
        self.missing -= hits
        self.found += len(hits)
        self.pages += 1
        pages_left = page.total_pages - page.number
        self._goes_on = bool(self.missing) and (pages_left < len(self.missing) or len(hits) > 1)
        return runs

    @property
    def paid_off(self) -> bool:
        """Whether its requests were worth it. One page without a hit is a fair price for knowing that the runs left."""
        return self.found >= self.pages - 1
