"""What became of each item of a bulk job, and of all of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from airflow_provider_tallyfy.api.errors import (
    TallyfyAuthError,
    TallyfyConfigurationError,
    TallyfyError,
    TallyfyRateLimitError,
)

# The result describes this many failures; the report has all of them.
_MAX_FAILURES = 50
_MAX_REASON = 500
_ABOUT_ALL_ITEMS = (TallyfyAuthError, TallyfyConfigurationError, TallyfyRateLimitError)


class State(StrEnum):
    """
    How an item of a bulk job ended.

    ``unknown``: a request that may have changed the run was sent, and its effect was not seen. A retry looks.
    """

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of one item.

    :param run_id: the run; ``None`` where none was launched.
    :param reason: why, unless it ended as requested.
    :param row: number of the row that it was launched from, counted from 1.
    :param key: the launch's key, if its author gave one.
    """

    state: State
    run_id: str | None
    reason: str = ""
    row: int | None = None
    retryable: bool = False
    key: str | None = None

    @property
    def is_bad(self) -> bool:
        """Whether the item was tried and is not in the requested state."""
        return self.state in (State.FAILED, State.UNKNOWN)

    def describe(self, run_url: Callable[[str], str] | None = None) -> dict[str, Any]:
        """Reduce it to plain JSON types, without what does not apply, and with the run's address if that is given."""
        facts = {**self._where(), "state": self.state.value, "reason": self.reason[:_MAX_REASON]}
        if run_url and self.run_id:
            facts["url"] = run_url(self.run_id)
        return {name: value for name, value in facts.items() if value not in (None, "")}

    def launched(self) -> dict[str, Any]:
        """Say which run belongs to which row."""
        return {name: value for name, value in self._where().items() if value is not None}

    def _where(self) -> dict[str, Any]:
        return {"row": self.row, "key": self.key, "id": self.run_id}


def affects_every_item(error: TallyfyError) -> bool:
    """Whether an error is not about one item, but about credentials, connection, plan or hourly limit."""
    return isinstance(error, _ABOUT_ALL_ITEMS) or error.status == 402


def fitting_or_reference(value: list[Any], state: Any, report_path: str | None, max_xcom_bytes: int) -> Any:
    """Give a value as XCom, or a reference to the lines of the report in a state (or several) if it is too long."""
    if report_path and len(json.dumps(value)) > max_xcom_bytes:
        return {"path": report_path, "state": state, "count": len(value)}
    return value


@dataclass
class Tally:
    """Counts outcomes and keeps the few facts of them that the result needs."""

    total: int
    counts: Counter[State] = field(default_factory=Counter)
    changed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    failures: list[Outcome] = field(default_factory=list)
    launched: list[Outcome] = field(default_factory=list)
    worth_a_retry: bool = False

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self.counts[outcome.state] += 1
        if outcome.state is State.CHANGED and outcome.run_id:
            self.changed.append(outcome.run_id)
        if outcome.state is State.UNKNOWN and outcome.run_id:
            self.unknown.append(outcome.run_id)
        if outcome.row is not None and outcome.run_id and not outcome.is_bad:
            self.launched.append(outcome)
        if outcome.is_bad:
            self.worth_a_retry |= outcome.retryable
            if len(self.failures) < _MAX_FAILURES:
                self.failures.append(outcome)

    @property
    def bad(self) -> int:
        """How many items failed or have an unknown outcome."""
        return self.counts[State.FAILED] + self.counts[State.UNKNOWN]

    def describe(self) -> dict[str, int]:
        """Give the counts by name, all of them, and the total."""
        return {"total": self.total, **{state.value: self.counts[state] for state in State}}
