"""What a bulk job says: a progress line now and then, the result, and the error at the end."""

from __future__ import annotations

import time
from typing import Any

from airflow_provider_tallyfy.api.errors import TallyfyBulkError, TallyfyBulkRejectedError, TallyfyValidationError
from airflow_provider_tallyfy.bulk.action import BulkAction
from airflow_provider_tallyfy.bulk.executor import BulkExecutor
from airflow_provider_tallyfy.bulk.outcomes import State, Tally, fitting_or_reference

_MAX_QUOTED = 5


class Progress:
    """How far a job is."""

    def __init__(self, action: BulkAction[Any], executor: BulkExecutor[Any]) -> None:
        self._action = action
        self._executor = executor
        self._began = time.monotonic()

    def line(self) -> str:
        """Say how many items are done, at which rate, and how long the others will take at that rate."""
        tally, ended, verb = self._executor.tally, self._executor.flows_ended, self._action.verb.capitalize()
        if self._action.finishing and not self._executor.ended.is_set():
            return f"{verb}: {tally.total}/{tally.total} done, {self._action.finishing}"
        rate = ended / max(time.monotonic() - self._began, 0.001)
        left = len(self._action.items) - ended
        remaining = f"about {left / rate:.0f} s left" if rate else "time left unknown"
        return (
            f"{verb}: {tally.total - left}/{tally.total} done, {tally.counts[State.UNCHANGED]} unchanged, "
            f"{tally.bad} failed, {rate:.1f}/s, {remaining}"
        )


def result_of(tally: Tally, report_path: str | None, max_xcom_bytes: int) -> dict[str, Any]:
    """Reduce a job to its result; a ``changed`` that is too long becomes a reference to the report."""
    return {
        "counts": tally.describe(),
        "changed": fitting_or_reference(tally.changed, State.CHANGED.value, report_path, max_xcom_bytes),
        "failures": [outcome.describe() for outcome in tally.failures],
        **({"report_path": report_path} if report_path else {}),
    }


def check_size(action: BulkAction[Any], report_path: str | None, max_xcom_bytes: int) -> None:
    """Refuse a job whose XComs may be too long, before anything is changed; a report lifts the limit."""
    size = action.max_bytes
    if report_path is None and size > max_xcom_bytes:
        raise TallyfyValidationError(
            f"The XComs about up to {action.max_changed} runs to {action.verb} may take {size} bytes.\n"
            f"max_xcom_bytes allows {max_xcom_bytes}, and an undo needs all of them.\nNothing was sent.\n"
            f"Set report_path: the XComs then refer to the report, which operators and sensors read.\n"
            f"Or choose fewer runs at a time.",
            fields={"max_xcom_bytes": [str(size)]},
        )


def error_of(action: BulkAction[Any], executor: BulkExecutor[Any], report_path: str | None) -> TallyfyBulkError | None:
    """Sum up what a job did not do, permanent if a retry could not succeed; ``None`` if it did everything."""
    tally = executor.tally
    if not executor.stopped and not tally.bad:
        return None
    counts = ", ".join(f"{tally.counts[state]} {state.value}" for state in State)
    shown = tally.failures[:_MAX_QUOTED]
    failures = "".join(f"\n- {outcome.run_id or f'row {outcome.row}'}: {outcome.reason}" for outcome in shown)
    more = f"\n- and {tally.bad - len(shown)} more" if tally.bad > len(shown) else ""
    where = f"\nAll of them are in {report_path}." if report_path else ""
    retry = tally.worth_a_retry or executor.is_killed
    if retry:
        kind, what_next = TallyfyBulkError, "A retry continues with the others."
    else:
        kind, what_next = TallyfyBulkRejectedError, "A retry could not succeed.\nCorrect the input first."
    stopped = f"; {executor.stopped}" if executor.stopped else ""
    return kind(
        f"Of {tally.total} runs to {action.verb}, not all are {action.participle} ({counts}{stopped}).\n"
        f"{what_next}{where}{failures}{more}"
    )
