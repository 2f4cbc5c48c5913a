"""Endpoints on people, templates, tags and the activity feed."""

from __future__ import annotations

from airflow_provider_tallyfy.sandbox.ids_and_times import Json, stamp
from airflow_provider_tallyfy.sandbox.present import activity_json, template_json
from airflow_provider_tallyfy.sandbox.process import Run
from airflow_provider_tallyfy.sandbox.request import Call, Handler
from airflow_provider_tallyfy.sandbox.responses import Answer, invalid, invalid_field, missing
from airflow_provider_tallyfy.sandbox.selection import page

# fmt: off
_VERBS = frozenset({
    "created", "updated", "owners-updated", "uploaded", "completed", "uncompleted", "deleted", "re-ordered",
    "commented", "issue-reported", "issue-resolved", "archived", "unarchived", "re-opened", "emitted", "enabled",
    "disabled", "comment-deleted", "invited", "invite-accepted", "linked", "unlinked",
})
# fmt: on
_KINDS = frozenset({"Comment", "Task", "Step", "Process", "Blueprint", "User", "Organization", "Tag", "Group"})


def me(call: Call) -> Answer:
    """``GET /me`` and ``GET /organizations/{org}/me``: who the token acts as."""
    return Answer.data(call.store.users.get(call.user_id) or next(iter(call.store.users.values())))


def get_user(call: Call) -> Answer:
    """``GET /users/{id}``."""
    number = call.params["user"]
    return _shown(call.store.users.get(int(number)) if number.isdecimal() else None)


def get_group(call: Call) -> Answer:
    """``GET /groups/{id}``."""
    return _shown(call.store.groups.get(call.params["group"]))


def _shown(found: Json | None) -> Answer:
    if found is None:
        raise missing()
    return Answer.data(found)


def list_users(call: Call) -> Answer:
    """``GET /users``: a search finds parts of names and addresses."""
    text = call.query.get("q", "").casefold()
    found = [user for user in call.store.users.values() if text in f"{user['full_name']}\n{user['email']}".casefold()]
    hidden = () if call.behavior.member_names == "full" else ("full_name", "username")
    return _listed(call, [{name: user[name] for name in user if name not in hidden} for user in found])


def list_groups(call: Call) -> Answer:
    """``GET /groups``."""
    return _listed(call, list(call.store.groups.values()))


def list_folders(call: Call) -> Answer:
    """``GET /folders``: folders in folders stand beside them, or in their ``children`` if those are asked for."""
    wanted = call.query.get("folder_type") if call.behavior.folder_type_honored else None
    folders = [f for f in call.store.folders.values() if wanted in (None, f["folder_type"])]

    def shown(folder: Json) -> Json:
        children = [shown(each) for each in folders if each["parent_id"] == folder["id"]]
        return folder | ({"children": {"data": children}} if call.query.get("with") == "children" else {})

    is_flat = call.behavior.subfolders == "listed"
    return _listed(call, [shown(folder) for folder in folders if is_flat or folder["parent_id"] is None])


def _listed(call: Call, things: list[Json]) -> Answer:
    rows, meta = page(things, call.query, call.behavior, call.path)
    return Answer.json({"data": rows} | meta)


def list_templates(call: Call) -> Answer:
    """``GET /checklists``: templates that are not archived."""
    text = call.query.get("q", "").casefold()
    live = [t for t in call.store.templates.values() if not t["archived_at"] and text in t["title"].casefold()]
    steps = "steps" in call.query.get("with", "").split(",")
    return _listed(call, [template_json(template, steps=steps) for template in live])


def get_template(call: Call) -> Answer:
    """``GET /checklists/{id}``: an archived template is not found."""
    template = call.store.templates.get(call.params["template"])
    if template is None or template["archived_at"]:
        raise missing()
    return Answer.data(template_json(template, steps="steps" in call.query.get("with", "").split(",")))


def list_tags(call: Call) -> Answer:
    """``GET /tags``."""
    return _listed(call, list(call.store.tags.values()))


