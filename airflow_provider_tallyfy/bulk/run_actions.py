"""Bulk work on runs that exist: restore, archive, delete."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_tallyfy.api import calls, flows
from airflow_provider_tallyfy.api.call import Call, Flow
from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyNotFoundError
from airflow_provider_tallyfy.api.flows.update_delete import check_deletable
from airflow_provider_tallyfy.api.models.run import Run, RunChange
from airflow_provider_tallyfy.bulk.action import Work
from airflow_provider_tallyfy.bulk.results import Outcome, State
from airflow_provider_tallyfy.files.checkpoint import PreviousAttempts
from airflow_provider_tallyfy.files.snapshots import is_snapshot_of, keep_earlier, write_snapshot

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

log = logging.getLogger(__name__)

_MOST_NAMED = 20
_NOTHING_REMEMBERS = "nothing remembers whether an earlier try deleted it or it never existed"


class RunsWork(Work[str]):
    """
    Work on runs by id.

    :param organization_id: the runs' organization.
    :param run_ids: the runs.
    :param seen: what is known of them.
    :param previous: what earlier tries of the task did.
    :param unreadable: runs that may be there, but could not be read: not to be seen is no proof that they are gone.
    """

    #: Lists to look through for the runs, values of ``RunQuery.archived``; most are expected in the first.
    shelves: ClassVar[Sequence[str]]

    def __init__(
        self,
        organization_id: str,
        run_ids: Sequence[str],
        seen: Mapping[str, Run],
        previous: PreviousAttempts,
        unreadable: Set[str] = frozenset(),
    ) -> None:
        self.organization_id = organization_id
        self._previous = previous
        # Runs that earlier tries meant may not be named any more, since a filter passes them by now.
        meant = sorted(previous.intended.difference(run_ids))
        known = seen.keys() | (previous.intended - unreadable)
        done = {run_id for run_id in (*run_ids, *meant) if run_id in known and self.is_done(seen.get(run_id))}
        self._seen = {run_id: run for run_id, run in seen.items() if run_id not in done}
        open_ids = [*run_ids, *(run_id for run_id in meant if run_id in unreadable)]
        super().__init__(
            [run_id for run_id in open_ids if run_id not in done], [self._as_it_is(run_id) for run_id in sorted(done)]
        )

    @property
    def planned(self) -> list[str]:
        """The runs that are not as they are asked for."""
        return list(self.items)

    @staticmethod
    def look(organization_id: str, run_id: str) -> Flow[Run | None]:
        """
        Read one run.

        :param organization_id: the run's organization.
        :param run_id: the run.
        """
        return flows.look_up_run(organization_id, run_id)

    @abstractmethod
    def is_done(self, run: Run | None) -> bool:
        """
        Whether a run is as it is asked for.

        :param run: the run, or ``None`` if Tallyfy does not show it.
        """

    def outcome(self, item: str, result: RunChange | None) -> Outcome | None:
        """Say what the end of a flow means."""
        if result is not None and result.changed:
            return Outcome(State.CHANGED, item)
        return self._as_it_is(item)

    def end(self, item: str, state: State, reason: str, *, retryable: bool = False) -> Outcome:
        """Say that a run came to another end."""
        return Outcome(state, item, reason, retryable=retryable)

    def _as_it_is(self, run_id: str) -> Outcome:
        return Outcome(State.CHANGED if run_id in self._previous.intended else State.UNCHANGED, run_id)


class ActivateWork(RunsWork):
    """Restore runs."""

    verb = "restore"
    participle = "restored"
    shelves = ("only", "exclude")

    @staticmethod
    def look(organization_id: str, run_id: str) -> Flow[Run | None]:
        """Read a run; a hidden one is left to its flow, which needs no list to restore it."""
        run: Run = yield calls.get_run(organization_id, run_id)
        return run

    def is_done(self, run: Run | None) -> bool:
        """Whether the run is live."""
        return run is not None and not run.is_archived

    def flow(self, item: str) -> Flow[RunChange]:
        """Restore a run."""
        return flows.activate_run(self.organization_id, item, known=self._seen.get(item))


class ArchiveWork(RunsWork):
    """Archive runs."""

    verb = "archive"
    participle = "archived"
    shelves = ("exclude", "only")

    def is_done(self, run: Run | None) -> bool:
        """Whether the run is archived."""
        return run is not None and run.is_archived

    def flow(self, item: str) -> Flow[RunChange]:
        """Archive a run."""
        return flows.archive_run(self.organization_id, item, known=self._seen.get(item))


class DeleteWork(RunsWork):
    """
    Delete runs for good, and see at the end that Tallyfy shows none of them any more.

    A missing run is an error, unless an earlier try of the task may have deleted it. That it was not seen before is no
    proof that it is gone: the lists may have changed while they were read. So the look at the end is for it, too.

    :param archive_first: archive live runs on the way; otherwise they are refused.
    :param snapshot_dir: where a snapshot of each run is written first.
    """

    verb = "permanently delete"
    participle = "deleted"
    shelves = ("only", "exclude")

    def __init__(
        self,
        organization_id: str,
        run_ids: Sequence[str],
        seen: Mapping[str, Run],
        previous: PreviousAttempts,
        unreadable: Set[str] = frozenset(),
        *,
        archive_first: bool = False,
        snapshot_dir: str | None = None,
    ) -> None:
        super().__init__(organization_id, run_ids, seen, previous, unreadable)
        self._archive_first = archive_first
        self._snapshot_dir = snapshot_dir
        self._missing = [run_id for outcome in self.settled if (run_id := outcome.run_id)]
        self.settled = []
        self._accepted: list[str] = []
        self._unexplained: list[str] = []

    @property
    def total(self) -> int:
        """How many runs there are, those that may be gone already included."""
        return super().total + len(self._missing)

    @property
    def most_changed(self) -> int:
        """How many runs may be gone because of this task."""
        return super().most_changed + len(self._missing)

    @property
    def planned(self) -> list[str]:
        """The runs that are there; one that was never seen is none that a later try may take for deleted."""
        return [item for item in self.items if item in self._seen]

    def is_done(self, run: Run | None) -> bool:
        """Whether the run is gone."""
        return run is None

    def flow(self, item: str) -> Flow[RunChange | None]:
        """Delete a run."""
        change: RunChange | None = yield from flows.delete_run(
            self.organization_id,
            item,
            confirm=item,
            archive_first=self._archive_first,
            may_be_gone=self._previous.may_have_changed(item),
            known=self._seen.get(item),
            see_gone=False,
        )
        if change is None:
            self._unexplained.append(item)
        return change

    def writes_after(self, item: str, first: Call[Any]) -> list[Call[Any]]:
        """Name the deletion that follows if the run is archived first."""
        deletion = calls.delete_run(self.organization_id, item)
        return [] if first.path == deletion.path else [deletion]

    async def prepare(self, hook: TallyfyAsyncHook, item: str) -> None:
        """Write a snapshot of the run."""
        if self._snapshot_dir is None:
            return
        path = f"{self._snapshot_dir.rstrip('/')}/{item}.json"
        try:
            run = self._seen.get(item)
            if run is None:
                run = await hook.execute(flows.find_run(self.organization_id, item))
        except TallyfyNotFoundError:
            # An earlier try that deleted it wrote its snapshot first.
            if self._previous.may_have_changed(item) and await asyncio.to_thread(is_snapshot_of, item, path):
                return
            raise
        check_deletable(run, item, archive_first=self._archive_first)
        try:
            content = await hook.execute(flows.snapshot(self.organization_id, item))
        except TallyfyError as refusal:
            await asyncio.to_thread(keep_earlier, refusal, item, path, is_retry=self._previous.is_retry)
            return
        await asyncio.to_thread(write_snapshot, path, content)

    def outcome(self, item: str, result: RunChange | None) -> Outcome | None:
        """Put accepted deletions off till the look at the end."""
        if result is None:
            return Outcome(State.UNCHANGED, item, f"it is not there, and {_NOTHING_REMEMBERS}")
        self._accepted.append(item)
        return None

    async def settle(self, hook: TallyfyAsyncHook, concurrency: int) -> list[Outcome]:
        """See that the deleted runs are gone, and tell of those that this try never saw."""
        if self._unexplained:
            log.warning("%s", _doubt(self._unexplained))
        if not self._open:
            return []
        # What this try deleted was archived; what an earlier one meant may be anywhere.
        shelves = self.shelves if self._missing else ("only",)
        shown = await hook.execute(flows.still_shown(self.organization_id, self._open, shelves))
        return [self._doubtful(run_id) if run_id in shown else Outcome(State.CHANGED, run_id) for run_id in self._open]

    def unsettled(self) -> list[Outcome]:
        """Leave accepted deletions, and those of earlier tries, in doubt."""
        return [self._doubtful(run_id) for run_id in self._open]

    @property
    def _open(self) -> list[str]:
        return [*self._missing, *self._accepted]

    def _doubtful(self, run_id: str) -> Outcome:
        reason = "Tallyfy was asked to delete it, but it was not seen that the run is gone"
        return Outcome(State.UNKNOWN, run_id, reason, retryable=True)


def _doubt(run_ids: Sequence[str]) -> str:
    more = f" and {len(run_ids) - _MOST_NAMED} more" if len(run_ids) > _MOST_NAMED else ""
    return (
        f"{len(run_ids)} runs are not there, and of each {_NOTHING_REMEMBERS}: before Airflow 3.3 only the report "
        f"(report_path) of a try that was not killed can tell. See that these ids are right: "
        f"{', '.join(run_ids[:_MOST_NAMED])}{more}"
    )
