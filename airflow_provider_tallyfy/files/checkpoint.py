"""What earlier tries of the same task set out to change, so that the last one can say what the task changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_tallyfy.api.models.envelope import is_code
from airflow_provider_tallyfy.api.parsing import loads
from airflow_provider_tallyfy.bulk.report import reports_of
from airflow_provider_tallyfy.bulk.results import State
from airflow_provider_tallyfy.files.storage import read_lines

# Airflow keeps at most 64 KiB under a key.
_CHUNK_BYTES = 60_000
_IN_QUESTION = (State.CHANGED, State.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Past:
    """
    What earlier tries of a task did, as far as anything remembers it.

    :param is_retry: whether there were any.
    :param meant: the ids that they set out to change, or changed.
    :param failed: ids that they certainly did not change.
    :param is_complete: whether they changed nothing besides ``meant``.
    """

    is_retry: bool = False
    meant: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    is_complete: bool = True

    def is_silent_about(self, item: str) -> bool:
        """
        Whether nothing remembers if an earlier try changed an item.

        :param item: its id.
        """
        return not self.is_complete and item not in self.meant and item not in self.failed

    def may_have_changed(self, item: str) -> bool:
        """
        Whether an earlier try may have changed an item.

        :param item: its id.
        """
        return item in self.meant or self.is_silent_about(item)


class Memory:
    """
    The ids that this task has set out to change, kept across its tries.

    They are written down before the first of them is changed, so a try that is killed at any moment leaves no change
    unaccounted for. Airflow >= 3.3 keeps them in its task state store; before that only the reports of
    earlier tries can tell.

    :param context: of the running task.
    :param purpose: what the job is about; another purpose has another memory.
    :param report_path: where the reports of earlier tries are, if tries write one.
    """

    def __init__(self, context: Any, purpose: Any, report_path: str | None = None) -> None:
        ti = context["ti"]
        parts = [ti.dag_id, ti.run_id, ti.task_id, ti.map_index, purpose]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
        self.job = digest[:20]
        self._store = context.get("task_state_store")
        self._key = f"tallyfy_{self.job}"
        self._report_path = report_path
        self._is_retry = ti.try_number > 1
        self._remembered: frozenset[str] = frozenset()

    def recall(self) -> Past:
        """Give what earlier tries did."""
        if self._store is not None:
            head = self._head()
            meant = frozenset(run_id for key in self._chunk_keys(head) for run_id in self._store.get(key))
            return Past(self._is_retry, meant)
        if not self._is_retry:
            return Past()
        states = self._reported_states()
        return Past(
            is_retry=True,
            meant=frozenset(run_id for run_id, state in states.items() if state in _IN_QUESTION),
            failed=frozenset(run_id for run_id, state in states.items() if state == State.FAILED),
            is_complete=False,  # a try that was killed may not have come to write what it did
        )

    def remember(self, ids: Collection[str]) -> None:
        """
        Replace what is remembered.

        :param ids: what this try sets out to change or may have changed, and what earlier ones have.
        """
        self._remembered = frozenset(ids)
        before = self._head()
        if self._store is None or not (ids or before):
            return
        chunks = _chunks(sorted(ids))
        head = {"version": before.get("version", 0) + 1, "chunks": len(chunks)}
        for key, chunk in zip(self._chunk_keys(head), chunks, strict=True):
            self._store.set(key, chunk)
        self._store.set(self._key, head)
        for key in self._chunk_keys(before):
            self._store.delete(key)

    def remember_also(self, ids: Collection[str]) -> None:
        """
        Add to what this try remembered before.

        :param ids: what it may have changed.
        """
        if not self._remembered.issuperset(ids):
            self.remember(self._remembered.union(ids))

    def _head(self) -> Mapping[str, int]:
        return (self._store.get(self._key) or {}) if self._store is not None else {}

    def _chunk_keys(self, head: Mapping[str, int]) -> list[str]:
        return [f"{self._key}_{head['version']}_{number}" for number in range(head.get("chunks", 0))]

    def _reported_states(self) -> dict[str, Any]:
        """Read what became of each item at last, from the reports of earlier tries of this job."""
        reports = reports_of(self._report_path, self.job) if self._report_path else []
        return {row["id"]: row.get("state") for path in reports for row in self._reported(path)}

    def _reported(self, path: str) -> Iterator[Mapping[str, Any]]:
        """Read a report; lines of other jobs are no memory of this one."""
        try:
            for line in read_lines(path):
                row = _row(line)
                if row.get("job") == self.job and is_code(row.get("id")):
                    yield row
        except FileNotFoundError:
            pass  # no try has come to write one


def _row(line: str) -> Mapping[str, Any]:
    try:
        row = loads(line)
    except ValueError:
        return {}  # a killed try may leave half a line
    return row if isinstance(row, Mapping) else {}


def _chunks(ids: list[str]) -> list[list[str]]:
    if not ids:
        return []
    size = _CHUNK_BYTES // (max(map(len, ids)) + 4)
    return [ids[start : start + size] for start in range(0, len(ids), size)]
