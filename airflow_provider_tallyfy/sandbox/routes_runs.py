"""Endpoints on runs."""

from __future__ import annotations

from airflow_provider_tallyfy.sandbox import kickoff_rules
from airflow_provider_tallyfy.sandbox.ids_and_times import Json
from airflow_provider_tallyfy.sandbox.present import kickoff_values, run_json, task_json, task_values, with_includes
from airflow_provider_tallyfy.sandbox.process import Run
from airflow_provider_tallyfy.sandbox.request import Call, Handler
from airflow_provider_tallyfy.sandbox.responses import Answer, Refusal, invalid, invalid_field, missing
from airflow_provider_tallyfy.sandbox.selection import page, select_runs

NAME_LIMIT = 550

_STORED_AT_LAUNCH = ("name", "summary", "owner_id", "starred", "is_public", "parent_id", "users", "groups", "folders")
_ID_LISTS = ("tags", "users", "groups", "folders")
_STORED_AT_UPDATE = ("name", "summary", "owner_id", "starred", "is_public", "publicly_hidden_fields")


def list_runs(call: Call) -> Answer:
    """``GET /runs``. Source: documentation page "list-processes"."""
    runs = select_runs(call.store, call.query, call.behavior)
    rows, meta = page(runs, call.query, call.behavior, call.path)
    includes = call.query.get("with", "")
    shown = [with_includes(run, includes, call.store, call.behavior) for run in rows]
    return Answer.json({"data": shown} | meta)


def get_run(call: Call) -> Answer:
    """``GET /runs/{id}``. Source: documentation page "get-process"."""
    return Answer.data(with_includes(call.run(), call.query.get("with", ""), call.store, call.behavior))


def launch_run(call: Call) -> Answer:
    """``POST /runs``: 201. Source: documentation page "launch-process"."""
    call.require_role("admin", "standard")
    body = call.json()
    _check_name(body)
    _check_lists(body)
    template = _template(call, body)
    fields = {name: body[name] for name in _STORED_AT_LAUNCH if body.get(name) is not None}
    prerun = kickoff_rules.accept(template["prerun"], body.get("prerun"))
    tasks = _steps(body)
    steps = list(tasks) or None
    tags = [tag for tag in body.get("tags") or [] if tag in call.store.tags]
    starter = body.get("user_id") or call.user_id
    run = call.store.add_run(template, steps=steps, tags=tags, prerun=prerun, started_by=starter, **fields)
    for task in run.tasks if tasks else []:
        task.update({name: tasks[task["step_id"]].get(name, task[name]) for name in ("deadline", "owners")})
    if call.behavior.list_lag:
        call.store.unseen[run.id] = call.behavior.list_lag
    call.store.webhooks.append({"event": "process.launched", "run_id": run.id})
    return Answer.data(run_json(run, call.behavior), 201)


def _steps(body: Json) -> dict[str, Json]:
    """Return the steps a launch is limited to: a partial map makes a partial process."""
    tasks = body.get("tasks") or {}
    if not isinstance(tasks, dict) or not all(isinstance(step, dict) for step in tasks.values()):
        raise invalid({"tasks": ["The tasks must be an object keyed by step id."]})
    return tasks


def _check_name(body: Json) -> None:
    name = body.get("name")
    if name is not None and not isinstance(name, str):
        raise invalid({"name": ["The name must be a string."]})
    if name and len(name) > NAME_LIMIT:
        raise invalid({"name": [f"The name may not be greater than {NAME_LIMIT} characters."]})


def _check_lists(body: Json) -> None:
    wrong = [name for name in _ID_LISTS if not isinstance(body.get(name, []), list | None)]
    if wrong:
        raise invalid({name: [f"The {name} must be an array."] for name in wrong})


