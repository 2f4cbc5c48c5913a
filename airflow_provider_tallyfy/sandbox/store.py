"""The organization in memory: templates, runs, tags, people and the activity feed."""

from __future__ import annotations

import bisect
import copy
import heapq
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from airflow_provider_tallyfy.sandbox.ids_and_times import Clock, Json, alias_of, new_id, read_stamp, stamp
from airflow_provider_tallyfy.sandbox.process import Run, blank_run, blank_task

_MOMENTS = ("created_at", "started_at", "last_updated", "archived_at", "completed_at", "due_date")


# What is known by its id, besides runs.
_KEPT = ("users", "groups", "folders", "templates", "tags")


class Store:
    """What Tallyfy keeps in its database for one organization.

    Live and archived runs are two lists kept in order of creation, so that a page of either is a slice.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.runs: dict[str, Run] = {}
        self.live: list[Run] = []
        self.archived: list[Run] = []
        self.templates: dict[str, Json] = {}
        self.tags: dict[str, Json] = {}
        self.users: dict[int, Json] = {}
        self.groups: dict[str, Json] = {}
        self.folders: dict[str, Json] = {}
        self.activity: list[Json] = []
        self.webhooks: list[Json] = []
        self.unseen: dict[str, int] = {}
        self._numbers = 0
        self._due: list[tuple[float, str]] = []

    def number(self) -> int:
        """Return the next integer id."""
        self._numbers += 1
        return self._numbers

    def now(self) -> str:
        """Return the present moment in the stored form."""
        return stamp(self.clock.now())

    def contents(self) -> Json:
        """Return everything that is stored, for JSON; :meth:`fill` takes it back."""
        kept: Json = {name: list(getattr(self, name).values()) for name in _KEPT}
        kept |= {"activity": self.activity, "webhooks": self.webhooks, "numbers": self._numbers}
        return kept | {"runs": [asdict(run) for run in self.runs.values()]}

    def fill(self, contents: Json) -> None:
        """Take what another store held into this one, which holds nothing."""
        for name in _KEPT:
            getattr(self, name).update({each["id"]: each for each in contents.get(name, ())})
        self.activity, self.webhooks, self._numbers = (contents[name] for name in ("activity", "webhooks", "numbers"))
        for run in contents["runs"]:
            self._insert(Run(**run))

    # -- people, templates, tags --------------------------------------------------------------------------

    def add_user(self, email: str, full_name: str, role: str = "admin") -> Json:
        """Add a member."""
        first, _, last = full_name.partition(" ")
        user: Json = {"id": 1000 + self.number(), "email": email, "username": email.partition("@")[0]}
        user |= {"first_name": first, "last_name": last, "full_name": full_name, "timezone": "UTC"}
        user |= {"role": role, "status": "active", "is_active": True, "type": "member", "last_login_at": None}
        self.users[user["id"]] = user
        return user

    def add_group(self, name: str) -> Json:
        """Add a group."""
        group = {"id": new_id(), "name": name}
        self.groups[group["id"]] = group
        return group

    def add_folder(self, name: str, parent_id: str | None = None, folder_type: str = "run") -> Json:
        """Add a folder."""
        folder: Json = {"id": new_id(), "name": name, "parent_id": parent_id, "folder_type": folder_type}
        self.folders[folder["id"]] = folder
        return folder

    def add_template(
        self,
        title: str,
        *,
        kickoff: Iterable[Json] = (),
        steps: Iterable[str | Json] = ("Prepare", "Review", "Finish"),
        complete_after: float | None = None,
        archived: bool = False,
        **fields: Any,
    ) -> Json:
        """Add a template and return it as the API shows it."""
        template: Json = {"id": new_id(), "title": title, "alias": alias_of(title), "summary": ""}
        template |= {"type": "procedure", "status": "active", "created_at": self.now()}
        template |= {"archived_at": self.now() if archived else None, **fields}
        template["prerun"] = [_field(spec, place) for place, spec in enumerate(kickoff, 1)]
        template["steps"] = [_step(spec, place) for place, spec in enumerate(steps, 1)]
        template["complete_after"] = complete_after
        self.templates[template["id"]] = template
        return template

    def template(self, wanted: str) -> Json:
        """Return a template by id or title."""
        found = self.templates.get(wanted)
        titled = (t for t in self.templates.values() if t["title"] == wanted)
        found = found or next(titled, None)
        if found is None:
            raise KeyError(f"There is no template {wanted!r}")
        return found

    def add_tag(self, title: str) -> Json:
        """Add a tag."""
        tag = {"id": new_id(), "title": title, "type": "public", "color": "#3fb65b"}
        self.tags[tag["id"]] = tag
        return tag

    # -- runs ---------------------------------------------------------------------------------------------

    def find(self, run_id: str) -> Run:
        """Return a run; a KeyError if it does not exist."""
        if run_id not in self.runs:
            raise KeyError(f"There is no run {run_id!r}")
        return self.runs[run_id]

    def add_run(
        self,
        template: Json,
        *,
        steps: Iterable[str] | None = None,
        complete_after: float | None = None,
        archived: bool = False,
        tags: Iterable[str] = (),
        **fields: Any,
    ) -> Run:
        """Add a run as if it had been launched, with tasks for the steps with these ids, or for all."""
        if fields.get("status") == "archived":
            archived, fields["status"] = True, "active"
        data = self._run_data(template, fields)
        if archived:
            data["archived_at"] = data["archived_at"] or self.now()
        after = template["complete_after"] if complete_after is None else complete_after
        run = Run(data, complete_after=after)
        wanted = template["steps"] if steps is None else [s for s in template["steps"] if s["id"] in set(steps)]
        run.tasks = [_task(data, step, place) for place, step in enumerate(wanted, 1)]
        last_updated = data["last_updated"]
        self._apply_status(run)
        data["last_updated"] = last_updated or data["completed_at"] or data["started_at"]
        self._insert(run)
        for tag in tags:
            self.tag(run, tag)
        self.log(run, "created", "Process", f"Launched process: {data['name']}")
        self.activity[-1]["at"] = datetime.fromisoformat(data["created_at"]).timestamp()
        return run

    def _run_data(self, template: Json, fields: Json) -> Json:
        """Return the fields of a new run: those given, and those Tallyfy fills in."""
        now = self.clock.now()
        owner = next(iter(self.users), None)
        moments = {name: read_stamp(fields[name], now) for name in _MOMENTS if fields.get(name)}
        given = {name: value for name, value in (fields | moments).items() if value is not None}
        data = blank_run(**{"started_by": owner, "owner_id": owner} | given)
        data["increment_id"] = self.number()
        data["checklist_id"], data["checklist_title"] = template["id"], template["title"]
        data["name"] = data["name"] or f"{template['title']} - {stamp(now)[:10]}"
        data["created_at"] = data["created_at"] or stamp(now)
        data["started_at"] = data["started_at"] or data["created_at"]
        data["prerun_length"] = len(template["prerun"])
        return data

    def _apply_status(self, run: Run) -> None:
        """Give a run the tasks and issues that go with the status it was added with."""
        status, since = run.data["status"], run.data["created_at"]
        if status == "complete" or run.data["completed_at"]:
            run.data["completed_at"] = run.data["completed_at"] or self.now()
            run.finish(run.data["completed_at"])
        elif status == "problem" and run.tasks:
            run.open_issue("Something is wrong", since, run.data["owner_id"], run.tasks[0])
        elif status == "issue":
            run.open_issue("Something is wrong", since, run.data["owner_id"])

    def _insert(self, run: Run) -> None:
        self.runs[run.id] = run
        bisect.insort(self.archived if run.archived else self.live, run, key=_order)
        self._schedule(run)

    def _remove(self, run: Run) -> None:
        runs = self.archived if run.archived else self.live
        del runs[bisect.bisect_left(runs, run.order, key=_order)]

    def _schedule(self, run: Run) -> None:
        if run.complete_after is not None and not run.archived and not run.data["completed_at"]:
            heapq.heappush(self._due, (self.clock.now() + run.complete_after, run.id))

    def complete_due_runs(self) -> None:
        """Complete the runs whose scripted time has come: called on every access, so no timer is needed."""
        now = self.clock.now()
        while self._due and self._due[0][0] <= now:
            due, run_id = heapq.heappop(self._due)
            run = self.runs.get(run_id)
            if run is not None and not run.archived and not run.data["completed_at"]:
                self.complete(run, stamp(due))

    def complete(self, run: Run, now: str | None = None, after: float | None = None) -> None:
        """Complete a run, at once or after a while of being live."""
        if after is not None:
            run.complete_after = after
            self._schedule(run)
            return
        run.finish(now or self.now())
        self.log(run, "completed", "Process", f"Completed process: {run.data['name']}")
        self.webhooks.append({"event": "process.completed", "run_id": run.id})

    def archive(self, run: Run, by: int | None = None) -> None:
        """Archive a live run."""
        self._remove(run)
        run.data["archived_at"] = run.data["last_updated"] = self.now()
        bisect.insort(self.archived, run, key=_order)
        self.log(run, "archived", "Process", f"Archived process: {run.data['name']}", by=by)

    def restore(self, run: Run, by: int | None = None) -> None:
        """Make an archived run live again, with the status it had."""
        self._remove(run)
        run.data["archived_at"], run.data["last_updated"] = None, self.now()
        bisect.insort(self.live, run, key=_order)
        self._schedule(run)
        self.log(run, "unarchived", "Process", f"Unarchived process: {run.data['name']}", by=by)

    def change(self, run: Run, fields: Json) -> None:
        """Change fields of a run, to any values."""
        self._remove(run)
        run.data.update(fields)
        self._insert(run)

    def delete(self, run: Run) -> None:
        """Delete a run and everything that belongs to it."""
        self._remove(run)
        del self.runs[run.id]
        self.unseen.pop(run.id, None)
        self.activity = [row for row in self.activity if row["run_id"] != run.id]

    def tag(self, run: Run, tag_id: str) -> Json:
        """Put a tag on a run and return the association."""
        link = {"id": self.number(), "tag_id": tag_id, "title": self.tags[tag_id]["title"]}
        run.tags.append(link)
        return link

    def log(
        self, run: Run, verb: str, kind: str, text: str, task: Json | None = None, *, by: int | None = None
    ) -> None:
        """Add a row to the activity feed."""
        row = {"id": self.number(), "run_id": run.id, "task_id": task["id"] if task else None, "verb": verb}
        row |= {"type": kind, "description": text, "at": self.clock.now(), "actor_id": by or run.data["owner_id"]}
        self.activity.append(row)

    def hidden(self) -> set[str]:
        """Return the runs a list request does not see yet, and count that request."""
        hidden = set(self.unseen)
        self.unseen = {run_id: left - 1 for run_id, left in self.unseen.items() if left > 1}
        return hidden


def _order(run: Run) -> tuple[str, int]:
    return run.order


def _field(spec: Json, place: int) -> Json:
    field: Json = {"id": new_id(), "alias": f"{alias_of(spec['label'])}-{place}", "field_type": "text"}
    field |= {"required": False, "position": place, "guidance": ""} | spec
    for name, key in (("options", "text"), ("columns", "label")):
        field[name] = [
            {"id": number, key: item} if isinstance(item, str) else item
            for number, item in enumerate(spec.get(name, ()), 1)
        ]
    return field


def _step(spec: str | Json, place: int) -> Json:
    given = {"title": spec} if isinstance(spec, str) else spec
    step: Json = {"id": new_id(), "alias": f"{alias_of(given['title'])}-{place}", "position": place}
    step |= {"task_type": "task", **given}
    step["form_fields"] = [_field(field, n) for n, field in enumerate(given.get("form_fields", ()), 1)]
    return step


def _task(run: Json, step: Json, place: int) -> Json:
    fields = {"step_id": step["id"], "title": step["title"], "alias": step["alias"]}
    fields |= {"original_title": step["title"], "task_type": step["task_type"]}
    return blank_task(run, place, **fields, form_fields=copy.deepcopy(step["form_fields"]))
