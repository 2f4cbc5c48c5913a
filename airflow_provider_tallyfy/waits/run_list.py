"""A list of runs, archived ones included, that is read again and again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Flow, Pause
from airflow_provider_tallyfy.api.errors import (
    TallyfyConfigurationError,
    TallyfyNotFoundError,
    TallyfyPermissionError,
    TallyfyResponseError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.flows.lifecycle import find_run, run_pager
from airflow_provider_tallyfy.api.inputs.queries import RunQuery
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.waits.probes import Probe

#: How far the replicas that lists come from lag behind, in the worst case.
LATENESS = timedelta(minutes=10)

#: A moment before anything happened.
LONG_AGO = datetime.min.replace(tzinfo=UTC)

#: After so many runs of a long list, the event loop turns to other tasks.
RUNS_AT_A_TIME = 500

# An archived run is seldom restored after that.
_REMEMBERED = timedelta(days=90)

_SEARCHES = 3

# More unreadable items than this are a fault of the list, not of single runs.
_MOST_UNREADABLE = 20

_OF_ONE_RUN = (
    TallyfyConfigurationError,
    TallyfyNotFoundError,
    TallyfyPermissionError,
    TallyfyResponseError,
    TallyfyValidationError,
)


class RunListProbe(Probe):
    """
    Reads all runs that a query finds, archived ones included, without reading the whole archive each time.

    The first look reads everything. Each later one reads the live runs, and of the archived runs the newest; a run that
    is not among the live ones any more was most likely archived, and is looked for until it is found, in at most three
    looks. An archived run that is restored and archived again between two looks is the one change that is not seen.

    Every look gives all runs that are known. Runs archived more than 90 days before the latest launch are given by the
    first look only, and not remembered.

    :param query: which runs; its ``archived`` and ``sort`` do not matter.
    """

    def __init__(self, organization_id: str, query: RunQuery) -> None:
        super().__init__("runs", "&".join(f"{name}={value}" for name, value in query.parameters()))
        self._organization_id = organization_id
        self._query = query
        self._has_looked = False
        self._live: dict[str, Run] = {}
        self._archived: dict[str, Run] = {}
        self._searches: dict[str, int] = {}
        self._newest = LONG_AGO

    def look(self) -> Flow[tuple[Run, ...]]:
        """Read what may have changed since the last look, and give all runs as they are known now."""
        if not self._has_looked:
            return (yield from self._remember((yield from self._read(archived="include")), {}))
        runs = yield from self._read(archived="exclude")
        left = self._left(runs)
        runs += yield from self._read_newest_archived(left)
        found = {run.id for run in runs}
        for run_id, known in left.items():
            if run_id not in found:
                runs.append((yield from self._look_up(known)))
        return (yield from self._remember(runs, left))

    def concerns(self, run_id: str) -> bool:
        """Any run may get into the list."""
        return True

    def _read(self, *, archived: str) -> Flow[list[Run]]:
        query = replace(self._query, archived=archived, sort="created_at")
        pager = run_pager(self._organization_id, query, whole=True, skips_unreadable=True)
        runs: list[Run] = []
        while (call := pager.next_call()) is not None:
            runs += [run.without_raw() for run in pager.accept((yield call)) if query.accepts(run)]
        runs += [run for run in (yield from self._look_at_each(pager.unreadable)) if query.accepts(run)]
        return runs

    def _left(self, live: Iterable[Run]) -> dict[str, Run]:
        """Give the runs that were live and are not listed any more, unless they were looked for often enough."""
        listed = {run.id for run in live}
        gone = {run_id: run for run_id, run in self._live.items() if run_id not in listed}
        return {run_id: run for run_id, run in gone.items() if self._searches.get(run_id, 0) < _SEARCHES}

    def _read_newest_archived(self, left: Mapping[str, Run]) -> Flow[list[Run]]:
        """Read while a page may show runs launched since the last look, or is the cheapest search for missing ones."""
        query = replace(self._query, archived="only", sort="-created_at")
        pager = run_pager(self._organization_id, query, whole=False, skips_unreadable=True)
        missing, runs = set(left), []
        while (call := pager.next_call()) is not None:
            page = yield call
            shown = list(pager.accept(page))
            runs += [run.without_raw() for run in shown if query.accepts(run)]
            hits = missing.intersection(run.id for run in shown)
            missing -= hits
            is_cheap = len(hits) > 1 or page.total_pages - page.number < len(missing)
            if not all(self._is_new(run) for run in shown) and not (missing and is_cheap):
                break
        return runs

    def _look_at_each(self, unreadable: Mapping[str | None, TallyfyResponseError]) -> Flow[list[Run]]:
        """Read the runs that a list does not show as documented; one that cannot be read stays as it was."""
        if len(unreadable) > _MOST_UNREADABLE:
            raise next(iter(unreadable.values()))
        runs: list[Run] = []
        for run_id in filter(None, unreadable):
            known = self._live.get(run_id) or self._archived.get(run_id)
            try:
                run: Run = yield calls.get_run(self._organization_id, run_id)
            except _OF_ONE_RUN:
                if known is not None:
                    runs.append(known)
            else:
                runs.append(run.without_raw())
        return runs

    def _is_new(self, run: Run) -> bool:
        return run.created_at is None or run.created_at > self._newest

    def _look_up(self, known: Run) -> Flow[Run]:
        """Read a run that left the list; one that cannot be read stays as it was, and must not hide the others."""
        try:
            run: Run = yield from find_run(self._organization_id, known.id, known)
        except _OF_ONE_RUN:
            return known
        return run.without_raw()

    def _remember(self, runs: Collection[Run], left: Mapping[str, Run]) -> Flow[tuple[Run, ...]]:
        """Note what was read, some runs at a time: a large archive must not hold up an event loop."""
        seen = dict(self._archived)
        for number, run in enumerate(runs, start=1):
            if number % RUNS_AT_A_TIME == 0:
                yield Pause(0)
            known = seen.get(run.id)
            # A list that lags behind shows a run that was just archived as if it had been restored.
            if known is None or _age(run) >= _age(known):
                seen[run.id] = run
            if run.created_at is not None:
                self._newest = max(self._newest, run.created_at - LATENESS)
        live, archived = {}, {}
        for number, (run_id, run) in enumerate(seen.items(), start=1):
            if number % RUNS_AT_A_TIME == 0:
                yield Pause(0)
            if not run.is_archived:
                live[run_id] = run
            elif not is_long_archived(run, self._newest):
                archived[run_id] = run
        self._has_looked = True
        self._live, self._archived = live, archived
        self._searches = {run_id: self._searches.get(run_id, 0) + 1 for run_id in left if run_id in live}
        return tuple(seen.values())


def is_long_archived(run: Run, latest: datetime) -> bool:
    """
    Whether a run was archived so long ago that it need not be remembered.

    :param latest: when something last happened, by Tallyfy's clock.
    """
    return run.archived_at is not None and latest - run.archived_at > _REMEMBERED


def _age(run: Run) -> datetime:
    return run.last_updated or LONG_AGO
