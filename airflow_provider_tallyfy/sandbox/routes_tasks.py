"""Endpoints on the tasks of runs, on comments and issues, and template-less launches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_tallyfy.sandbox import kickoff_rules
from airflow_provider_tallyfy.sandbox.ids_and_times import Json
from airflow_provider_tallyfy.sandbox.present import listed_task_json, run_json, task_json
from airflow_provider_tallyfy.sandbox.process import DONE, Run, blank_task
from airflow_provider_tallyfy.sandbox.request import Call, Handler
from airflow_provider_tallyfy.sandbox.responses import Answer, invalid, invalid_field, missing
from airflow_provider_tallyfy.sandbox.selection import page

TITLE_LIMIT = 600

_STATUS: dict[str, Callable[[Json], bool]] = {
    "complete": lambda task: task["status"] in DONE,
    "active": lambda task: task["status"] not in DONE,
    "active_visible": lambda task: task["status"] not in DONE,
    "incomplete": lambda task: task["status"] not in DONE,
    "inprogress": lambda task: task["status"] == "in-progress",
    "not-started": lambda task: task["status"] == "not-started",
    "hasproblem": lambda task: bool(task["has_open_issue"]),
    "overdue": lambda task: False,
    "due_soon": lambda task: False,
}


def list_tasks(call: Call) -> Answer:
    """``GET /runs/{run}/tasks``. Source: documentation page "list-tasks"."""
    run = call.run_with_children()
    status = call.query.get("status")
    if status and status not in _STATUS:
        raise invalid_field("status", "The selected status is invalid.")
    tasks = [task for task in run.tasks if not status or _STATUS[status](task)]
    rows, meta = page(tasks, call.query, call.behavior, call.path)
    includes = frozenset(call.query.get("with", "").split(","))
    return Answer.json({"data": [listed_task_json(run, task, call.behavior, includes) for task in rows]} | meta)


def get_task(call: Call) -> Answer:
    """``GET /runs/{run}/tasks/{task}``."""
    run = call.run_with_children()
    includes = frozenset(call.query.get("with", "").split(","))
    return Answer.data(task_json(run, call.task(run, call.params["task"]), call.behavior, includes))


def update_task(call: Call) -> Answer:
    """``PUT /runs/{run}/tasks/{task}``: fills the form; partial ``owners`` empty the other kinds of owner."""
    run, task = _live_task(call, call.params["task"])
    body = call.json()
    given = body.get("taskdata") or {}
    values = kickoff_rules.accept(task["form_fields"], given, partial=True)
    if "taskdata" in body:
        stored = task["taskdata"].items() if call.behavior.taskdata_merges else ()
        task["taskdata"] = {name: value for name, value in stored if name not in given} | values
    if values and task["status"] == "not-started":
        task["status"] = "in-progress"
    task.update({name: body[name] for name in ("title", "deadline") if name in body})
    if "owners" in body:
        task["owners"] = {"users": [], "guests": [], "groups": []} | body["owners"]
    call.store.log(run, "updated", "Task", f"Updated task: {task['title']}", task)
    return Answer.data(task_json(run, task, call.behavior))


def _live_task(call: Call, task_id: str) -> tuple[Run, Json]:
    """Return a task that may be changed: the run is not archived, and nobody has reported an issue on it."""
    run = call.run()
    task = call.task(run, task_id)
    if run.archived:
        raise missing()
    if run.data["status"] == "issue":
        raise invalid({"task": ["This process has unresolved issues."]})
    return run, task


def complete_task(call: Call) -> Answer:
    """``POST /runs/{run}/completed-tasks``. Source: documentation page "complete-task"."""
    body = call.json()
    if not body.get("task_id"):
        raise invalid_field("task_id", "The task id field is required.")
    run, task = _live_task(call, body["task_id"])
    _check_completable(call, task, body)
    now = call.store.now()
    run.complete_task(task, now, body.get("override_user") or call.user_id, body.get("is_approved"))
    run.refresh(now)
    call.store.log(run, "completed", "Task", f"Completed task: {task['title']}", task)
    call.store.webhooks.append({"event": "task.completed", "run_id": run.id, "task_id": task["id"]})
    if run.data["status"] == "complete":
        call.store.log(run, "completed", "Process", f"Completed process: {run.data['name']}")
        call.store.webhooks.append({"event": "process.completed", "run_id": run.id})
    return Answer.data(task_json(run, task, call.behavior))


def _check_completable(call: Call, task: Json, body: Json) -> None:
    if task["task_type"] == "approval" and "is_approved" not in body:
        raise invalid_field("is_approved", "The is approved field is required")
    if task["status"] in DONE and call.behavior.complete_twice == "reject":
        raise invalid({"task": ["This task is already completed."]})
    if task["has_open_issue"]:
        raise invalid({"task": ["This task has unresolved issues."]})
    empty = [f for f in task["form_fields"] if f["required"] and task["taskdata"].get(f["id"]) in (None, "")]
    if empty:
        raise invalid({f"taskdata.{field['id']}": [f"{field['label']} is required"] for field in empty})


def reopen_task(call: Call) -> Answer:
    """``DELETE /runs/{run}/completed-tasks/{task}``: the run is no longer complete."""
    now = call.store.now()
    run, task = _live_task(call, call.params["task"])
    run.reopen_task(task, now)
    run.refresh(now)
    call.store.log(run, "re-opened", "Task", f"Reopened task: {task['title']}", task)
    return Answer.data(task_json(run, task, call.behavior))


def _run_of_task(call: Call) -> tuple[Run, Json]:
    for run in call.store.runs.values():
        task = run.task(call.params["task"])
        if task is not None and not run.archived:
            return run, task
    raise missing()


def comment_task(call: Call) -> Answer:
    """``POST /tasks/{task}/comment``."""
    return _add_thread(call, *_run_of_task(call), issue=call.json().get("state") == "problem")


def report_task(call: Call) -> Answer:
    """``POST /tasks/{task}/problem``: the run becomes ``problem``."""
    return _add_thread(call, *_run_of_task(call), issue=True)


def comment_run(call: Call) -> Answer:
    """``POST /runs/{run}/comment``."""
    return _add_thread(call, call.run(), None, issue=False)


def report_run(call: Call) -> Answer:
    """``POST /runs/{run}/problem``: the run becomes ``issue``."""
    return _add_thread(call, call.run(), None, issue=True)


def _add_thread(call: Call, run: Run, task: Json | None, *, issue: bool) -> Answer:
    content = call.json().get("content")
    if run.archived:
        raise missing()
    if not content:
        raise invalid_field("content", "The content field is required.")
    add = run.open_issue if issue else run.comment
    thread = add(content, call.store.now(), call.user_id, task)
    verb = "issue-reported" if issue else "commented"
    is_told = task is None and call.behavior.run_comments == "activity"
    call.store.log(run, verb, "Comment", content if is_told else f"{verb}: {thread['id']}", task, by=call.user_id)
    return Answer.data(thread, 201)


def delete_comment(call: Call) -> Answer:
    """``DELETE /tasks/{task}/comment/{comment}``."""
    run, task = _run_of_task(call)
    thread = next((each for each in run.threads if str(each["id"]) == call.params["comment"]), None)
    if thread is None:
        raise missing()
    run.threads.remove(thread)
    call.store.log(run, "comment-deleted", "Comment", f"comment-deleted: {thread['id']}", task, by=call.user_id)
    return Answer.empty()


def resolve_on_task(call: Call) -> Answer:
    """``POST /tasks/{task}/resolved-threads``."""
    return _resolve(call, _run_of_task(call)[0])


def resolve_on_run(call: Call) -> Answer:
    """``POST /runs/{run}/resolved-threads``."""
    return _resolve(call, call.run())


def _resolve(call: Call, run: Run) -> Answer:
    wanted = call.json().get("thread_id")
    thread = next((thread for thread in run.threads if thread["id"] == wanted), None)
    if thread is None:
        raise missing()
    run.resolve(thread, call.store.now())
    call.store.log(run, "issue-resolved", "Comment", thread["content"])
    return Answer.data(thread)


def launch_project(call: Call) -> Answer:
    """``POST /tasks``: a run without a template, one task per assignee; only the first task is returned.

    Source: documentation page "launch-process-without-template".
    """
    body = call.json()
    title = body.get("title")
    if not title or len(title) > TITLE_LIMIT:
        raise invalid_field("title", "The title field is required and may not be greater than 600 characters.")
    owners = {"users": [], "guests": [], "groups": []} | (body.get("owners") or {})
    run = call.store.runs.get(str(body.get("run_id") or "")) or _empty_project(call, body)
    added = [_oneoff(run, body, each) for each in _assignees(owners, body)]
    run.tasks += added
    run.refresh(call.store.now())
    shown = task_json(run, added[0], call.behavior)
    summary = run_json(run, call.behavior)
    shown["run"] = {name: summary[name] for name in ("id", "name", "started_at", "summary")}
    return Answer.data(shown, 201)


def _empty_project(call: Call, body: Json) -> Run:
    template = call.state.hidden_template()
    summary = body.get("summary") if call.behavior.project_summary == "run" else None
    fields = {"name": body["title"], "summary": summary, "started_by": call.user_id}
    run = call.store.add_run(template, **fields)
    if call.behavior.list_lag:
        call.store.unseen[run.id] = call.behavior.list_lag
    return run


def _assignees(owners: dict[str, list[Any]], body: Json) -> list[Json]:
    nobody: Json = {"users": [], "guests": [], "groups": []}
    if not body.get("separate_task_for_each_assignee"):
        return [owners]
    return [nobody | {kind: [one]} for kind, ids in owners.items() for one in ids] or [owners]


def _oneoff(run: Run, body: Json, owners: Json) -> Json:
    fields = {name: body[name] for name in ("title", "task_type", "deadline") if body.get(name)}
    if not run.data["summary"]:
        fields["summary"] = body.get("summary")
    return blank_task(run.data, len(run.tasks) + 1, owners=owners, is_oneoff_task=True, **fields)


ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/runs/{run}/tasks", list_tasks),
    ("GET", "/runs/{run}/tasks/{task}", get_task),
    ("PUT", "/runs/{run}/tasks/{task}", update_task),
    ("POST", "/runs/{run}/completed-tasks", complete_task),
    ("DELETE", "/runs/{run}/completed-tasks/{task}", reopen_task),
    ("POST", "/runs/{run}/comment", comment_run),
    ("POST", "/runs/{run}/problem", report_run),
    ("POST", "/runs/{run}/resolved-threads", resolve_on_run),
    ("POST", "/tasks/{task}/comment", comment_task),
    ("DELETE", "/tasks/{task}/comment/{comment}", delete_comment),
    ("POST", "/tasks/{task}/problem", report_task),
    ("POST", "/tasks/{task}/resolved-threads", resolve_on_task),
    ("POST", "/tasks", launch_project),
]
