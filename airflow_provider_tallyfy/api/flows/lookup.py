"""Find the run that an earlier try launched, by the launch's marker."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.flows.lifecycle import run_pager
from airflow_provider_tallyfy.api.flows.marker import add_marker, marker_of, markers_in
from airflow_provider_tallyfy.api.flows.replica_lag import look_until
from airflow_provider_tallyfy.api.inputs.checks import checked_text
from airflow_provider_tallyfy.api.inputs.queries import RunQuery
from airflow_provider_tallyfy.api.models.envelope import Page
from airflow_provider_tallyfy.api.models.run import NEVER, Run

# Our clock and Tallyfy's may differ, so a marker is looked for a little further back than its launch can be.
_CLOCK_TOLERANCE = timedelta(days=1)

#: The scope of launch keys for runs without a template.
PROJECTS = "project"


@dataclass(frozen=True)
class LaunchKey:
    """
    The key by which a later try recognizes the run of a launch.

    :param text: what makes the launch unique, of any length.
    :param pages: how many pages of a hundred runs to look through before the launch, newest first; ``None`` for all
        back to ``since``. A first try needs one, because it may be a repetition. A new key needs none.
    :param since: how far back to look; ``None`` looks through all of the template's runs.
    :param just_now: whether an earlier try may have been moments ago, so that lists may not show its run yet.
    :param expires: whether a run from before ``since`` does not count even if it is seen.
    """

    text: str
    pages: int | None = None
    since: datetime | None = None
    just_now: bool = True
    expires: bool = False

    @classmethod
    def given(
        cls, launch_key: object, scope: str, since: datetime | None = None, *, just_now: bool = False
    ) -> LaunchKey:
        """Make the key of a launch that its author named; no run launched before ``since`` can be it."""
        text = f"{scope}/{checked_text(launch_key, 'launch_key')}"
        return cls(text, since=since, just_now=just_now, expires=True)

    @property
    def marker(self) -> str:
        """What stands in the run's summary."""
        return marker_of(self.text)

    def mark(self, summary: str | None) -> str:
        """Add the marker to a summary."""
        return add_marker(summary, self.marker)

    def is_on(self, run: Run) -> bool:
        """
        Whether a run carries the marker.

        Where Tallyfy keeps a project's summary is not documented, so the tasks that the run shows are looked at, too.
        """
        return any(self.marker in text for text in _summaries(run))

    def is_older_than(self, run: Run) -> bool:
        """Whether a run was launched before the time that is looked through."""
        return _is_too_old(run, self.since)


class Lookup:
    """
    Finds the runs that carry a key: newest first, archived ones included.

    The search parameter ``q`` is not used: whether it searches summaries is not documented.

    :param template_id: the run's template; ``None`` for a project, whose tasks may carry the key instead.
    """

    def __init__(self, organization_id: str, key: LaunchKey, template_id: str | None = None) -> None:
        self._organization_id = organization_id
        self._key = key
        self._query = RunQuery(
            template_id=template_id, archived="include", sort="-created_at", includes=() if template_id else ("tasks",)
        )

    def before(self) -> Flow[list[Run]]:
        """Find the runs that are there before a launch, the first launched first."""
        if self._key.pages is None:
            return (yield from self.all(allow_lag=self._key.just_now))
        return sorted((yield from self.newest()), key=launch_order) if self._key.pages else []

    def all(self, *, allow_lag: bool) -> Flow[list[Run]]:
        """Find all runs, first launched first; with ``allow_lag`` look again after pauses, since replicas lag."""
        return sorted((yield from look_until(self._scan, allow_lag=allow_lag)), key=launch_order)

    def newest(self) -> Flow[list[Run]]:
        """Give those of the newest hundred runs that carry the key, with one request."""
        page: Page = yield calls.list_runs(self._organization_id, self._query, 1)
        runs = run_pager(self._organization_id, self._query, whole=False).accept(page)
        return [run for run in runs if self._counts(run)]

    def _scan(self) -> Flow[list[Run]]:
        found: list[Run] = []
        pager, is_far_enough = run_pager(self._organization_id, self._query, whole=False), False
        while not is_far_enough and (call := pager.next_call()) is not None:
            runs = list(pager.accept((yield call)))
            found += filter(self._counts, runs)
            is_far_enough = any(map(self._key.is_older_than, runs))
        return found

    def _counts(self, run: Run) -> bool:
        return self._key.is_on(run) and not (self._key.expires and self._key.is_older_than(run))


def find_marked(
    organization_id: str, template_id: str, markers: Collection[str], since: datetime | None
) -> Flow[dict[str, list[Run]]]:
    """Find the runs of many launches by marker, first launched first, with one look through the template's runs."""
    found: dict[str, list[Run]] = {}
    query = RunQuery(template_id=template_id, archived="include", sort="-created_at")
    pager, is_too_old = run_pager(organization_id, query, whole=False), False
    while not is_too_old and (call := pager.next_call()) is not None:
        page = yield call
        for run in pager.accept(page):
            is_too_old = is_too_old or _is_too_old(run, since)
            for marker in {marker for text in _summaries(run) for marker in markers_in(text)} & set(markers):
                found.setdefault(marker, []).append(run)
    return {marker: sorted(runs, key=launch_order) for marker, runs in found.items()}


def duplicates(runs: Sequence[Run]) -> list[Run]:
    """
    Give the live runs that were launched by tries that overlapped with the first one.

    A run that was launched more than a day later is not one of them: somebody repeated the launch on purpose.
    """
    first, *further = runs
    if first.created_at is None:
        return []
    latest = first.created_at + _CLOCK_TOLERANCE
    return [run for run in further if not run.is_archived and run.created_at is not None and run.created_at <= latest]


def launch_order(run: Run) -> tuple[datetime, int, str]:
    """Sort key by which every try agrees which run was first; Tallyfy's times may be whole seconds."""
    number = run.raw.get("increment_id")
    return run.created_at or NEVER, number if isinstance(number, int) else 0, run.id


def _is_too_old(run: Run, since: datetime | None) -> bool:
    return since is not None and run.created_at is not None and run.created_at < since - _CLOCK_TOLERANCE


def _summaries(run: Run) -> Iterable[str]:
    tasks = run.raw.get("tasks")
    rows: Any = tasks.get("data") if isinstance(tasks, Mapping) else tasks
    for shown in (run.raw, *(row for row in rows or () if isinstance(row, Mapping))):
        yield from (str(shown[name]) for name in ("summary", "original_summary") if shown.get(name))
