"""Readers of comments on runs and tasks, and of problems that are reported there; Tallyfy calls both threads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_tallyfy.api.call import Answer
from airflow_provider_tallyfy.api.models.envelope import is_code, read_item
from airflow_provider_tallyfy.api.models.run import parse_time


@dataclass(frozen=True)
class Comment:
    """
    A comment, or a problem that somebody reported.

    :param id: its id; ``None`` if only an entry of the run's activity shows it.
    :param raw: everything Tallyfy sent.
    """

    id: str | None
    created_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Comment:
        """Read a comment; its id is text or a number."""
        comment_id = row.get("id")
        if isinstance(comment_id, int) and not isinstance(comment_id, bool):
            comment_id = str(comment_id)
        if not is_code(comment_id):
            raise ValueError("the comment in the answer has no id")
        return cls(comment_id, parse_time(row.get("created_at")), row)

    def carries(self, marker: str) -> bool:
        """Whether a marker stands in it, whatever Tallyfy made of the text around it."""
        return marker in json.dumps(self.raw)


@dataclass(frozen=True)
class CommentChange:
    """A comment, and whether this try wrote it."""

    comment: Comment
    changed: bool


def read_comment(answer: Answer) -> Comment:
    """Read the comment that was just written."""
    return Comment.from_json(read_item(answer))


def read_comments(answer: Answer) -> tuple[Comment, ...]:
    """Read the comments of a task or run that was read with them; no comments if it does not show any."""
    threads = read_item(answer).get("threads")
    rows = threads.get("data") if isinstance(threads, Mapping) else threads
    if rows is None:
        return ()
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError('expected a list of objects in "threads"')
    return tuple(map(Comment.from_json, rows))
