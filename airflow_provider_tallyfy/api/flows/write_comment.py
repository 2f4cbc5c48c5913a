"""
Comment once, although Tallyfy has no idempotency key.

The comment ends with a marker, as the summary of a launched run does, and is looked for before it is written.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.errors import TallyfyNotFoundError, TallyfyResponseError, TallyfyUnknownOutcomeError
from airflow_provider_tallyfy.api.flows.contents import explain_archived, newest_activity
from airflow_provider_tallyfy.api.flows.lookup import LaunchKey
from airflow_provider_tallyfy.api.flows.replica_lag import look_until
from airflow_provider_tallyfy.api.models.comment import Comment, CommentChange
from airflow_provider_tallyfy.api.models.records import Activity
from airflow_provider_tallyfy.api.models.run import NEVER

_VERBS = frozenset({"commented", "issue-reported"})


def comment(
    organization_id: str,
    run_id: str,
    content: str,
    key: LaunchKey,
    *,
    task_id: str | None = None,
    problem: bool = False,
) -> Flow[CommentChange]:
    """
    Comment on a run or one of its tasks, or find the comment that an earlier try wrote.

    :param key: what a later try recognizes the comment by; its marker is added to the content.
    :param task_id: the task; ``None`` for the run itself.
    :param problem: whether to report a problem, which holds the run until somebody resolves it.
    :return: the comment; ``changed`` is ``False`` if it was there before, or another try wrote it first.
    :raises TallyfyNotFoundError: if there is no such run or task, or the run is archived.
    :raises TallyfyUnknownOutcomeError: if it is not known yet whether it was written; a later try finds out.
    """
    flow = _comment_once(organization_id, run_id, content, key, task_id, problem=problem)
    return (yield from explain_archived(organization_id, run_id, flow))


def _comment_once(
    organization_id: str, run_id: str, content: str, key: LaunchKey, task_id: str | None, *, problem: bool
) -> Flow[CommentChange]:
    def look() -> Flow[list[Comment]]:
        return _with_marker(organization_id, run_id, task_id, key)

    earlier: list[Comment] = [] if key.pages == 0 else (yield from look_until(look, allow_lag=key.just_now))
    if earlier:
        return CommentChange(earlier[0], changed=False)
    try:
        written: Comment = yield calls.add_comment(organization_id, run_id, task_id, key.mark(content), problem=problem)
    except (TallyfyUnknownOutcomeError, TallyfyResponseError) as error:
        found = yield from look_until(look)
        if found:
            return CommentChange(found[0], changed=True)
        message = (
            f"{error}\nNo comment with this task's marker is visible yet.\nA retry looks again before it comments."
        )
        raise error.recast(TallyfyUnknownOutcomeError, message) from None
    if task_id is None or problem:
        return CommentChange(written, changed=True)  # no way to take it back is known
    return (yield from _keep_first(organization_id, run_id, task_id, written, (yield from look())))


def _keep_first(
    organization_id: str, run_id: str, task_id: str, written: Comment, seen: list[Comment]
) -> Flow[CommentChange]:
    """Keep the first comment if another try wrote one at the same time, and delete the other."""
    first = min([written, *seen], key=_order)
    if first.id == written.id:
        return CommentChange(written, changed=True)
    with suppress(TallyfyNotFoundError):  # the first answer was lost
        yield calls.delete_comment(organization_id, run_id, task_id, str(written.id))
    return CommentChange(first, changed=False)


def _with_marker(organization_id: str, run_id: str, task_id: str | None, key: LaunchKey) -> Flow[list[Comment]]:
    """
    Find the comments that carry the marker, the first one first.

    Where Tallyfy shows the comments on a run itself is not documented: with the run, or only in its activity.
    """
    shown: tuple[Comment, ...] = yield calls.list_comments(organization_id, run_id, task_id)
    found = sorted((each for each in shown if each.carries(key.marker)), key=_order)
    if found or task_id is not None:
        return found
    entries: list[Activity] = yield from newest_activity(organization_id, run_id, key.since)
    told = (entry for entry in entries if entry.verb in _VERBS and key.marker in f"{entry.description} {entry.text}")
    return [Comment(None, entry.created_at) for entry in told]


def _order(comment: Comment) -> tuple[datetime, str]:
    return comment.created_at or NEVER, str(comment.id)
