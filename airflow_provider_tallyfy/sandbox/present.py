"""How stored things look on the wire, as far as the documentation agrees with itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.sandbox.ids_and_times import Json, stamp
from airflow_provider_tallyfy.sandbox.process import DONE, Run

if TYPE_CHECKING:
    from airflow_provider_tallyfy.sandbox.behavior import Behavior
    from airflow_provider_tallyfy.sandbox.store import Store

_MOMENTS = ("created_at", "started_at", "last_updated", "archived_at", "completed_at", "due_date")


def moment(value: str | None, behavior: Behavior) -> str | None:
    """Write a stored timestamp with or without milliseconds."""
    return value if value is None or behavior.milliseconds else f"{value[:19]}Z"


def progress(run: Run, behavior: Behavior) -> Any:
    """Show how far a run is: an object, a percentage, or nothing.

    Source: documentation pages "list-processes", "update-process" and "get-process", which disagree.
    """
    if behavior.progress == "empty":
        return {}
    complete, total = run.done, len(run.tasks)
    percent = 100 * complete // total if total else 0
    if behavior.progress == "int":
        return percent
    return {"complete": complete, "total": total, "percent": percent}


def run_json(run: Run, behavior: Behavior) -> Json:
    """Show a run without includes."""
    shown = run.data | {"progress": progress(run, behavior), "whole_progress": {}}
    if not behavior.milliseconds:
        for name in _MOMENTS:
            shown[name] = moment(shown[name], behavior)
    if run.archived and behavior.archived_status == "archived":
        shown["status"] = "archived"
    return shown


def task_json(run: Run, task: Json, behavior: Behavior, includes: frozenset[str] = frozenset()) -> Json:
    """Show a task; includes are the names from ``with=``, without the ``tasks.`` before them."""
    shown = {name: value for name, value in task.items() if name != "form_fields"}
    for name in ("created_at", "started_at", "completed_at"):
        shown[name] = moment(task[name], behavior)
    if task["task_type"] == "approval" and task["completed_at"] is None and behavior.decision_before == "false":
        shown["is_approved"] = False
    if task["is_approved"] is False and task["completed_at"]:
        shown["status"] = behavior.rejected_task
    if "threads" in includes:
        shown["threads"] = {"data": [t for t in run.threads if t["task_id"] == task["id"]]}
    if "form_fields" in includes:
        shown["form_fields"] = {"data": field_values(task["form_fields"], task["taskdata"])}
    if "run" in includes:
        shown["run"] = {"data": run_json(run, behavior)}
    return shown


def listed_task_json(run: Run, task: Json, behavior: Behavior, includes: frozenset[str] = frozenset()) -> Json:
    """Show a task in a list, or with its run."""
    shown = task_json(run, task, behavior, includes)
    if not behavior.listed_tasks_show_decisions:
        del shown["is_approved"]
    return shown


def next_task(run: Run) -> Json | None:
    """Return the first unfinished task by deadline."""
    waiting = [task for task in run.tasks if task["status"] not in DONE]
    return min(waiting, key=lambda t: (t["deadline"] or "9999", t["position"]), default=None)


def field_values(fields: list[Json], values: Json) -> list[Json]:
    """Show form fields with their values."""
    return [field | {"value": values.get(field["id"])} for field in fields]


def template_json(template: Json, *, steps: bool = False) -> Json:
    """Show a template; its kick-off fields are always inlined."""
    shown = {name: value for name, value in template.items() if name not in ("steps", "complete_after")}
    if steps:
        shown["steps"] = {"data": template["steps"]}
    return shown


def with_includes(run: Run, names: str, store: Store, behavior: Behavior) -> Json:
    """Show a run with the includes asked for, each wrapped in ``data`` as Fractal does."""
    shown = run_json(run, behavior)
    wanted = {name for name in names.split(",") if name}
    nested = frozenset(name.removeprefix("tasks.") for name in wanted if name.startswith("tasks."))
    if nested or "tasks" in wanted:
        shown["tasks"] = {"data": [listed_task_json(run, task, behavior, nested) for task in run.tasks]}
    if "next_task" in wanted:
        upcoming = next_task(run)
        listed = [listed_task_json(run, upcoming, behavior)] if upcoming else []
        shown["next_task"] = {"data": listed[0] if listed and behavior.next_task == "object" else listed}
    if "checklist" in wanted or "checklist.steps" in wanted:
        template = store.templates[run.data["checklist_id"]]
        shown["checklist"] = {"data": template_json(template, steps="checklist.steps" in wanted)}
    if "threads" in wanted and behavior.run_comments == "threads":
        shown["threads"] = {"data": [thread for thread in run.threads if thread["on"] == "run"]}
    if "tags" in wanted and behavior.run_tags != "hidden":
        shown["tags"] = {"data": [_tag_json(link, behavior) for link in run.tags]}
    if "ko_form_fields" in wanted:
        shown["ko_form_fields"] = {"data": kickoff_values(run, store)}
    if "form_fields" in wanted:
        shown["form_fields"] = {"data": task_values(run)}
    for name in wanted & {"assets", "stages", "permissions", "tasks_meta", "member_watchers", "guest_watchers"}:
        shown[name] = {"data": []}
    if "folders" in wanted:
        shown["folders"] = {"data": [{"id": folder} for folder in run.data["folders"]]}
    return shown


def _tag_json(link: Json, behavior: Behavior) -> Json:
    if behavior.run_tags == "flat":
        return link
    return {"id": link["id"], "tag": {"data": {"id": link["tag_id"], "title": link["title"]}}}


def kickoff_values(run: Run, store: Store) -> list[Json]:
    """Show the kick-off form of a run with its values."""
    return field_values(store.templates[run.data["checklist_id"]]["prerun"], run.data["prerun"])


def task_values(run: Run) -> list[Json]:
    """Show the form fields of all tasks of a run with their values."""
    return [
        value | {"task_id": task["id"]}
        for task in run.tasks
        for value in field_values(task["form_fields"], task["taskdata"])
    ]


def activity_json(row: Json, store: Store, organization_id: str, behavior: Behavior) -> Json:
    """Show a row of the activity feed: most scalars are one-element arrays.

    Source: documentation page "get-process-activity"; the timestamp is the documented one or the measured one.
    """
    at = stamp(row["at"])[:19]
    actor = store.users.get(row["actor_id"], {"email": None, "full_name": None})
    subject, subject_id = ("Task", row["task_id"]) if row["task_id"] else ("Run", row["run_id"])
    return {
        "id": row["id"],
        "organization_id": organization_id,
        "verb": [row["verb"]],
        "source": ["Member"],
        "actor_type": ["App\\Models\\User"],
        "actor_id": [row["actor_id"]],
        "auditable_type": f"App\\Models\\{subject}",
        "auditable_id": subject_id,
        "parentable_type": "App\\Models\\Run",
        "parentable_id": row["run_id"],
        "type": [row["type"]],
        "description": [row["description"]],
        "field": None,
        "old_value": None,
        "created_at": f"{at}Z" if behavior.activity_timestamps == "iso" else at.replace("T", " "),
        "text": None,
        "references": None,
        "actor": [{"email": actor["email"], "full_name": actor["full_name"]}],
        "undoable": False,
        "audit": {"data": {}},
        "parent": {"data": {}},
        "origin": None,
    }
