"""Tasks of runs, projects made of tasks, and tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_tallyfy.api.call import Call
from airflow_provider_tallyfy.api.calls.paths import in_organization, of_run, page_parameters
from airflow_provider_tallyfy.api.inputs.checks import checked_id
from airflow_provider_tallyfy.api.models.envelope import Page, read_item, read_nothing, read_page
from airflow_provider_tallyfy.api.models.records import (
    TagLink,
    Task,
    read_project_run_id,
    read_task,
    read_task_form,
)
from airflow_provider_tallyfy.api.text import quoted


def list_tasks(organization_id: str, run_id: str, page: int) -> Call[Page]:
    """``GET /runs/{id}/tasks`` (documentation page "List tasks"), one page of it."""
    return Call(
        action=f"list the tasks of run {run_id} (page {page})",
        method="GET",
        path=of_run(organization_id, run_id, "tasks"),
        parse=lambda answer: read_page(answer, page),
        run_id=run_id,
        query=page_parameters(page),
    )


def get_task(organization_id: str, run_id: str, task_id: str) -> Call[Task]:
    """``GET /runs/{id}/tasks/{task}?with=form_fields`` (page "Get task"): a task with the fields of its form."""
    return Call(
        action=f"read task {task_id} of run {run_id}",
        method="GET",
        path=of_run(organization_id, run_id, "tasks", checked_id(task_id, "task_id")),
        parse=read_task_form,
        run_id=run_id,
        query=(("with", "form_fields"),),
    )


def update_task(organization_id: str, run_id: str, task_id: str, action: str, body: Mapping[str, Any]) -> Call[Task]:
    """``PUT /runs/{id}/tasks/{task}`` (page "Update task"). ``owners`` replaces all kinds of assignees."""
    return Call(
        action=f"{action} of run {run_id}",
        method="PUT",
        path=of_run(organization_id, run_id, "tasks", checked_id(task_id, "task_id")),
        parse=read_task_form,
        run_id=run_id,
        body=body,
    )


def reopen_task(organization_id: str, run_id: str, task_id: str) -> Call[None]:
    """``DELETE /runs/{id}/completed-tasks/{task}`` (page "Reopen task")."""
    return Call(
        action=f"reopen task {task_id} of run {run_id}",
        method="DELETE",
        path=of_run(organization_id, run_id, "completed-tasks", checked_id(task_id, "task_id")),
        parse=read_nothing,
        run_id=run_id,
    )


def complete_task(organization_id: str, run_id: str, task_id: str, is_approved: bool | None) -> Call[Task]:
    """``POST /runs/{id}/completed-tasks`` (page "Complete task"). Repeating it fires the webhooks again."""
    approval = {} if is_approved is None else {"is_approved": is_approved}
    return Call(
        action=f"complete task {task_id} of run {run_id}",
        method="POST",
        path=of_run(organization_id, run_id, "completed-tasks"),
        parse=read_task,
        run_id=run_id,
        body={"task_id": checked_id(task_id, "task_id"), **approval},
    )


def launch_project(organization_id: str, body: Mapping[str, Any]) -> Call[str]:
    """``POST /tasks`` (documentation page "Launch process without template"): gives the new run's id."""
    return Call(
        action=f"launch project {str(body.get('title'))[:80]!r}",
        method="POST",
        path=in_organization(organization_id, "tasks"),
        parse=read_project_run_id,
        body=body,
    )


def tag_run(organization_id: str, run_id: str, tag_id: str) -> Call[Mapping[str, Any]]:
    """``POST /checklists/tags`` for a run. Tagging again fires the tag's events again."""
    return Call(
        action=f"put tag {tag_id} on run {run_id}",
        method="POST",
        path=in_organization(organization_id, "checklists", "tags"),
        parse=read_item,
        run_id=run_id,
        body={
            "subject_id": checked_id(run_id),
            "subject_type": "Run",
            "tag_id": checked_id(tag_id, "tag_id"),
            "tag_type": "public",
        },
    )


def untag_run(organization_id: str, run_id: str, link: TagLink) -> Call[None]:
    """``DELETE /checklists/tags/{association}``; the association's number comes from ``GET /runs/{id}?with=tags``."""
    return Call(
        action=f"take tag {quoted(link.title or link.tag_id)} off run {run_id}",
        method="DELETE",
        path=in_organization(organization_id, "checklists", "tags", str(link.association_id)),
        parse=read_nothing,
        run_id=run_id,
    )
