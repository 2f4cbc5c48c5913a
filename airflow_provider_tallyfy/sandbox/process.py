"""One run with its tasks and issues, and the rules that turn those into a status."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_tallyfy.sandbox.ids_and_times import Json, new_id

#: Task states that count as finished. Source: documentation page "list-tasks".
DONE = frozenset({"completed", "skipped", "auto-skipped"})

_ISSUE_STATES = {"task": "problem", "run": "issue"}


@dataclass(slots=True, eq=False)
class Run:
    """A stored run: what its JSON says, and what belongs to it.

    :param data: The run's own fields, timestamps in the stored form.
    :param threads: Comments and issues; an open issue holds the run in ``problem`` or ``issue``.
    :param complete_after: Seconds of being live after which the script completes the run.
    """

    data: Json
    tasks: list[Json] = field(default_factory=list)
    threads: list[Json] = field(default_factory=list)
    tags: list[Json] = field(default_factory=list)
    complete_after: float | None = None

    @property
    def id(self) -> str:
        """The run's id."""
        return str(self.data["id"])

    @property
    def archived(self) -> bool:
        """Whether the run is archived (soft-deleted, in Tallyfy's database)."""
        return self.data["archived_at"] is not None

    @property
    def order(self) -> tuple[str, int]:
        """Where the run stands in a list by creation."""
        return self.data["created_at"], self.data["increment_id"]

    @property
    def done(self) -> int:
        """How many tasks are finished."""
        return sum(task["status"] in DONE for task in self.tasks)

    def task(self, task_id: str) -> Json | None:
        """Return the task with this id."""
        return next((task for task in self.tasks if task["id"] == task_id), None)

    def snapshot(self) -> Json:
        """Return a copy of everything stored about the run."""
        return copy.deepcopy(self.data | {"tasks": self.tasks, "threads": self.threads, "tags": self.tags})

    def complete_task(self, task: Json, now: str, user_id: int, approved: bool | None = None) -> None:
        """Finish one task, and the run with its last one."""
        task.update(status="completed", completed_at=now, completer_id=user_id, is_approved=approved)
        self.data["last_updated"] = now

    def reopen_task(self, task: Json, now: str) -> None:
        """Make a task unfinished again."""
        task.update(status="not-started", completed_at=None, completer_id=None, is_approved=None)
        self.data["last_updated"] = now

    def finish(self, now: str) -> None:
        """Finish every task, close every issue and mark the run complete."""
        for task in self.tasks:
            if task["status"] not in DONE:
                self.complete_task(task, now, self.data["owner_id"])
            task["has_open_issue"] = False
        for thread in self.threads:
            thread["resolved"] = True
        self.refresh(now)

    def open_issue(self, content: str, now: str, user_id: int, task: Json | None = None) -> Json:
        """Report a problem on a task, or an issue on the run itself."""
        thread = self.comment(content, now, user_id, task) | {"state": "problem", "resolved": False}
        self.threads[-1] = thread
        if task is not None:
            task["has_open_issue"] = True
        self.refresh(now)
        return thread

    def comment(self, content: str, now: str, user_id: int, task: Json | None = None) -> Json:
        """Add a comment."""
        thread = {
            "id": new_id(),
            "on": "run" if task is None else "task",
            "task_id": task["id"] if task else None,
            "content": content,
            "state": "comment",
            "resolved": True,
            "created_at": now,
            "user_id": user_id,
        }
        self.threads.append(thread)
        return thread

    def resolve(self, thread: Json, now: str) -> None:
        """Close an issue."""
        thread["resolved"] = True
        for task in self.tasks:
            task["has_open_issue"] = any(t["task_id"] == task["id"] for t in self._open_issues())
        self.refresh(now)

    def _open_issues(self) -> list[Json]:
        return [thread for thread in self.threads if not thread["resolved"]]

    def refresh(self, now: str) -> None:
        """Derive ``status`` and ``completed_at`` from tasks and issues.

        Source: documentation page "list-processes"; ``issue`` outranks ``problem``, both outrank the tasks.
        """
        issues = {_ISSUE_STATES[thread["on"]] for thread in self._open_issues()}
        complete = not issues and self.done == len(self.tasks)
        status = min(issues) if issues else "complete" if complete else "active"
        self.data["status"] = status
        self.data["has_open_issue"] = bool(issues)
        self.data["completed_at"] = (self.data["completed_at"] or now) if complete else None
        self.data["last_updated"] = now


_BLANK: Json = {
    "id": None,
    "increment_id": 0,
    "checklist_id": None,
    "checklist_title": None,
    "name": "",
    "summary": "",
    "status": "active",
    "started_by": None,
    "owner_id": None,
    "prerun_status": "complete",
    "prerun_completed_at": None,
    "prerun_completed_by": None,
    "prerun_length": 0,
    "starred": False,
    "created_at": None,
    "started_at": None,
    "last_updated": None,
    "archived_at": None,
    "completed_at": None,
    "due_date": None,
    "due_date_passed": False,
    "due_soon": False,
    "max_task_deadline": None,
    "late_tasks": 0,
    "has_open_issue": False,
    "type": "procedure",
    "is_public": False,
    "parent_id": None,
    "can_add_oot": True,
}
_LISTS = ("users", "groups", "folders", "collaborators", "publicly_hidden_fields")
_OBJECTS = ("prerun", "roles", "custom_fields")


def blank_run(**fields: Any) -> Json:
    """Return the fields of a new run. Source: documentation page "list-processes"."""
    containers: Json = {name: [] for name in _LISTS} | {name: {} for name in _OBJECTS}
    blank = _BLANK | {"id": new_id()} | containers
    unknown = fields.keys() - blank.keys()
    if unknown:
        raise TypeError(f"A run has no field {', '.join(sorted(unknown))}")
    return blank | fields


def blank_task(run: Json, position: int, **fields: Any) -> Json:
    """Return a new task of a run."""
    return {
        "id": new_id(),
        "increment_id": run["increment_id"] * 100 + position,
        "run_id": run["id"],
        "checklist_id": run["checklist_id"],
        "step_id": None,
        "title": "",
        "alias": "",
        "original_title": "",
        "status": "not-started",
        "task_type": "task",
        "position": position,
        "owners": {"users": [], "guests": [], "groups": []},
        "started_at": run["started_at"],
        "created_at": run["created_at"],
        "deadline": None,
        "completed_at": None,
        "completer_id": None,
        "is_approved": None,
        "has_open_issue": False,
        "is_oneoff_task": False,
        "taskdata": {},
        "form_fields": [],
    } | fields
