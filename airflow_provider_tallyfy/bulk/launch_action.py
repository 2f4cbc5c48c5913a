"""What a bulk job does to launch runs, one for each row of values."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.api import calls, flows
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.flows.lookup import duplicates
from airflow_provider_tallyfy.api.flows.replica_lag import look_until
from airflow_provider_tallyfy.api.models.run import Run, RunChange
from airflow_provider_tallyfy.api.models.template import Template
from airflow_provider_tallyfy.bulk.action import BulkAction
from airflow_provider_tallyfy.bulk.executor import for_each
from airflow_provider_tallyfy.bulk.outcomes import Outcome, State, Tally, fitting_or_reference
from airflow_provider_tallyfy.bulk.rows import Launch, RowReader
from airflow_provider_tallyfy.files.checkpoint import PreviousAttempts

if TYPE_CHECKING:
    from airflow_provider_tallyfy.bulk.loop_thread import LoopThread
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

_LONGEST_ID = "0" * 32

RunsByMarker = Mapping[str, Sequence[Run]]


class LaunchAction(BulkAction[Launch]):
    """
    Launches runs, and verifies at the end that no other try launched the same at the same time.

    :param scope: tells these rows from the same rows of another task or DAG run.
    :param not_before: no run launched before this moment can be one of this DAG run; ``None`` if that is unknown.
    :param is_dry_run: whether nothing may be archived.
    """

    verb = "launch"
    participle = "launched"

    def __init__(
        self,
        organization_id: str,
        template_id: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        tasks: Mapping[str, Any] | str | None,
        body: Mapping[str, Any],
        name_column: str | None,
        key_column: str | None,
        scope: str,
        is_retry: bool,
        not_before: datetime | None,
        is_dry_run: bool,
    ) -> None:
        super().__init__(organization_id)
        self._template_id = template_id
        self._rows = rows
        self._columns = (tasks, body, name_column, key_column, scope)
        self._keys_are_shared = key_column is not None
        self._is_retry = is_retry
        self._not_before = not_before
        self._is_dry_run = is_dry_run
        #: Launches by marker that earlier tries intended, or made (by run id).
        self._earlier: Collection[str] = ()
        self._launched: list[tuple[Launch, str]] = []
        self._duplicates: list[str] = []

    def load(self, loop: LoopThread, previous: PreviousAttempts, concurrency: int) -> None:
        """Check all rows, and find the runs that were launched before."""
        reading = calls.get_template(self.organization_id, self._template_id)
        self._template: Template = loop.run(loop.hook.execute(reading))
        launches = RowReader(self._template, *self._columns).read(self._rows)
        markers = {launch.key.marker for launch in launches}
        found: RunsByMarker = {}
        if markers:
            since = None if self._keys_are_shared else self._not_before
            # Only a try just before this one can have launched what lists do not show yet.
            flow = self._find(markers, since, lambda found: not self._is_retry or len(found) == len(markers))
            found = loop.run(loop.hook.execute(flow))
        # Before a first try only a DAG run that was deleted and made again can have launched by the same keys.
        found_is_own = self._is_retry and not self._keys_are_shared
        self._earlier = previous.intended.union(found if found_is_own else ())
        self._since = datetime.now(UTC)
        self.done = [self._adopt(launch, runs) for launch in launches if (runs := found.get(launch.key.marker))]
        self.items = [launch for launch in launches if launch.key.marker not in found]
        if self._is_dry_run:
            self._duplicates = []

    @property
    def intended(self) -> list[str]:
        """The launches by their markers."""
        return [launch.key.marker for launch in self.items]

    @property
    def max_bytes(self) -> int:
        """How many bytes ``runs`` may take, which has the key and the id of every row."""
        rows = [*((item.row, item.name) for item in self.items), *((done.row, done.key) for done in self.done)]
        return sum(len(json.dumps({"row": row, "key": key, "id": _LONGEST_ID})) + len(", ") for row, key in rows)

    def flow(self, item: Launch) -> Flow[RunChange]:
        """Launch a run."""
        return flows.launch_marked(self.organization_id, item.body, item.key, self._template.title)

    def outcome(self, item: Launch, result: RunChange) -> Outcome | None:
        """Leave launches to the end."""
        self._launched.append((item, result.run.id))
        self.names[result.run.id] = result.run.name
        return None

    def outcome_without_result(self, item: Launch, state: State, reason: str, *, retryable: bool = False) -> Outcome:
        """Say that no run of a row is known."""
        return Outcome(state, None, reason, item.row, retryable, item.name)

    async def finish(self, hook: TallyfyAsyncHook, concurrency: int) -> list[Outcome]:
        """Keep the first run of every row, and archive the others that tries of this task launched."""
        outcomes = []
        if self._launched:
            self.finishing = "looking for runs that overlapping tries launched"
            markers = {launch.key.marker for launch, _ in self._launched}
            found = await hook.execute(self._find(markers, self._since, self._are_shown))
            outcomes = [self._keep_first(launch, run_id, found) for launch, run_id in self._launched]
        await self._archive_duplicates(hook, concurrency)
        return outcomes

    def unverified(self) -> list[Outcome]:
        """Report the launches as they were answered."""
        return [_changed(launch, run_id) for launch, run_id in self._launched]

    def further_results(self, tally: Tally, report_path: str | None, max_xcom_bytes: int) -> dict[str, Any]:
        """Say which run belongs to which row, launched or adopted."""
        runs = [outcome.launched() for outcome in sorted(tally.launched, key=lambda outcome: outcome.row or 0)]
        states = [State.CHANGED.value, State.UNCHANGED.value]
        return {"runs": fitting_or_reference(runs, states, report_path, max_xcom_bytes)}

    def _find(
        self, markers: Collection[str], since: datetime | None, are_all: Callable[[RunsByMarker], bool]
    ) -> Flow[RunsByMarker]:
        """Find the runs of launches by marker, and look again after a pause while lists do not show all of them."""
        return look_until(lambda: flows.find_marked(self.organization_id, self._template_id, markers, since), are_all)

    def _adopt(self, launch: Launch, runs: Sequence[Run]) -> Outcome:
        """Take a run that was there before; others with the key are duplicates, or somebody else's to archive."""
        first = runs[0]
        self.names[first.id] = first.name
        is_own = self._is_own(launch) or first.id in self._earlier
        reason = "launched before"
        live = [run.id for run in duplicates(runs)]
        if self._keys_are_shared and not self._is_own(launch):
            if others := [run_id for run_id in live if run_id not in self._earlier]:
                reason += f"; further live runs have this key: {', '.join(others)}"
            live = [run_id for run_id in live if run_id in self._earlier]
        self._duplicates += live
        return Outcome(State.CHANGED if is_own else State.UNCHANGED, first.id, reason, launch.row, key=launch.name)

    def _keep_first(self, launch: Launch, run_id: str, found: RunsByMarker) -> Outcome:
        runs = found.get(launch.key.marker) or []
        if not runs or runs[0].id == run_id:
            first, others = run_id, runs[1:]
        else:
            first, others = runs[0].id, [run for run in runs[1:] if run.id != run_id]
            self._duplicates.append(run_id)
        is_own = not self._keys_are_shared or self._is_own(launch)
        if is_own:
            self._duplicates += [run.id for run in others if not run.is_archived]
        if first == run_id:
            return _changed(launch, run_id)
        state = State.CHANGED if is_own else State.UNCHANGED
        return Outcome(state, first, "another try launched it first", launch.row, key=launch.name)

    async def _archive_duplicates(self, hook: TallyfyAsyncHook, concurrency: int) -> None:
        left = len(self._duplicates)

        async def archive(run_id: str) -> None:
            nonlocal left
            self.finishing = f"{left} runs that overlapping tries launched twice are left to archive"
            await hook.execute(flows.archive_run(self.organization_id, run_id))
            left -= 1

        await for_each(self._duplicates, archive, concurrency)

    def _is_own(self, launch: Launch) -> bool:
        return launch.key.marker in self._earlier

    def _are_shown(self, found: RunsByMarker) -> bool:
        """Whether the list shows our own runs, and so all that were launched before them."""
        shown = {run.id for runs in found.values() for run in runs}
        return all(run_id in shown for _, run_id in self._launched)


def _changed(launch: Launch, run_id: str) -> Outcome:
    return Outcome(State.CHANGED, run_id, row=launch.row, key=launch.name)
