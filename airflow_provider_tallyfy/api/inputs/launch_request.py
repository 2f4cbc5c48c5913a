"""The body of a launch's request, from what its author wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_tallyfy.api.inputs.checks import checked_text, checked_time, free_text, parse_list, plain_json
from airflow_provider_tallyfy.api.inputs.kickoff import encode_kickoff
from airflow_provider_tallyfy.api.inputs.people import checked_id_fields, checked_people, checked_roles
from airflow_provider_tallyfy.api.inputs.problems import Problems, invalid
from airflow_provider_tallyfy.api.inputs.steps import complete_steps
from airflow_provider_tallyfy.api.inputs.wording import quoted_list
from airflow_provider_tallyfy.api.models.records import tasks_named
from airflow_provider_tallyfy.api.models.run import format_request_time
from airflow_provider_tallyfy.api.models.template import Template
from airflow_provider_tallyfy.api.text import quoted

#: What the tasks of a project can be (page "Launch process without template").
TASK_KINDS = ("task", "approval", "expiring", "email", "expiring_email")

_APPROVAL = "approval"

#: Fields of a launch's body that operators take besides the kick-off values and the settings of steps.
LAUNCH_FIELDS = ("name", "summary", "owner_id", "tags", "folders", "users", "groups", "parent_id", "roles", "prerun")

# What differs between many launches of a template.
_OWN_FIELDS = ("name", "prerun")

_MAX_NAME = 550  # documentation page "Launch process"


@dataclass(frozen=True)
class LaunchRequest:
    """
    What to launch (documentation page "Launch process").

    :param kickoff: kick-off form values by label, alias or id, in the user's words.
    :param tasks: settings by step id; Tallyfy drops steps that are not named, so they are added.
    :param fields: everything else of the request's body that Tallyfy takes: it drops other fields silently.
    """

    template_id: str
    kickoff: Mapping[str, Any] | str | None = None
    tasks: Mapping[str, Any] | str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    def body(self, template: Template) -> dict[str, Any]:
        """Make the request's body; which values are required, only the template shows."""
        problems = Problems()
        settings = problems.collect(self.settings, template) or {}
        values = problems.collect(self.values, template) or {}
        problems.raise_all("Nothing was launched.")
        return {"checklist_id": template.id, **settings, **values}

    def settings(self, template: Template) -> dict[str, Any]:
        """Make the part of the body that many launches of a template share: all but name and kick-off values."""
        given = {name: value for name, value in self._given.items() if name not in _OWN_FIELDS}
        problems = Problems()
        body = problems.collect(checked_id_fields, given) or {}
        body |= {
            name: problems.collect(free_text, given[name], name) for name in ("summary", "parent_id") if name in given
        }
        if "roles" in given:
            body["roles"] = problems.collect(checked_roles, given["roles"])
        if self.tasks:
            body["tasks"] = problems.collect(complete_steps, template, self.tasks)
        body = {name: problems.collect(plain_json, value, name) for name, value in body.items()}
        problems.raise_all()
        return body

    def values(self, template: Template) -> dict[str, Any]:
        """Make the part of the body that differs between launches: name and kick-off values."""
        given = {name: value for name, value in self._given.items() if name in _OWN_FIELDS}
        encoded = given.pop("prerun", None) or None
        problems = Problems()
        if "name" in given:
            given["name"] = problems.collect(_name, given["name"])
        prerun = problems.collect(encode_kickoff, template, self.kickoff or {}, encoded)
        prerun = problems.collect(plain_json, prerun, "prerun")
        problems.raise_all()
        return {**given, "prerun": prerun} if prerun else given

    @property
    def _given(self) -> dict[str, Any]:
        return {name: value for name, value in self.fields.items() if not _is_not_given(name, value)}


@dataclass(frozen=True)
class ApprovalRequest(LaunchRequest):
    """
    What to launch so that people decide.

    :param approval_task: the step at which they do: its alias or title.
    """

    approval_task: str = ""

    def body(self, template: Template) -> dict[str, Any]:
        """Make the request's body, if the template has that approval."""
        steps = template.steps or ()
        kinds = [step.kind or _APPROVAL for step in tasks_named(steps, self.approval_task)]
        if steps and kinds != [_APPROVAL]:
            approvals = quoted_list(step.title for step in steps if step.kind == _APPROVAL)
            raise invalid(
                "approval_task",
                self.approval_task,
                f"is no approval of template {quoted(template.title)}, or several",
                f"It has {approvals or 'none'}.",
                "Nothing was launched.",
            )
        return super().body(template)


@dataclass(frozen=True)
class ProjectRequest:
    """What to launch without a template (documentation page "Launch process without template")."""

    title: str
    owners: Mapping[str, Any]
    deadline: datetime | str
    task_kind: str = "task"
    summary: str | None = None

    def body(self) -> dict[str, Any]:
        """Make the request's body."""
        problems = Problems()
        body = {
            "title": problems.collect(checked_text, self.title, "title"),
            "owners": problems.collect(_checked_owners, self.owners),
            "task_type": problems.collect(_task_kind, self.task_kind),
            "deadline": problems.collect(_deadline, self.deadline),
            "summary": None if self.summary is None else problems.collect(free_text, self.summary, "summary"),
            "separate_task_for_each_assignee": True,
        }
        problems.raise_all("Nothing was launched.")
        return body


def _is_not_given(name: str, value: Any) -> bool:
    """Whether a field is not given; a template that has no labels to render leaves an empty text or list."""
    if name in ("tags", "folders") and isinstance(value, str):
        return value == "" or parse_list(value) == []
    return value is None


def _name(given: object) -> str:
    name = free_text(given, "name")
    if len(name) > _MAX_NAME:
        raise invalid("name", name, f"is longer than {_MAX_NAME} characters")
    return name


def _checked_owners(owners: object) -> dict[str, list[Any]]:
    people = checked_people(owners, "owners")
    if not any(people.values()):
        raise invalid("owners", owners, "is empty", f"A project gets a task for each of {', '.join(people)}.")
    return people


def _task_kind(kind: object) -> str:
    if kind not in TASK_KINDS:
        raise invalid("task_kind", kind, f"is not one of {', '.join(TASK_KINDS)}")
    return str(kind)


def _deadline(given: datetime | str) -> str:
    deadline = checked_time(given, "deadline")
    if deadline is None:
        raise invalid("deadline", given, "is empty", "Tallyfy requires one.")
    return format_request_time(deadline)
