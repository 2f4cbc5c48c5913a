"""The report of a bulk job: one JSON line per item, written as it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TextIO

from airflow_provider_tallyfy.bulk.outcome import Outcome
from airflow_provider_tallyfy.output import open_for_writing


class Report:
    """
    Writes outcomes, if anybody wants them written.

    :param path: where to, or ``None`` for nowhere.
    :param job: tells this job's lines from those of others.
    :param run_url: gives the address of a run in the web app.
    """

    def __init__(self, path: str | None, job: str, run_url: Callable[[str], str]) -> None:
        self._path = path
        self._job = job
        self._run_url = run_url
        self._file: TextIO | None = None

    def __enter__(self) -> Report:
        """Open the file."""
        if self._path:
            self._file = open_for_writing(self._path)
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the file, which is when object stores show it."""
        if self._file is not None:
            self._file.close()

    def write(self, outcome: Outcome) -> None:
        """
        Write a line; a killed task leaves all lines before the kill behind, if the file is a local one.

        :param outcome: what became of an item.
        """
        if self._file is None:
            return
        url = {"url": self._run_url(outcome.run_id)} if outcome.run_id else {}
        try:
            self._file.write(json.dumps({**outcome.describe(), **url, "job": self._job}) + "\n")
            self._file.flush()
        except Exception:
            self._file = None  # what cannot be written to is not tried again, while the job comes to its end
            raise
