"""Snapshot files, written before a run is deleted."""

from __future__ import annotations

import logging
from typing import Any

from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyNotFoundError
from airflow_provider_tallyfy.files.storage import read_json, write_json

log = logging.getLogger(__name__)


def write_snapshot(path: str, content: Any) -> None:
    """Write a snapshot. It holds what people filled in, so only the user of this process may read it."""
    write_json(path, content, private=True)


def is_snapshot_of(run_id: str, path: str) -> bool:
    """Whether a file is a whole snapshot of a run."""
    content = read_json(path)
    run = content.get("run") if isinstance(content, dict) else None
    return isinstance(run, dict) and run.get("id") == run_id


def keep_earlier(refusal: TallyfyError, run_id: str, path: str, *, is_retry: bool) -> None:
    """
    Keep the snapshot that an earlier try wrote, or raise the refusal to make a new one, with advice.

    Tallyfy may hide the tasks of a run that an earlier try archived. That try has seen them.
    """
    advice = ""
    if isinstance(refusal, TallyfyNotFoundError):
        if is_retry and is_snapshot_of(run_id, path):
            log.info("Kept the snapshot of run %s that an earlier try wrote to %s", run_id, path)
            return
        advice = "If it is archived and Tallyfy hides its tasks, restore it and delete it with archive_first=True.\n"
    refusal.args = (f"Run {run_id} was not deleted, because no snapshot could be made.\n{advice}{refusal}",)
    raise refusal
