"""
Launch a run once, although Tallyfy has no idempotency key.

The key of a launch travels as a short marker in the run's summary, in the same request that launches it. Whoever tries
again looks for the marker first and adopts the run that carries it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.checks import checked_id, checked_text, checked_time
from airflow_provider_tallyfy.api.errors import (
    TallyfyError,
    TallyfyNotFoundError,
    TallyfyResponseError,
    TallyfyUnknownOutcomeError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.exchange import Call, Flow, Pause, T
from airflow_provider_tallyfy.api.flows.lookup import LaunchKey, Lookup, launch_order
from airflow_provider_tallyfy.api.flows.runs import REPLICA_LAG_PAUSES, archive_run
from airflow_provider_tallyfy.api.kickoff.encode import encode_kickoff
from airflow_provider_tallyfy.api.models import Run, RunChange, format_request_time
from airflow_provider_tallyfy.api.people import checked_people, checked_roles, with_numbers
from airflow_provider_tallyfy.api.steps import complete_steps
from airflow_provider_tallyfy.api.templates import Template

#: What a launch takes besides template and tasks (page "Launch process", official Python client); Tallyfy drops others.
LAUNCH_FIELDS = (
    "name",
    "summary",
    "owner_id",
    "user_id",
    "parent_id",
    "starred",
    "is_public",
    "publicly_hidden_fields",
    "assign_someone_else",
    "prerun",
    "roles",
    "tags",
    "folders",
    "users",
    "groups",
)


@dataclass(frozen=True)
class LaunchRequest:
    """
    What to launch (documentation page "Launch process").

    :param template_id: the template (API: ``checklist_id``).
    :param kickoff: kick-off form values by label, alias or id, in the user's words.
    :param tasks: settings by step id; Tallyfy drops steps that are not named, so they are added.
    :param fields: everything else of the request's body, as Tallyfy takes it, of :data:`LAUNCH_FIELDS`.
    """

    template_id: str
    kickoff: Mapping[str, Any] | None = None
    tasks: Mapping[str, Any] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    def body(self, organization_id: str) -> Flow[dict[str, Any]]:
        """
        Make the request's body, reading the template if it takes its fields or steps.

        :param organization_id: the template's organization.
        :raises TallyfyValidationError: with every problem of the values at once.
        """
        template_id = checked_id(self.template_id, "template_id")
        template: Template | None = None
        if self.kickoff is not None or self.fields.get("prerun") or self.tasks:
            template = yield calls.get_template(organization_id, template_id)
        return {"checklist_id": template_id, **self.encoded(template)}

    def encoded(self, template: Template | None) -> dict[str, Any]:
        """
        Make the request's body but for the template's id.

        :param template: the template; ``None`` if nothing of the request takes its fields or steps.
        :raises TallyfyValidationError: with every problem of the values at once.
        """
        given = {name: value for name, value in self.fields.items() if value is not None}
        prerun = given.get("prerun")
        problems = _Problems()
        problems.of(_check_fields, given)
        body = problems.of(with_numbers, given, "owner_id", "user_id", "users") or {}
        if "roles" in given:
            body["roles"] = problems.of(checked_roles, given["roles"])
        if template is not None and (self.kickoff is not None or prerun):
            body["prerun"] = problems.of(encode_kickoff, template, self.kickoff or {}, prerun)
        if template is not None and self.tasks:
            body["tasks"] = problems.of(complete_steps, template, self.tasks)
        problems.raise_all()
        return body


@dataclass(frozen=True)
class ProjectRequest:
    """
    What to launch without a template (documentation page "Launch process without template").

    :param title: name of the run and its tasks, at most 600 characters.
    :param owners: who does it: ``{"users": [...], "guests": [...], "groups": [...]}``, or some of these.
    :param deadline: when it is due; text without a time zone is UTC.
    :param task_kind: ``task``, ``approval``, ``expiring``, ``email`` or ``expiring_email``.
    :param summary: what is to be done.
    """

    title: str
    owners: Mapping[str, Any]
    deadline: datetime | str
    task_kind: str = "task"
    summary: str | None = None

    def body(self) -> dict[str, Any]:
        """
        Make the request's body.

        :raises TallyfyValidationError: if a part of it is missing or not acceptable.
        """
        deadline = checked_time(self.deadline, "deadline")
        if deadline is None:
            raise TallyfyValidationError("deadline is empty; Tallyfy requires one.", fields={"deadline": ["empty"]})
        return {
            "title": checked_text(self.title, "title"),
            "owners": checked_people(self.owners, "owners"),
            "task_type": self.task_kind,
            "deadline": format_request_time(deadline),
            "summary": self.summary,
            "separate_task_for_each_assignee": True,
        }


def launch_run(organization_id: str, request: LaunchRequest, key: LaunchKey) -> Flow[RunChange]:
    """
    Launch a run of a template, or adopt the one that an earlier try launched.

    :param organization_id: where to launch.
    :param request: what to launch.
    :param key: the launch's key.
    :return: the run; ``changed`` is ``False`` if it was adopted.
    :raises TallyfyValidationError: if the request is not acceptable; nothing was launched.
    :raises TallyfyUnknownOutcomeError: if nobody can tell yet whether it was launched; a later try can.
    """

    def prepare() -> Flow[Call[Run]]:
        body = yield from request.body(organization_id)
        return calls.launch_run(organization_id, {**body, "summary": key.mark(body.get("summary"))})

    def see(launched: Run) -> Flow[Run]:
        yield from ()
        return launched

    return (yield from _launch_once(organization_id, key, request.template_id, prepare, see))


def launch_marked(organization_id: str, body: Mapping[str, Any], key: LaunchKey) -> Flow[RunChange]:
    """
    Launch a run without looking for its marker before; only if the outcome is unknown, it is looked for.

    :param organization_id: where to launch.
    :param body: the request's body, without the marker.
    :param key: the launch's key.
    :return: the run; ``changed`` is ``False`` if only a look showed it.
    :raises TallyfyUnknownOutcomeError: if nobody can tell yet whether it was launched; a later try can.
    """
    try:
        launched: Run = yield calls.launch_run(organization_id, {**body, "summary": key.mark(body.get("summary"))})
    except (TallyfyUnknownOutcomeError, TallyfyResponseError) as doubt:
        return (yield from _adopt_after(doubt, Lookup(organization_id, key, body["checklist_id"])))
    return RunChange(launched, changed=True)


def launch_project(organization_id: str, body: Mapping[str, Any], key: LaunchKey) -> Flow[RunChange]:
    """
    Launch a run without a template (Tallyfy: "project"), or adopt the one that an earlier try launched.

    :param organization_id: where to launch.
    :param body: the request's body, see :meth:`ProjectRequest.body`.
    :param key: the launch's key.
    :return: the run; ``changed`` is ``False`` if it was adopted.
    :raises TallyfyUnknownOutcomeError: if nobody can tell yet whether it was launched; a later try can.
    """

    def prepare() -> Flow[Call[str]]:
        yield from ()
        return calls.launch_project(organization_id, {**body, "summary": key.mark(body.get("summary"))})

    return (yield from _launch_once(organization_id, key, None, prepare, lambda run_id: _see(organization_id, run_id)))


def _launch_once(
    organization_id: str,
    key: LaunchKey,
    template_id: str | None,
    prepare: Callable[[], Flow[Call[T]]],
    see: Callable[[T], Flow[Run]],
) -> Flow[RunChange]:
    lookup = Lookup(organization_id, key, template_id)
    if key.may_exist:
        earlier: Run | None = yield from lookup.first(patient=key.just_now)
        if earlier is not None:
            return RunChange(earlier, changed=False)
    launch = yield from prepare()
    try:
        answer: T = yield launch
    except (TallyfyUnknownOutcomeError, TallyfyResponseError) as doubt:
        return (yield from _adopt_after(doubt, lookup))
    launched = yield from see(answer)
    return (yield from _keep_first(organization_id, launched, lookup))


def _see(organization_id: str, run_id: str) -> Flow[Run]:
    """Read the run that was just launched, which replicas may not show yet."""
    for pause in REPLICA_LAG_PAUSES:
        try:
            launched: Run = yield calls.get_run(organization_id, run_id)
            return launched
        except TallyfyNotFoundError:
            yield Pause(pause)
    try:
        launched = yield calls.get_run(organization_id, run_id)
    except TallyfyNotFoundError as unseen:
        message = f"{unseen} Tallyfy says that it launched run {run_id}, but does not show it yet."
        raise unseen.retold(TallyfyUnknownOutcomeError, message) from None
    return launched


def _adopt_after(doubt: TallyfyError, lookup: Lookup) -> Flow[RunChange]:
    found: Run | None = yield from lookup.first(patient=True)
    if found is not None:
        return RunChange(found, changed=False)
    message = f"{doubt} No run with this launch's marker is visible yet; a retry looks again before it launches."
    raise doubt.retold(TallyfyUnknownOutcomeError, message)


def _keep_first(organization_id: str, launched: Run, lookup: Lookup) -> Flow[RunChange]:
    """
    If another try launched at the same time, both keep the run that was first and archive the other.

    One look at the newest runs tells, once it shows the own run: a replica that shows it shows all before it.
    """
    for pause in (*REPLICA_LAG_PAUSES, None):
        carriers: list[Run] = yield from lookup.newest()
        first = min([launched, *carriers], key=launch_order)
        if first.id != launched.id:
            yield from archive_run(organization_id, launched.id)
            return RunChange(first, changed=False)
        if any(run.id == launched.id for run in carriers):
            break
        if pause is not None:
            yield Pause(pause)
    return RunChange(launched, changed=True)


def _check_fields(given: Mapping[str, Any]) -> None:
    unknown = sorted(given.keys() - set(LAUNCH_FIELDS))
    if unknown:
        raise TallyfyValidationError(
            f"A launch does not take {', '.join(unknown)}, and Tallyfy would drop it silently; it takes: "
            f"{', '.join(LAUNCH_FIELDS)}.",
            fields={name: ["unknown"] for name in unknown},
        )


class _Problems:
    """Collects what is wrong with a request, so that all of it is said at once."""

    def __init__(self) -> None:
        self._errors: list[TallyfyValidationError] = []

    def of(self, make: Callable[..., T], *arguments: Any) -> T | None:
        """
        Make a part of the request.

        :param make: makes it, or raises.
        :param arguments: what it takes.
        """
        try:
            return make(*arguments)
        except TallyfyValidationError as error:
            self._errors.append(error)
            return None

    def raise_all(self) -> None:
        """Raise one error that says it all, if there was any."""
        if not self._errors:
            return
        raise TallyfyValidationError(
            "\n".join([*map(str, self._errors), "Nothing was launched."]),
            fields={name: texts for error in self._errors for name, texts in error.fields.items()},
        )
