"""Bulk work that launches runs, one for each row of values."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.api import flows
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.flows import LaunchKey, LaunchRequest
from airflow_provider_tallyfy.api.flows.lookup import surplus
from airflow_provider_tallyfy.api.flows.replica_lag import look_until
from airflow_provider_tallyfy.api.inputs.numbers import plain_text
from airflow_provider_tallyfy.api.inputs.problems import Problems, invalid_items
from airflow_provider_tallyfy.api.inputs.wording import enumerated
from airflow_provider_tallyfy.api.models.run import Run, RunChange
from airflow_provider_tallyfy.api.models.template import Template, fields_named
from airflow_provider_tallyfy.api.presentable import shown
from airflow_provider_tallyfy.bulk.action import Work
from airflow_provider_tallyfy.bulk.fingerprint import fingerprint
from airflow_provider_tallyfy.bulk.parallel import work_through
from airflow_provider_tallyfy.bulk.results import Outcome, State

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook


_LONGEST_ID = "0" * 32


@dataclass(frozen=True, slots=True)
class Launch:
    """
    One row, ready to be launched.

    :param row: its number, from 1.
    :param key: by which a later try recognizes its run.
    :param body: the launch's request.
    :param name: the key as its author gave it, if there is a key column.
    """

    row: int
    key: LaunchKey
    body: Mapping[str, Any]
    name: str | None = None


@dataclass(frozen=True)
class RowReader:
    """
    Turns rows into launches.

    What is wrong with the settings of all launches is said once, and what is wrong with many rows once for all of them.

    :param template: the template to launch.
    :param tasks: settings by step id, for every launch.
    :param fields: what every launch's request holds besides.
    :param name_column: column of the runs' names, if there is one; it fills no field.
    :param key_column: column by which launches are recognized, which also fills the field that is called so, if there
        is one; without it a row is recognized by ``scope``, its content, and how often that content came before.
    :param scope: what tells these rows from the same rows of another task or DAG run.
    """

    template: Template
    tasks: Mapping[str, Any] | str | None
    fields: Mapping[str, Any]
    name_column: str | None
    key_column: str | None
    scope: str

    def read(self, rows: Sequence[Mapping[str, Any]]) -> list[Launch]:
        """
        Check all rows and make launches of them.

        :param rows: values by kick-off field, and by the columns of name and key.
        :raises TallyfyValidationError: with every problem of every row.
        """
        problems = Problems()
        settings = problems.of(self._settings) if rows else None
        launches = problems.of(self._launches, rows, settings or {}) or []
        problems.raise_all("Nothing was launched.")
        return launches

    def _settings(self) -> dict[str, Any]:
        return LaunchRequest(self.template.id, tasks=self.tasks, fields=self.fields).settings(self.template)

    def _launches(self, rows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> list[Launch]:
        launches: list[Launch] = []
        problems: dict[str, list[str]] = {}
        times_seen: Counter[str] = Counter()
        for number, row in enumerate(rows, start=1):
            found: list[str] = []
            try:
                key = self._key_given(row, times_seen) if self.key_column else self._key_made(row, times_seen)
            except TallyfyValidationError as error:
                found.append(str(error))
            try:
                body = {"checklist_id": self.template.id, **settings, **self._values(row)}
            except TallyfyValidationError as error:
                found += [f"{name}: {text}" for name, texts in error.fields.items() for text in texts]
            for problem in found:
                problems.setdefault(problem, []).append(str(number))
            if not found:
                launches.append(Launch(number, key, body, self._key_of(row)))
        if problems:
            raise invalid_items("rows", [f"{_rows(of)}: {problem}" for problem, of in problems.items()])
        return launches

    def _key_given(self, row: Mapping[str, Any], times_seen: Counter[str]) -> LaunchKey:
        column, value = self.key_column, self._key_of(row) or ""
        times_seen[value] += 1
        if value and times_seen[value] > 1:
            raise TallyfyValidationError(f"{column} {shown(value)} is the key of another row already")
        if not value:
            raise TallyfyValidationError(f"{column}, the key column, is empty")
        return LaunchKey.given(value, self.template.id)

    def _key_of(self, row: Mapping[str, Any]) -> str | None:
        return plain_text(row.get(self.key_column)).strip() if self.key_column else None

    def _key_made(self, row: Mapping[str, Any], times_seen: Counter[str]) -> LaunchKey:
        content = fingerprint(row)
        times_seen[content] += 1
        return LaunchKey(f"{self.scope}/{content}/{times_seen[content]}")

    def _name(self, row: Mapping[str, Any]) -> str:
        return plain_text(row.get(self.name_column)).strip() if self.name_column else ""

    @cached_property
    def _columns_beside_the_form(self) -> set[str | None]:
        columns = {self.name_column, self.key_column}
        if self.key_column and fields_named(self.template.fields, self.key_column):
            columns.discard(self.key_column)
        return columns

    def _values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        values = {name: value for name, value in row.items() if name not in self._columns_beside_the_form}
        fields = {"name": self._name(row) or None, "prerun": self.fields.get("prerun")}
        return LaunchRequest(self.template.id, kickoff=values, fields=fields).values(self.template)


def _rows(numbers: Sequence[str]) -> str:
    return f"row {numbers[0]}" if len(numbers) == 1 else f"rows {enumerated(numbers)}"


def find_launches(
    organization_id: str,
    template_id: str,
    markers: Collection[str],
    since: datetime | None,
    shown: Callable[[Mapping[str, Sequence[Run]]], bool],
) -> Flow[dict[str, list[Run]]]:
    """
    Find the runs of many launches, and look again after a pause if lists lag behind.

    :param organization_id: where they were launched.
    :param template_id: their template.
    :param markers: the launches' markers.
    :param since: no run launched before this moment can be one.
    :param shown: whether what was found, runs by marker, is all that there has to be.
    """
    return (yield from look_until(lambda: flows.find_marked(organization_id, template_id, markers, since), shown))


class LaunchWork(Work[Launch]):
    """
    Launch runs, and see at the end that no other try launched the same at the same time.

    :param organization_id: where to launch.
    :param template_id: the template.
    :param launches: what to launch.
    :param found: runs that are there already, by marker, the first launched first.
    :param earlier: the launches (by marker) that earlier tries of this task set out to make, or made (by run id).
    :param since: when this task began.
    :param keys_are_shared: whether other tasks may launch by the same keys.
    :param is_dry_run: whether nothing may be archived.
    """

    verb = "launch"
    participle = "launched"

    def __init__(
        self,
        organization_id: str,
        template_id: str,
        launches: Sequence[Launch],
        found: Mapping[str, Sequence[Run]],
        earlier: Collection[str],
        *,
        since: datetime,
        keys_are_shared: bool,
        is_dry_run: bool = False,
    ) -> None:
        self._organization_id = organization_id
        self._template_id = template_id
        self._earlier = earlier
        self._since = since
        self._keys_are_shared = keys_are_shared
        self._launched: list[tuple[Launch, str]] = []
        self._surplus: list[str] = []
        settled = [self._adopt(launch, runs) for launch in launches if (runs := found.get(launch.key.marker))]
        if is_dry_run:
            self._surplus = []
        super().__init__([launch for launch in launches if launch.key.marker not in found], settled)

    @property
    def planned(self) -> list[str]:
        """The launches by their markers."""
        return [launch.key.marker for launch in self.items]

    @property
    def most_bytes(self) -> int:
        """How many bytes ``runs`` may take, which has the key and the id of every row."""
        rows = [*((item.row, item.name) for item in self.items), *((done.row, done.key) for done in self.settled)]
        return sum(len(json.dumps({"row": row, "key": key, "id": _LONGEST_ID})) + len(", ") for row, key in rows)

    def flow(self, item: Launch) -> Flow[RunChange]:
        """Launch a run."""
        return flows.launch_marked(self._organization_id, item.body, item.key)

    def outcome(self, item: Launch, result: RunChange) -> Outcome | None:
        """Put launches off till the look at the end."""
        self._launched.append((item, result.run.id))
        return None

    def end(self, item: Launch, state: State, reason: str, *, retryable: bool = False) -> Outcome:
        """Say that no run of a row is known."""
        return Outcome(state, None, reason, item.row, retryable, item.name)

    async def settle(self, hook: TallyfyAsyncHook, concurrency: int) -> list[Outcome]:
        """Keep the first run of every row, and archive the others that tries of this task launched."""
        outcomes = []
        if self._launched:
            self.settling = "looking for runs that overlapping tries launched"
            markers = {launch.key.marker for launch, _ in self._launched}
            found = await hook.execute(
                find_launches(self._organization_id, self._template_id, markers, self._since, self._are_shown)
            )
            outcomes = [self._keep_first(each, run_id, found) for each, run_id in self._launched]
        await self._archive_surplus(hook, concurrency)
        return outcomes

    def unsettled(self) -> list[Outcome]:
        """Report the launches as they were answered."""
        return [_changed(launch, run_id) for launch, run_id in self._launched]

    def _adopt(self, launch: Launch, runs: Sequence[Run]) -> Outcome:
        """Take a run that was there before; others that carry the key are surplus, or somebody else's to archive."""
        first = runs[0]
        is_own = self._is_own(launch) or first.id in self._earlier
        reason = "launched before"
        live = [run.id for run in surplus(runs)]
        if self._keys_are_shared and not self._is_own(launch):
            if others := [run_id for run_id in live if run_id not in self._earlier]:
                reason += f"; further live runs have this key: {', '.join(others)}"
            live = [run_id for run_id in live if run_id in self._earlier]
        self._surplus += live
        return Outcome(State.CHANGED if is_own else State.UNCHANGED, first.id, reason, launch.row, key=launch.name)

    def _keep_first(self, launch: Launch, run_id: str, found: Mapping[str, Sequence[Run]]) -> Outcome:
        carriers = found.get(launch.key.marker) or []
        if not carriers or carriers[0].id == run_id:
            first, others = run_id, carriers[1:]
        else:
            first, others = carriers[0].id, [run for run in carriers[1:] if run.id != run_id]
            self._surplus.append(run_id)
        is_this_tasks = not self._keys_are_shared or self._is_own(launch)
        if is_this_tasks:
            self._surplus += [run.id for run in others if not run.is_archived]
        if first == run_id:
            return _changed(launch, run_id)
        state = State.CHANGED if is_this_tasks else State.UNCHANGED
        return Outcome(state, first, "another try launched it first", launch.row, key=launch.name)

    async def _archive_surplus(self, hook: TallyfyAsyncHook, concurrency: int) -> None:
        left = len(self._surplus)

        async def archive(run_id: str) -> None:
            nonlocal left
            self.settling = f"{left} runs that overlapping tries launched twice are left to archive"
            await hook.execute(flows.archive_run(self._organization_id, run_id))
            left -= 1

        await work_through(self._surplus, archive, concurrency)

    def _is_own(self, launch: Launch) -> bool:
        return launch.key.marker in self._earlier

    def _are_shown(self, found: Mapping[str, Sequence[Run]]) -> bool:
        """Whether the list shows our own runs, and so all that were launched before them."""
        shown = {run.id for runs in found.values() for run in runs}
        return all(run_id in shown for _, run_id in self._launched)


def _changed(launch: Launch, run_id: str) -> Outcome:
    return Outcome(State.CHANGED, run_id, row=launch.row, key=launch.name)
