"""What bulk jobs do to runs that exist: restore, archive, delete."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_tallyfy.api import calls, flows
from airflow_provider_tallyfy.api.call import Call, Flow
from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyNotFoundError
from airflow_provider_tallyfy.api.flows.update_delete import check_deletable
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.models.run import Run, RunChange
from airflow_provider_tallyfy.bulk.action import BulkAction
from airflow_provider_tallyfy.bulk.outcomes import Outcome, State
from airflow_provider_tallyfy.bulk.prefetch import Prefetch
from airflow_provider_tallyfy.files.checkpoint import PreviousAttempts
from airflow_provider_tallyfy.files.snapshots import is_snapshot_of, keep_earlier, write_snapshot

if TYPE_CHECKING:
    from airflow_provider_tallyfy.bulk.loop_thread import LoopThread
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

log = logging.getLogger(__name__)

_MAX_NAMED = 20
_NOTHING_REMEMBERS = "nothing remembers whether an earlier try deleted it or it never existed"


class RunsAction(BulkAction[str]):
    """Brings runs into another state: those with the given ids, or those of a list as its pages come."""

    #: Lists in which to look for the runs, values of ``RunQuery.archived``; most runs are expected in the first.
    list_filters: ClassVar[Sequence[str]]

    def __init__(self, organization_id: str, chosen: Iterable[str | Run]) -> None:
        super().__init__(organization_id)
        self._chosen = chosen

    def load(self, loop: LoopThread, previous: PreviousAttempts, concurrency: int) -> None:
        """Read the states of the runs, and set those aside that are in the requested state."""
        self._previous = previous
        prefetch = Prefetch(loop.hook, self.organization_id, self.list_filters, self.read, concurrency)
        run_ids: dict[str, None] = {}
        for item in self._chosen:
            if isinstance(item, Run):
                prefetch.runs[item.id] = item.without_raw()
            run_ids[item.id if isinstance(item, Run) else item] = None
        self._check(len(run_ids))
        loop.run(prefetch.fetch({*run_ids, *previous.intended} - prefetch.runs.keys()))
        # A filter no longer chooses runs that an earlier try has changed.
        others = sorted(previous.intended.difference(run_ids))
        runs, unreadable = prefetch.runs, prefetch.unreadable
        self.names = {run_id: run.name for run_id, run in runs.items()}
        known = runs.keys() | (previous.intended - unreadable)
        done = {run_id for run_id in (*run_ids, *others) if run_id in known and self.is_done(runs.get(run_id))}
        self._runs = {run_id: run for run_id, run in runs.items() if run_id not in done}
        open_ids = [*run_ids, *(run_id for run_id in others if run_id in unreadable)]
        self.items = [run_id for run_id in open_ids if run_id not in done]
        self._set_aside(sorted(done))

    def _check(self, count: int) -> None:
        """Refuse more runs than the action may touch."""

    def _set_aside(self, done: list[str]) -> None:
        self.done = [self._as_it_is(run_id) for run_id in done]

    @property
    def intended(self) -> list[str]:
        """The runs that are not in the requested state."""
        return list(self.items)

    @staticmethod
    def read(organization_id: str, run_id: str) -> Flow[Run | None]:
        """Read one run."""
        return flows.look_up_run(organization_id, run_id)

    @abstractmethod
    def is_done(self, run: Run | None) -> bool:
        """Whether a run (``None`` if Tallyfy does not show it) is in the requested state."""

    def outcome(self, item: str, result: RunChange | None) -> Outcome | None:
        """Say what a flow's result means."""
        if result is not None and result.changed:
            return Outcome(State.CHANGED, item)
        return self._as_it_is(item)

    def outcome_without_result(self, item: str, state: State, reason: str, *, retryable: bool = False) -> Outcome:
        """Say what became of a run whose flow gave no result."""
        return Outcome(state, item, reason, retryable=retryable)

    def _as_it_is(self, run_id: str) -> Outcome:
        return Outcome(State.CHANGED if run_id in self._previous.intended else State.UNCHANGED, run_id)


class ActivateAction(RunsAction):
    """Restores runs."""

    verb = "restore"
    participle = "restored"
    list_filters = ("only", "exclude")

    @staticmethod
    def read(organization_id: str, run_id: str) -> Flow[Run | None]:
        """Read a run; a hidden one is left to its flow, which needs no list to restore it."""
        run: Run = yield calls.get_run(organization_id, run_id)
        return run

    def is_done(self, run: Run | None) -> bool:
        """Whether the run is live."""
        return run is not None and not run.is_archived

    def flow(self, item: str) -> Flow[RunChange]:
        """Restore a run."""
        return flows.activate_run(self.organization_id, item, known=self._runs.get(item))


