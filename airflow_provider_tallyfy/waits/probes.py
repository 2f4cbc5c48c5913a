"""What can be looked at again and again, and what makes the next look cheap."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.errors import TallyfyNotFoundError
from airflow_provider_tallyfy.api.flows.lifecycle import find_archived_run
from airflow_provider_tallyfy.api.models.run import Run, RunStatus, parse_time
from airflow_provider_tallyfy.waits.scan import INCLUDES

_LISTED = frozenset(map(str, RunStatus))

# At every so manieth look that finds no run the archive is searched, which may take many requests.
_SEARCH_ARCHIVE_EVERY = 10


class Watch(ABC):
    """
    One thing that is looked at again and again.

    Two watches with the same key show the same; one look serves both.

    :param key: what kind of thing it is, and which one.
    """

    #: Status of the list of runs that would show it; ``None`` if it has to be looked at by itself.
    list_status: str | None = None

    #: The latest ``last_updated`` of the run that anybody has seen.
    newer_than: datetime | None = None

    def __init__(self, *key: str) -> None:
        self.key = key

    @abstractmethod
    def look(self) -> Flow[Any]:
        """Look once. What is seen compares equal to what was seen before if nothing changed."""

    def anew(self) -> Watch:
        """Make a watch that has found nothing yet, and so spares nothing; it shares no look with this one."""
        return self

    def expect_newer_than(self, moment: datetime | None) -> None:
        """
        Take over what somebody else knows about the run's age.

        :param moment: a ``last_updated`` of the run.
        """
        self.newer_than = max(filter(None, (self.newer_than, moment)), default=None)

    def concerns(self, run_id: str) -> bool:
        """
        Whether a change of a run can change what is seen.

        :param run_id: the run.
        """
        return run_id in self.key


class RunWatch(Watch):
    """
    Looks at one run.

    :param organization_id: the run's organization.
    :param run_id: the run.
    :param newer_than: ``last_updated`` of the run when somebody last read it and went on waiting.
    :param includes: what to read with it; a list shows no more than the default.
    """

    def __init__(
        self,
        organization_id: str,
        run_id: str,
        newer_than: datetime | str | None = None,
        includes: tuple[str, ...] = INCLUDES,
    ) -> None:
        super().__init__("run", run_id)
        self.list_status = RunStatus.ACTIVE
        self._includes = includes
        self._organization_id = organization_id
        self._run_id = run_id
        self.newer_than = parse_time(newer_than) if isinstance(newer_than, str) else newer_than
        self._known: Run | None = None
        self._misses = 0

    def anew(self) -> RunWatch:
        """Make one that searches the archive at its first look, even if this one would not at its next."""
        watch = RunWatch(self._organization_id, self._run_id, includes=self._includes)
        watch.key, watch.list_status = (*self.key, "anew"), None
        return watch

    def look(self) -> Flow[Run | None]:
        """Read the run as lists show it, or find out that it does not exist."""
        run = yield from self.read()
        return None if run is None else run.without_raw()

    def read(self) -> Flow[Run | None]:
        """
        Read the run with all that was included, or find out that it does not exist.

        A run that was never seen is looked for among the archived ones now and then, not at every look: it gets there
        unseen only if it is finished and archived between two looks.
        """
        try:
            run: Run | None = yield calls.get_run(self._organization_id, self._run_id, self._includes)
        except TallyfyNotFoundError:
            run = None
            if self._known is not None or self._misses % _SEARCH_ARCHIVE_EVERY == 0:
                run = yield from find_archived_run(self._organization_id, self._run_id, self._known)
        self._remember(None if run is None else run.without_raw())
        self._misses = self._misses + 1 if run is None else 0
        return run

    def is_believable(self, row: Run, *, ends_a_wait: bool) -> bool:
        """
        Take a row of a list for the run as it is, or ask for a direct look instead.

        Lists come from replicas that may lag behind, and can show a run as it was before it was reopened or restored.
        A row that would end a wait is therefore only believed if it is newer than the run was when the wait went on.

        :param row: the run as a list shows it.
        :param ends_a_wait: whether somebody would stop waiting because of it.
        """
        if ends_a_wait and not self.is_news(row):
            return False
        self._remember(row)
        return True

    def is_news(self, run: Run) -> bool:
        """
        Whether a run is certainly newer than it was when somebody went on waiting.

        :param run: the run as it was seen.
        """
        return run.last_updated is not None and self.newer_than is not None and run.last_updated > self.newer_than

    def _remember(self, run: Run | None) -> None:
        self.list_status = run.status if run is not None and run.status in _LISTED else None
        if run is not None:
            self._known = run
            self.expect_newer_than(run.last_updated)
