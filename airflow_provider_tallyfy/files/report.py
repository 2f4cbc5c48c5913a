"""The report of a bulk job: one JSON line per item, written when the item ends."""

from __future__ import annotations

import glob
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_tallyfy.api.models.envelope import is_code
from airflow_provider_tallyfy.api.parsing import loads
from airflow_provider_tallyfy.files.storage import NewFile, file_name, files_beside, read_lines


class Report:
    """
    Writes lines, if there is a path to write them to.

    While the job runs, a local report grows beside its path, in a file whose name ends with ``.partial``. A killed try
    leaves that file there, and the next try reads it. When the job has ended, the file replaces the one at the path.
    """

    def __init__(self, path: str | None, job: str, is_complete: Callable[[], bool]) -> None:
        self._path = path
        self._job = job
        self._is_complete = is_complete
        self._new: NewFile | None = None
        self._earlier: list[Path] = []
        self._is_writable = True

    def __enter__(self) -> Report:
        """Open the file."""
        if self._path:
            self._earlier = _partial_reports(self._path, self._job)
            self._new = NewFile(self._path, beside=f"{_stem(self._path, self._job)}{time.time_ns()}.partial")
        return self

    def __exit__(self, *exception: object) -> None:
        """Move the report to its path, or leave it beside if it is not complete."""
        if self._new is None:
            return
        if not (self._is_writable and self._is_complete()):
            self._new.leave()
            return
        for partial in self._earlier:
            partial.unlink(missing_ok=True)
        self._new.put_in_place()

    def write(self, row: Mapping[str, Any]) -> None:
        """Write a line; if the file is a local one, a kill leaves it there."""
        if self._new is None or not self._is_writable:
            return
        try:
            self._new.file.write(json.dumps({**row, "job": self._job}) + "\n")
            self._new.file.flush()
        except Exception:
            self._is_writable = False  # the job goes on to its end without a report
            raise


def reported_states(path: str, job: str) -> dict[str, Any]:
    """Read the last state of each item of a job, by id, from the report and what killed tries left beside it."""
    paths = [path, *map(str, _partial_reports(path, job))]
    return {row["id"]: row.get("state") for each in paths for row in _rows(each, job)}


def _rows(path: str, job: str) -> Iterator[Mapping[str, Any]]:
    try:
        for line in read_lines(path):
            try:
                row = loads(line)
            except ValueError:
                continue  # a killed try may leave half a line
            if isinstance(row, Mapping) and row.get("job") == job and is_code(row.get("id")):
                yield row
    except FileNotFoundError:
        pass  # no try has written one


def _partial_reports(path: str, job: str) -> list[Path]:
    """Find the reports that tries left beside the path, the latest last, as the times in their names say."""
    return sorted(files_beside(path, f"{glob.escape(_stem(path, job))}*.partial"))


def _stem(path: str, job: str) -> str:
    return f"{file_name(path)}.{job}."