class ArchiveAction(RunsAction):
    """Archives runs."""

    verb = "archive"
    participle = "archived"
    list_filters = ("exclude", "only")

    def is_done(self, run: Run | None) -> bool:
        """Whether the run is archived."""
        return run is not None and run.is_archived

    def flow(self, item: str) -> Flow[RunChange]:
        """Archive a run."""
        return flows.archive_run(self.organization_id, item, known=self._runs.get(item))


class DeleteAction(RunsAction):
    """
    Deletes runs for good, and verifies at the end that Tallyfy shows none of them any more.

    A missing run is an error, unless an earlier try may have deleted it. That it was not found before is no proof: the
    lists may have changed while they were read. So these runs are verified at the end, too.
    """

    verb = "permanently delete"
    participle = "deleted"
    list_filters = ("only", "exclude")

    def __init__(
        self,
        organization_id: str,
        chosen: Iterable[str | Run],
        *,
        max_runs: int | None,
        confirm: str | None,
        archive_first: bool = False,
        snapshot_dir: str | None = None,
    ) -> None:
        super().__init__(organization_id, chosen)
        self._max_runs = max_runs
        self._confirm = confirm
        self._archive_first = archive_first
        self._snapshot_dir = snapshot_dir
        self._missing: list[str] = []
        self._accepted: list[str] = []
        self._unexplained: list[str] = []

    def _check(self, count: int) -> None:
        if self._max_runs is None or count > self._max_runs:
            problem = f"is exceeded: {count} runs would be deleted"
            raise invalid("max_runs", self._max_runs, problem, "Nothing was deleted.")
        if self._confirm != self.organization_id:
            problem = "is not the id of the organization that the runs would be deleted from"
            raise invalid("confirm", self._confirm, problem, "Nothing was deleted.")

    def _set_aside(self, done: list[str]) -> None:
        self._missing = done

    @property
    def total(self) -> int:
        """How many runs there are, those that may be gone already included."""
        return super().total + len(self._missing)

    @property
    def max_changed(self) -> int:
        """How many runs may be gone because of this task."""
        return super().max_changed + len(self._missing)

    @property
    def intended(self) -> list[str]:
        """The runs that were found, so that a retry cannot mistake one that was never there for deleted."""
        return [item for item in self.items if item in self._runs]

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
            known=self._runs.get(item),
            confirm_gone=False,
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
            run = self._runs.get(item)
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
        """Leave accepted deletions to the end."""
        if result is None:
            return Outcome(State.UNCHANGED, item, f"it is not there, and {_NOTHING_REMEMBERS}")
        self._accepted.append(item)
        return None

    async def finish(self, hook: TallyfyAsyncHook, concurrency: int) -> list[Outcome]:
        """Verify that the deleted runs are gone, and warn of missing runs that this try never found."""
        if self._unexplained:
            log.warning("%s", _warning(self._unexplained))
        if not self._deleted:
            return []
        # What this try deleted was archived; what an earlier one intended may be anywhere.
        list_filters = self.list_filters if self._missing else ("only",)
        shown = await hook.execute(flows.still_listed(self.organization_id, self._deleted, list_filters))
        return [
            self._unknown(run_id) if run_id in shown else Outcome(State.CHANGED, run_id) for run_id in self._deleted
        ]

    def unverified(self) -> list[Outcome]:
        """Report accepted deletions, and those of earlier tries, as unknown."""
        return [self._unknown(run_id) for run_id in self._deleted]

    @property
    def _deleted(self) -> list[str]:
        return [*self._missing, *self._accepted]

    def _unknown(self, run_id: str) -> Outcome:
        reason = "Tallyfy was asked to delete it, but it was not seen that the run is gone"
        return Outcome(State.UNKNOWN, run_id, reason, retryable=True)


def _warning(run_ids: Sequence[str]) -> str:
    more = f" and {len(run_ids) - _MAX_NAMED} more" if len(run_ids) > _MAX_NAMED else ""
    return (
        f"{len(run_ids)} runs do not exist, and of each {_NOTHING_REMEMBERS}.\n"
        f"Before Airflow 3.3 only the report (report_path) of a try that was not killed can tell.\n"
        f"Check these ids: {', '.join(run_ids[:_MAX_NAMED])}{more}"
    )
