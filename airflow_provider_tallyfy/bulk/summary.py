"""What a bulk job tells: a line now and then, the result, and the error that it ends in."""

from __future__ import annotations

import json
import time
from typing import Any

from airflow_provider_tallyfy.api.errors import TallyfyBulkError, TallyfyBulkRejectedError, TallyfyValidationError
from airflow_provider_tallyfy.bulk.action import Work
from airflow_provider_tallyfy.bulk.executor import Job
from airflow_provider_tallyfy.bulk.results import State

_QUOTED_FAILURES = 5


class Progress:
    """
    Tells how far a job is.

    :param work: what it does.
    :param job: the job.
    """

    def __init__(self, work: Work[Any], job: Job[Any]) -> None:
        self._work = work
        self._job = job
        self._began = time.monotonic()

    def line(self) -> str:
        """Say how many items are done, at which rate, and how long the others will take at that."""
        tally, requests = self._job.tally, self._job.dealt_with
        if self._work.settling and not self._job.ended.is_set():
            return f"{self._work.verb.capitalize()}: {tally.total}/{tally.total} done, {self._work.settling}"
        rate = requests / max(time.monotonic() - self._began, 0.001)
        left = len(self._work.items) - requests
        remaining = f"about {left / rate:.0f} s left" if rate else "time left unknown"
        return (
            f"{self._work.verb.capitalize()}: {tally.total - left}/{tally.total} done, "
            f"{tally.counts[State.UNCHANGED]} unchanged, {tally.bad} failed, {rate:.1f}/s, {remaining}"
        )


def result_of(job: Job[Any], report_path: str | None, max_xcom_bytes: int) -> dict[str, Any]:
    """
    Reduce a job to what is handed on through XCom.

    :param job: the job, ended.
    :param report_path: where its report is.
    :param max_xcom_bytes: with more than this, ``changed`` is a reference to the report that bulk operators read.
    """
    changed: Any = job.tally.changed
    if report_path and len(json.dumps(changed)) > max_xcom_bytes:
        changed = {"path": report_path, "state": State.CHANGED.value, "count": len(changed)}
    return {
        "counts": job.tally.describe(),
        "changed": changed,
        "failures": [outcome.describe() for outcome in job.tally.failures],
        **({"report_path": report_path} if report_path else {}),
    }


def runs_of(job: Job[Any], report_path: str | None, max_xcom_bytes: int) -> Any:
    """
    Say which run stands for which row, launched or adopted.

    :param job: the job, ended.
    :param report_path: where its report is.
    :param max_xcom_bytes: with more than this, it is a reference to the report that operators and sensors read.
    """
    runs = [outcome.launched() for outcome in sorted(job.tally.launched, key=lambda outcome: outcome.row or 0)]
    if report_path and len(json.dumps(runs)) > max_xcom_bytes:
        return {"path": report_path, "state": [State.CHANGED.value, State.UNCHANGED.value], "count": len(runs)}
    return runs


def check_size(work: Work[Any], report_path: str | None, max_xcom_bytes: int) -> None:
    """
    Refuse a job whose ``changed`` or ``runs`` may not fit into an XCom, while nothing is changed yet.

    :param work: what is to be done.
    :param report_path: where the report goes, which lifts the limit.
    :param max_xcom_bytes: the limit.
    :raises TallyfyValidationError: if they may not.
    """
    size = work.most_bytes
    if report_path is None and size > max_xcom_bytes:
        raise TallyfyValidationError(
            f"The XComs about up to {work.most_changed} runs to {work.verb} may take {size} bytes.\n"
            f"max_xcom_bytes allows {max_xcom_bytes}, and an undo needs all of them. Nothing was sent.\n"
            f"Set report_path: the XComs then refer to the report, and operators and sensors take them all the same.\n"
            f"Or choose fewer runs at a time.",
            fields={"max_xcom_bytes": [str(size)]},
        )


def error_of(work: Work[Any], job: Job[Any], report_path: str | None) -> TallyfyBulkError | None:
    """
    Sum up a job that did not do all it was asked for.

    :param work: what was done.
    :param job: the job, ended.
    :param report_path: where its report is.
    :return: the summary, permanent if a retry would find the same; ``None`` if there is nothing to complain of.
    """
    tally = job.tally
    if not job.stopped and not tally.bad:
        return None
    counts = ", ".join(f"{tally.counts[state]} {state.value}" for state in State)
    shown = tally.failures[:_QUOTED_FAILURES]
    failures = "".join(f"\n- {outcome.run_id or f'row {outcome.row}'}: {outcome.reason}" for outcome in shown)
    more = f"\n- and {tally.bad - len(shown)} more" if tally.bad > len(shown) else ""
    where = f" All of them are in {report_path}." if report_path else ""
    retry = tally.worth_a_retry or job.is_killed
    what_next = "A retry takes up what is open." if retry else "A retry would find the same; correct the input first."
    kind = TallyfyBulkError if retry else TallyfyBulkRejectedError
    stopped = f"; {job.stopped}" if job.stopped else ""
    return kind(
        f"Of {tally.total} runs to {work.verb}, not all are {work.participle} ({counts}{stopped}). "
        f"{what_next}{where}{failures}{more}"
    )