def _template(call: Call, body: Json) -> Json:
    if not body.get("checklist_id"):
        raise invalid_field("checklist_id", "The checklist id field is required.")
    template = call.store.templates.get(str(body["checklist_id"]))
    if template is None:
        raise missing()
    if template["archived_at"]:
        message = "The template is archived."
        raise Refusal(call.behavior.launch_archived_template, {"error": True, "message": message})
    return template


def update_run(call: Call) -> Answer:
    """``PUT /runs/{id}``: absent ``users`` and ``groups`` are emptied where this sandbox has that bug.

    Source: documentation page "update-process", against what was measured in production.
    """
    call.require_role("admin", "standard")
    run, body = call.run(), call.json()
    _check_name(body)
    _check_lists(body)
    template = call.store.templates[run.data["checklist_id"]]
    prerun = kickoff_rules.accept(template["prerun"], body.get("prerun"), partial=True)
    run.data.update({name: body[name] for name in _STORED_AT_UPDATE if name in body})
    run.data["prerun"] = run.data["prerun"] | prerun
    for name in ("users", "groups"):
        if name in body or call.behavior.update_wipes_assignees:
            run.data[name] = list(body.get(name) or [])
    run.data["last_updated"] = call.store.now()
    call.store.log(run, "updated", "Process", f"Updated process: {run.data['name']}")
    return Answer.data(run_json(run, call.behavior))


def archive_run(call: Call) -> Answer:
    """``DELETE /runs/{id}``. Source: documentation page "archive-process"."""
    call.require_role("admin", "standard")
    run = call.any_run()
    if not run.archived:
        call.store.archive(run, by=call.user_id)
    elif call.behavior.repeat_archive == 404:
        raise missing()
    return _lifecycle_answer(call, run, call.behavior.archive_answers_body)


def activate_run(call: Call) -> Answer:
    """``PUT /runs/{id}/activate``. Source: documentation page "activate-process"."""
    call.require_role("admin", "standard")
    run = call.any_run()
    if run.archived:
        call.store.restore(run, by=call.user_id)
    elif call.behavior.repeat_activate == 404:
        raise missing()
    elif call.behavior.repeat_activate == 422:
        raise invalid({"run": ["The process is not archived."]})
    return _lifecycle_answer(call, run, call.behavior.activate_answers_body)


def _lifecycle_answer(call: Call, run: Run, with_body: bool) -> Answer:
    return Answer.data(run_json(run, call.behavior)) if with_body else Answer.empty(204)


def delete_run(call: Call) -> Answer:
    """``DELETE /runs/{id}/delete``: 200 without a body. Source: documentation page "delete-process"."""
    call.require_role("admin")
    run = call.any_run()
    if not run.archived and call.behavior.delete_live == 404:
        raise missing()
    if not run.archived:
        raise invalid({"run": ["Process isn't archived yet - archive it first"]})
    call.store.delete(run)
    return Answer.empty()


def export_run(call: Call) -> Answer:
    """``POST /runs/{id}/export``. Its shape is documented nowhere."""
    run = call.run()
    export = run_json(run, call.behavior)
    export["tasks"] = [task_json(run, task, call.behavior) for task in run.tasks]
    export["form_fields"], export["ko_form_fields"] = task_values(run), kickoff_values(run, call.store)
    return Answer.json({"data": export} if call.behavior.export_wrapped else export)


def form_fields(call: Call) -> Answer:
    """``GET /runs/{id}/form-fields``: values of the tasks' forms and of the kick-off form."""
    run = call.run_with_children()
    return Answer.json({"form_fields": task_values(run), "ko_form_fields": kickoff_values(run, call.store)})


ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/runs", list_runs),
    ("POST", "/runs", launch_run),
    ("GET", "/runs/{run}", get_run),
    ("PUT", "/runs/{run}", update_run),
    ("DELETE", "/runs/{run}", archive_run),
    ("PUT", "/runs/{run}/activate", activate_run),
    ("DELETE", "/runs/{run}/delete", delete_run),
    ("POST", "/runs/{run}/export", export_run),
    ("GET", "/runs/{run}/form-fields", form_fields),
]
