"""A list of runs while it is read, page by page."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_tallyfy.api.call import Call
from airflow_provider_tallyfy.api.models.envelope import Page
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.waits.scan import Scan
from airflow_provider_tallyfy.waits.watcher.subscriptions import Watched


class ListReading:
    """
    What is looked for in a list, and how far the reading has come.

    :param sought: what is looked for; it is looked at in no other way while the list may show it.
    :param jitter: factor of the intervals until the next looks: the same for all, so that they stay together.
    """

    def __init__(self, organization_id: str, status: str, sought: Iterable[Watched], jitter: float) -> None:
        self.status = status
        self.jitter = jitter
        self.tries = 0
        #: When to ask for the next page.
        self.due = float("-inf")
        #: When the page that is due was first asked for.
        self.page_began = float("inf")
        #: When the first page came: from then on the interval counts.
        self.began = float("inf")
        self._count: int | None = None
        self._shrank = False
        self._sought = {one.probe.key.id: one for one in sought}
        self._scan = Scan(organization_id, status, self._sought)
        for one in self._sought.values():
            one.is_sought = True

    @property
    def sought(self) -> int:
        """How many runs are looked for."""
        return len(self._sought)

    @property
    def paid_off(self) -> bool:
        """See :attr:`Scan.paid_off`."""
        return self._scan.paid_off

    def next_call(self) -> Call[Page] | None:
        """Build the call for the next page, or ``None`` if the rest is cheaper one by one."""
        return self._scan.next_call()

    def accept(self, page: Page, now: float) -> list[Run]:
        """Take a page and give its runs."""
        self.began = min(self.began, now)
        self.page_began, self.tries = float("inf"), 0
        count = page.total_pages if page.total is None else page.total
        self._shrank |= self._count is not None and count < self._count
        self._count = count
        return self._scan.accept(page)

    def end(self) -> None:
        """Schedule the next look at the runs that were not in the list."""
        for run_id in self._scan.missing:
            if self._sought[run_id].is_sought:
                self._sought[run_id].was_not_listed(self._shrank)

    def break_off(self) -> list[Watched]:
        """Stop looking here for what was not seen, and give that."""
        unseen = [one for one in self._sought.values() if one.is_sought]
        for one in unseen:
            one.is_sought = False
        return unseen
