"""Comments on runs and tasks, and problems that are reported there."""

from __future__ import annotations

from airflow_provider_tallyfy.api.call import Call
from airflow_provider_tallyfy.api.calls.paths import in_organization, of_run
from airflow_provider_tallyfy.api.inputs.checks import checked_id
from airflow_provider_tallyfy.api.models.comment import Comment, read_comment, read_comments
from airflow_provider_tallyfy.api.models.envelope import read_nothing


def list_comments(organization_id: str, run_id: str, task_id: str | None) -> Call[tuple[Comment, ...]]:
    """``GET /runs/{id}/tasks/{task}?with=threads`` (page "Get task"), or the run likewise, which no page documents."""
    of_task = () if task_id is None else ("tasks", checked_id(task_id, "task_id"))
    return Call(
        action=f"read the comments on {_subject(run_id, task_id)}",
        method="GET",
        path=of_run(organization_id, run_id, *of_task),
        parse=read_comments,
        run_id=run_id,
        query=(("with", "threads"),),
    )


def add_comment(
    organization_id: str, run_id: str, task_id: str | None, content: str, *, problem: bool
) -> Call[Comment]:
    """``POST /tasks/{task}/comment`` or ``/runs/{id}/comment``, or ``problem`` (page "How to integrate")."""
    kind = "problem" if problem else "comment"
    verb = "report a problem" if problem else "comment"
    if task_id is None:
        path = of_run(organization_id, run_id, kind)
    else:
        path = in_organization(organization_id, "tasks", checked_id(task_id, "task_id"), kind)
    return Call(
        action=f"{verb} on {_subject(run_id, task_id)}",
        method="POST",
        path=path,
        parse=read_comment,
        run_id=run_id,
        body={"content": content},
    )


def delete_comment(organization_id: str, run_id: str, task_id: str, comment_id: str) -> Call[None]:
    """``DELETE /tasks/{task}/comment/{comment}`` (official n8n node, tested live)."""
    return Call(
        action=f"delete comment {comment_id} on {_subject(run_id, task_id)}",
        method="DELETE",
        path=in_organization(
            organization_id, "tasks", checked_id(task_id, "task_id"), "comment", checked_id(comment_id, "comment_id")
        ),
        parse=read_nothing,
        run_id=run_id,
    )


def _subject(run_id: str, task_id: str | None) -> str:
    return f"run {run_id}" if task_id is None else f"task {task_id} of run {run_id}"
