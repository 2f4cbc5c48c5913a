"""What earlier tries of a task set out to change, so that the last one can say what the task changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_tallyfy.files.report import reported_states

# Airflow keeps at most 64 KiB under a key.
_CHUNK_BYTES = 60_000


@dataclass(frozen=True, slots=True)
class PreviousAttempts:
    """
    What earlier tries of a task did, as far as it is known.

    :param is_retry: whether there were any.
    :param intended: ids that they set out to change, or changed.
    :param failed: ids that they certainly did not change.
    :param is_complete: whether they changed nothing besides ``intended``.
    """

    is_retry: bool = False
    intended: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    is_complete: bool = True

    def is_unknown(self, item: str) -> bool:
        """Whether it is unknown if an earlier try changed an item."""
        return not self.is_complete and item not in self.intended and item not in self.failed

    def may_have_changed(self, item: str) -> bool:
        """Whether an earlier try may have changed an item."""
        return item in self.intended or self.is_unknown(item)


class Checkpoint:
    """
    The ids that a task has set out to change, kept across its tries.

    They are saved before the first of them is changed, so no kill leaves an unknown change. Airflow >= 3.3 keeps them
    in its task state store; on older versions only the reports of earlier tries are known.

    :param context: of the running task; ``None`` outside of one, where nothing is tried again.
    :param purpose: what the job is about; jobs with another purpose have another checkpoint.
    """

    def __init__(
        self,
        context: Any,
        purpose: Any,
        report_path: str | None = None,
        *,
        changed_states: Collection[str] = (),
        failed_states: Collection[str] = (),
    ) -> None:
        ti = context["ti"] if context else None
        task = [ti.dag_id, ti.run_id, ti.task_id, ti.map_index] if ti else []
        digest = hashlib.sha256(json.dumps([*task, purpose], sort_keys=True, default=str).encode()).hexdigest()
        self.job = digest[:20]
        self._store = context.get("task_state_store") if context else None
        self._key = f"tallyfy_{self.job}"
        self._report_path = report_path
        self._changed_states = changed_states
        self._failed_states = failed_states
        self._is_retry = ti is not None and ti.try_number > 1
        self._saved: frozenset[str] = frozenset()

    def load(self) -> PreviousAttempts:
        """Give what earlier tries did."""
        if self._store is not None:
            head = self._head()
            ids = frozenset(item for key in self._chunk_keys(head) for item in self._store.get(key))
            return PreviousAttempts(self._is_retry, ids)
        if not self._is_retry:
            return PreviousAttempts()
        states = reported_states(self._report_path, self.job) if self._report_path else {}
        return PreviousAttempts(
            is_retry=True,
            intended=frozenset(item for item, state in states.items() if state in self._changed_states),
            failed=frozenset(item for item, state in states.items() if state in self._failed_states),
            is_complete=False,  # a killed try may not have reported all that it did
        )

    def save(self, ids: Collection[str]) -> None:
        """Replace what is kept by the ids that this try and earlier ones set out to change, or may have changed."""
        self._saved = frozenset(ids)
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

    def add(self, ids: Collection[str]) -> None:
        """Keep more ids besides those that this try has saved."""
        if not self._saved.issuperset(ids):
            self.save(self._saved.union(ids))

    def _head(self) -> Mapping[str, int]:
        return (self._store.get(self._key) or {}) if self._store is not None else {}

    def _chunk_keys(self, head: Mapping[str, int]) -> list[str]:
        return [f"{self._key}_{head['version']}_{number}" for number in range(head.get("chunks", 0))]


def _chunks(ids: list[str]) -> list[list[str]]:
    if not ids:
        return []
    size = _CHUNK_BYTES // (max(map(len, ids)) + 4)
    return [ids[start : start + size] for start in range(0, len(ids), size)]
