"""The file with all of a run, without which a deletion that was asked to write one does not happen."""

from __future__ import annotations

import logging
from typing import Any

from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyNotFoundError
from airflow_provider_tallyfy.files.storage import read_json, write_json

log = logging.getLogger(__name__)


def write_snapshot(path: str, content: Any) -> None:
    """
    Write a snapshot, which only the user of this process may read: it holds what people filled in.

    :param path: local path, or URL of an object store.
    :param content: all of the run.
    """
    write_json(path, content, private=True)


def is_snapshot_of(run_id: str, path: str) -> bool:
    """
    Whether a file is a whole snapshot of a run.

    :param run_id: the run.
    :param path: local path, or URL of an object store.
    """
    content = read_json(path)
    run = content.get("run") if isinstance(content, dict) else None
    return isinstance(run, dict) and run.get("id") == run_id


def keep_earlier(refusal: TallyfyError, run_id: str, path: str, *, is_retry: bool) -> None:
    """
    Make do with the snapshot that an earlier try wrote.

    A run that an earlier try archived may not show its tasks now, but then it showed them.

    :param refusal: why there is no new one.
    :param run_id: the run.
    :param path: where the snapshot belongs.
    :param is_retry: whether there was an earlier try.
    :raises TallyfyError: the refusal, saying what to do, if there is none to keep.
    """
    advice = ""
    if isinstance(refusal, TallyfyNotFoundError):
        if is_retry and is_snapshot_of(run_id, path):
            log.info("Kept the snapshot of run %s that an earlier try wrote to %s", run_id, path)
            return
        advice = "\nIf it is archived and Tallyfy hides its tasks, restore it and delete it with archive_first=True."
    refusal.args = (f"Run {run_id} was not deleted, because no snapshot could be made.\n{refusal}{advice}",)
    raise refusal
