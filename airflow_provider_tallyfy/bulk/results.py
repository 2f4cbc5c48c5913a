"""What became of each item of a bulk job, and of all of them."""

from __future__ import annotations

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

#: How many failures are described in the result; the report has all of them.
MOST_FAILURES = 50
_LONGEST_REASON = 500
_OF_ALL = (TallyfyAuthError, TallyfyConfigurationError, TallyfyRateLimitError)


class State(StrEnum):
    """
    How an item of a bulk job ended.

    ``unknown`` says that a request which may have changed the run was sent and nobody saw what it did; a retry looks.
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

    :param state: how it ended.
    :param run_id: the run; ``None`` where none was launched.
    :param reason: why, unless it is what was asked for.
    :param row: number of the row that it was launched from, counted from 1.
    :param retryable: whether trying again may help.
    :param key: by what its author recognizes the launch, if there is such a key.
    """

    state: State
    run_id: str | None
    reason: str = ""
    row: int | None = None
    retryable: bool = False
    key: str | None = None

    @property
    def is_bad(self) -> bool:
        """Whether the item is not as it was asked for, although it was tried."""
        return self.state in (State.FAILED, State.UNKNOWN)

    def describe(self, run_url: Callable[[str], str] | None = None) -> dict[str, Any]:
        """Reduce it to plain JSON types, without what does not apply, and with the run's address if that is given."""
        facts = {**self._where(), "state": self.state.value, "reason": self.reason[:_LONGEST_REASON]}
        if run_url and self.run_id:
            facts["url"] = run_url(self.run_id)
        return {name: value for name, value in facts.items() if value not in (None, "")}

    def launched(self) -> dict[str, Any]:
        """Say which run stands for which row."""
        return {name: value for name, value in self._where().items() if value is not None}

    def _where(self) -> dict[str, Any]:
        return {"row": self.row, "key": self.key, "id": self.run_id}


def concerns_everything(error: TallyfyError) -> bool:
    """
    Whether an error has nothing to do with the item it came up at: credentials, connection, plan or hourly limit.

    :param error: what an item's request came to.
    """
    return isinstance(error, _OF_ALL) or error.status == 402


@dataclass
class Tally:
    """
    Counts outcomes and keeps the few facts of them that the result needs.

    :param total: how many items there are.
    """

    total: int
    counts: Counter[State] = field(default_factory=Counter)
    changed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    failures: list[Outcome] = field(default_factory=list)
    launched: list[Outcome] = field(default_factory=list)
    worth_a_retry: bool = False

    def add(self, outcome: Outcome) -> None:
        """
        Count an outcome.

        :param outcome: of one item.
        """
        self.counts[outcome.state] += 1
        if outcome.state is State.CHANGED and outcome.run_id:
            self.changed.append(outcome.run_id)
        if outcome.state is State.UNKNOWN and outcome.run_id:
            self.unknown.append(outcome.run_id)
        if outcome.row is not None and outcome.run_id and not outcome.is_bad:
            self.launched.append(outcome)
        if outcome.is_bad:
            self.worth_a_retry |= outcome.retryable
            if len(self.failures) < MOST_FAILURES:
                self.failures.append(outcome)

    @property
    def done(self) -> int:
        """How many items have an outcome."""
        return self.counts.total()

    @property
    def bad(self) -> int:
        """How many items failed or are left in doubt."""
        return self.counts[State.FAILED] + self.counts[State.UNKNOWN]

    def describe(self) -> dict[str, int]:
        """Give the counts by name, all of them, and the total."""
        return {"total": self.total, **{state.value: self.counts[state] for state in State}}
