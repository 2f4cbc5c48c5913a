"""The report of a bulk job: one JSON line per item, written as it ends."""

from __future__ import annotations

import glob
import json
import time
from collections.abc import Callable
from pathlib import Path

from airflow_provider_tallyfy.bulk.results import Outcome
from airflow_provider_tallyfy.files.storage import NewFile, file_name, files_beside


class Report:
    """
    Writes outcomes, if anybody wants them written.

    While the job runs, a local report grows beside its path, under a name of its own. A try that is killed leaves it
    there, and the next one finds it (:func:`reports_of`). When the job has ended it takes its place.

    :param path: where to, or ``None`` for nowhere.
    :param job: tells this job's lines from those of others.
    :param run_url: gives the address of a run in the web app.
    :param is_complete: asked at the end whether the report has all outcomes.
    """

    def __init__(
        self, path: str | None, job: str, run_url: Callable[[str], str], is_complete: Callable[[], bool]
    ) -> None:
        self._path = path
        self._job = job
        self._run_url = run_url
        self._is_complete = is_complete
        self._new: NewFile | None = None
        self._earlier: list[Path] = []
        self._can_be_written = True

    def __enter__(self) -> Report:
        """Open the file."""
        if self._path:
            self._earlier = _partial_reports(self._path, self._job)
            self._new = NewFile(self._path, beside=f"{_stem(self._path, self._job)}{time.time_ns()}.partial")
        return self

    def __exit__(self, *exception: object) -> None:
        """Give the report its place, or leave it beside if it is not complete."""
        if self._new is None:
            return
        if not (self._can_be_written and self._is_complete()):
            self._new.leave()
            return
        for partial in self._earlier:
            partial.unlink(missing_ok=True)
        self._new.put_in_place()

    def write(self, outcome: Outcome) -> None:
        """
        Write a line; a killed task leaves all lines before the kill behind, if the file is a local one.

        :param outcome: what became of an item.
        """
        if self._new is None or not self._can_be_written:
            return
        url = {"url": self._run_url(outcome.run_id)} if outcome.run_id else {}
        try:
            self._new.file.write(json.dumps({**outcome.describe(), **url, "job": self._job}) + "\n")
            self._new.file.flush()
        except Exception:
            self._can_be_written = False  # what cannot be written to is not tried again, while the job comes to its end
            raise


def reports_of(path: str, job: str) -> list[str]:
    """
    Name the reports of a job's tries, the latest last: the one at the path, and those that killed tries left beside it.

    :param path: where the report belongs.
    :param job: the job.
    """
    return [path, *map(str, _partial_reports(path, job))]


def _partial_reports(path: str, job: str) -> list[Path]:
    """Find the reports that tries left beside the path, the latest last, as the times in their names say."""
    return sorted(files_beside(path, f"{glob.escape(_stem(path, job))}*.partial"))


def _stem(path: str, job: str) -> str:
    return f"{file_name(path)}.{job}."