def create_tag(call: Call) -> Answer:
    """``POST /tags``."""
    title = call.json().get("title")
    if not title:
        raise invalid_field("title", "The title field is required.")
    return Answer.data(call.store.add_tag(title), 201)


def tag_run(call: Call) -> Answer:
    """``POST /checklists/tags``: an archived run is no subject. Re-tagging adds another association."""
    body = call.json()
    run = call.store.runs.get(str(body.get("subject_id")))
    if run is None or run.archived or body.get("subject_type") != "Run":
        raise invalid({"subject_id": ["Subject not found"]})
    if body.get("tag_id") not in call.store.tags:
        raise invalid({"tag_id": ["Tag not found"]})
    link = call.store.tag(run, body["tag_id"])
    call.store.log(run, "linked", "Tag", f"Tagged with {link['title']}")
    return Answer.data(link | {"subject_id": run.id, "subject_type": "Run"}, 201)


def untag_run(call: Call) -> Answer:
    """``DELETE /checklists/tags/{association}``: by the association's number, not by the tag's id."""
    for run in call.store.runs.values():
        for link in run.tags:
            if str(link["id"]) == call.params["association"]:
                run.tags.remove(link)
                return Answer.empty()
    raise missing()


def activity_feed(call: Call) -> Answer:
    """``GET /activity-feeds``. Source: documentation page "get-process-activity"."""
    query = call.query
    if query.get("verb") and query["verb"] not in _VERBS:
        raise invalid_field("verb", "The selected verb is invalid.")
    if query.get("type") and query["type"] not in _KINDS:
        raise invalid_field("type", "The selected type is invalid.")
    rows = [row for row in _rows(call) if _wanted(row, query, call)]
    if query.get("sort", "-created_at").startswith("-"):
        rows.reverse()
    shown, meta = page(rows, query, call.behavior, call.path, size=20)
    organization_id = call.state.organization_id
    data = [activity_json(row, call.store, organization_id, call.behavior) for row in shown]
    return Answer.json({"data": data} | meta)


def _rows(call: Call) -> list[Json]:
    kind, entity = call.query.get("entity_type"), call.query.get("entity_id")
    rows = sorted(call.store.activity, key=lambda row: (row["at"], row["id"]))
    if kind == "run":
        run: Run | None = call.store.runs.get(entity or "")
        hidden = run is not None and run.archived and not call.behavior.archived_children_visible
        if run is None or hidden:
            raise missing()
        return [row for row in rows if row["run_id"] == entity]
    if kind == "task":
        return [row for row in rows if row["task_id"] == entity]
    if kind == "checklist":
        runs = call.store.runs
        return [row for row in rows if runs[row["run_id"]].data["checklist_id"] == entity]
    return rows


def _wanted(row: Json, query: dict[str, str], call: Call) -> bool:
    day = stamp(row["at"])[:10]
    actor = call.store.users.get(row["actor_id"], {"email": ""})
    return (
        query.get("verb", row["verb"]) == row["verb"]
        and query.get("type", row["type"]) == row["type"]
        and query.get("actor_id", str(row["actor_id"])) == str(row["actor_id"])
        and query.get("actor_email", actor["email"]) == actor["email"]
        and query.get("actor_type", "user") == "user"
        and query.get("source", "Member") == "Member"
        and query.get("created_after", day) <= day <= query.get("created_before", day)
        and query.get("search", "").casefold() in row["description"].casefold()
    )


ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/me", me),
    ("GET", "/users", list_users),
    ("GET", "/users/{user}", get_user),
    ("GET", "/groups", list_groups),
    ("GET", "/folders", list_folders),
    ("GET", "/groups/{group}", get_group),
    ("GET", "/checklists", list_templates),
    ("POST", "/checklists/tags", tag_run),
    ("DELETE", "/checklists/tags/{association}", untag_run),
    ("GET", "/checklists/{template}", get_template),
    ("GET", "/tags", list_tags),
    ("POST", "/tags", create_tag),
    ("GET", "/activity-feeds", activity_feed),
]
