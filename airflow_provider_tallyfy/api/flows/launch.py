"""
Launch a run once, although Tallyfy has no idempotency key.

The key of a launch travels as a short marker in the run's summary, in the same request that launches it. Whoever tries
again looks for the marker first and adopts the run that carries it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.checks import checked_id
from airflow_provider_tallyfy.api.errors import (
    TallyfyError,
    TallyfyResponseError,
    TallyfyUnknownOutcomeError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.exchange import Flow, Pause
from airflow_provider_tallyfy.api.flows.details import list_tasks
from airflow_provider_tallyfy.api.flows.runs import REPLICA_LAG_PAUSES, archive_run, run_pager
from airflow_provider_tallyfy.api.kickoff import encode_kickoff
from airflow_provider_tallyfy.api.models import Run, RunChange
from airflow_provider_tallyfy.api.queries import RunQuery
from airflow_provider_tallyfy.api.records import Task
from airflow_provider_tallyfy.api.templates import Template

# Clocks of Airflow and Tallyfy may differ; a marker is looked for a little further back than its launch can be.
_CLOCK_TOLERANCE = timedelta(days=1)
_MARKER = re.compile(r"\[airflow:[0-9a-f]{20}\]")


@dataclass(frozen=True)
class LaunchKey:
    """
    By which every later try recognises the run that a launch made.

    :param text: what makes the launch unique, of any length.
    :param may_exist: whether an earlier try may have launched the run already.
    :param since: no run launched before this moment can be it; ``None`` looks through all of the template's.
    """

    text: str
    may_exist: bool = True
    since: datetime | None = None

    @property
    def marker(self) -> str:
        """What stands in the run's summary."""
        return f"[airflow:{hashlib.sha256(self.text.encode()).hexdigest()[:20]}]"

    def mark(self, summary: str | None) -> str:
        """
        Add the marker to a summary.

        :param summary: the user's own.
        """
        return f"{summary}\n{self.marker}" if summary else self.marker

    def is_on(self, run: Run) -> bool:
        """Whether a run carries the marker."""
        return self.marker in str(run.raw.get("summary") or "")

    def is_older_than(self, run: Run) -> bool:
        """Whether a run was launched too early to be it, and so were all runs before it."""
        return _is_too_old(run, self.since)


@dataclass(frozen=True)
class LaunchRequest:
    """
    What to launch (documentation page "Launch process").

    :param template_id: the template (API: ``checklist_id``).
    :param kickoff: kick-off form values by label, alias or id, in the user's words.
    :param tasks: settings by step id; Tallyfy drops steps that are not named, so they are added.
    :param fields: everything else of the request's body, as Tallyfy takes it.
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
        body = {name: value for name, value in self.fields.items() if value is not None}
        if self.kickoff is not None or self.tasks:
            template: Template = yield calls.get_template(organization_id, self.template_id)
            if self.kickoff is not None:
                body["prerun"] = {**encode_kickoff(template, self.kickoff), **(body.get("prerun") or {})}
            if self.tasks:
                body["tasks"] = _all_steps(template, self.tasks)
        return {"checklist_id": checked_id(self.template_id, "template_id"), **body}


def launch_run(organization_id: str, request: LaunchRequest, key: LaunchKey) -> Flow[RunChange]:
    """
    Launch a run of a template, or adopt the one that an earlier try launched.

    :param organization_id: where to launch.
    :param request: what to launch.
    :param key: the launch's key.
    :return: the run; ``changed`` is ``False`` if it was adopted.
    :raises TallyfyUnknownOutcomeError: if nobody can tell yet whether it was launched; a later try can.
    """
    lookup = _Lookup(organization_id, key, template_id=request.template_id)
    if key.may_exist:
        earlier: Run | None = yield from lookup.patiently()
        if earlier is not None:
            return RunChange(earlier, changed=False)
    body = yield from request.body(organization_id)
    change: RunChange = yield from launch_marked(organization_id, body, key)
    if not change.changed:
        return change
    return (yield from _keep_first(organization_id, change.run, lookup, patient=key.may_exist))


def launch_marked(organization_id: str, body: Mapping[str, Any], key: LaunchKey) -> Flow[RunChange]:
    """
    Launch a run without looking for its marker first; if the outcome is unknown, look for it then.

    :param organization_id: where to launch.
    :param body: the request's body, without the marker.
    :param key: the launch's key.
    :return: the run; ``changed`` is ``False`` if only a look showed it.
    :raises TallyfyUnknownOutcomeError: if nobody can tell yet whether it was launched; a later try can.
    """
    try:
        launched: Run = yield calls.launch_run(organization_id, {**body, "summary": key.mark(body.get("summary"))})
    except (TallyfyUnknownOutcomeError, TallyfyResponseError) as doubt:
        lookup = _Lookup(organization_id, key, template_id=body["checklist_id"])
        return (yield from _adopt_after(doubt, lookup))
    return RunChange(launched, changed=True)


def find_marked(
    organization_id: str, template_id: str, markers: Collection[str], since: datetime | None
) -> Flow[dict[str, list[Run]]]:
    """
    Find the runs of many launches of a template with one look through its runs.

    :param organization_id: where they were launched.
    :param template_id: their template.
    :param markers: the launches' markers.
    :param since: no run launched before this moment can be one; ``None`` looks through all of the template's.
    :return: the runs by marker, the first launched first; a marker that no run carries is not in it.
    """
    found: dict[str, dict[str, Run]] = {}
    for archived in ("include", "only"):  # as in _Lookup.all
        pager = run_pager(organization_id, RunQuery(template_id=template_id, archived=archived, sort="-created_at"))
        too_old = False
        while not too_old and (call := pager.next_call()) is not None:
            page = yield call
            for run in pager.accept(page):
                too_old = too_old or _is_too_old(run, since)
                for marker in _MARKER.findall(str(run.raw.get("summary") or "")):
                    if marker in markers:
                        found.setdefault(marker, {})[run.id] = run
        if len(found) == len(markers):
            break
    return {marker: _first_launched_first(runs) for marker, runs in found.items()}


def launch_project(organization_id: str, body: Mapping[str, Any], key: LaunchKey) -> Flow[RunChange]:
    """
    Launch a run without a template (Tallyfy: "project"), or adopt the one that an earlier try launched.

    :param organization_id: where to launch.
    :param body: the request's body (documentation page "Launch process without template").
    :param key: the launch's key.
    :return: the run; ``changed`` is ``False`` if it was adopted.
    :raises TallyfyUnknownOutcomeError: if nobody can tell yet whether it was launched; a later try can.
    """
    lookup = _Lookup(organization_id, key, title=body["title"])
    if key.may_exist:
        earlier: Run | None = yield from lookup.patiently()
        if earlier is not None:
            return RunChange(earlier, changed=False)
    try:
        run_id: str = yield calls.launch_project(organization_id, {**body, "summary": key.mark(body.get("summary"))})
    except (TallyfyUnknownOutcomeError, TallyfyResponseError) as doubt:
        return (yield from _adopt_after(doubt, lookup))
    launched: Run = yield calls.get_run(organization_id, run_id)
    return (yield from _keep_first(organization_id, launched, lookup, patient=key.may_exist))


def _all_steps(template: Template, tasks: Mapping[str, Any]) -> dict[str, Any]:
    """Name every step: Tallyfy makes tasks only of the steps that a launch's ``tasks`` names."""
    known = {step.id: step for step in template.steps or ()}
    unknown = sorted(tasks.keys() - known.keys())
    if unknown:
        steps = ", ".join(f"{step.id} ({step.title})" for step in known.values())
        raise TallyfyValidationError(
            f"tasks names steps that template {template.id} does not show: {', '.join(unknown)}. Its steps: {steps}. "
            f"Nothing was launched.",
            fields={"tasks": unknown},
        )
    return {step_id: tasks.get(step_id, {}) for step_id in known}


class _Lookup:
    """
    Looks for the run that carries a key.

    :param template_id: the run's template.
    :param title: instead of a template, a project's title: whether Tallyfy keeps a project's summary with the run or
        with its tasks is not documented, so the tasks of runs of that name are looked at, too.
    """

    def __init__(
        self, organization_id: str, key: LaunchKey, *, template_id: str | None = None, title: str | None = None
    ) -> None:
        self._organization_id = organization_id
        self._key = key
        self._template_id = template_id
        self._title = title

    def patiently(self) -> Flow[Run | None]:
        """Look again after pauses: the list is read from replicas that lag behind a launch."""
        for pause in (*REPLICA_LAG_PAUSES, None):
            found: list[Run] = yield from self.all()
            if found:
                return found[0]
            if pause is not None:
                yield Pause(pause)
        return None

    def all(self) -> Flow[list[Run]]:
        """Give every run that carries the key, the first launched first."""
        found: dict[str, Run] = {}
        # Two lists, since it is not documented that archived=true shows archived and live runs alike.
        for archived in ("include", "only"):
            query = RunQuery(template_id=self._template_id, archived=archived, sort="-created_at")
            yield from self._scan(query, found)
            if found:
                break
        return _first_launched_first(found)

    def _scan(self, query: RunQuery, found: dict[str, Run]) -> Flow[None]:
        pager = run_pager(self._organization_id, query)
        while (call := pager.next_call()) is not None:
            page = yield call
            for run in pager.accept(page):
                if self._key.is_older_than(run):
                    return
                if self._key.is_on(run) or (yield from self._is_on_tasks_of(run)):
                    found[run.id] = run

    def _is_on_tasks_of(self, run: Run) -> Flow[bool]:
        if run.name != self._title or run.is_archived:
            return False
        tasks: list[Task] = yield from list_tasks(self._organization_id, run.id)
        return any(self._key.marker in str(task.raw.get("summary") or "") for task in tasks)


def _is_too_old(run: Run, since: datetime | None) -> bool:
    return since is not None and run.created_at is not None and run.created_at < since - _CLOCK_TOLERANCE


def _first_launched_first(runs: Mapping[str, Run]) -> list[Run]:
    """Order as Tallyfy made them; timestamps may be of whole seconds, ``increment_id`` counts the launches."""
    return sorted(
        runs.values(), key=lambda run: (str(run.raw.get("created_at")), int(run.raw.get("increment_id") or 0), run.id)
    )


def _adopt_after(doubt: TallyfyError, lookup: _Lookup) -> Flow[RunChange]:
    found: Run | None = yield from lookup.patiently()
    if found is not None:
        return RunChange(found, changed=False)
    raise TallyfyUnknownOutcomeError(
        f"{doubt} No run with this launch's marker is visible yet; a retry looks again before it launches.",
        method=doubt.method,
        path=doubt.path,
        status=doubt.status,
        code=doubt.code,
        request_id=doubt.request_id,
    )


def _keep_first(organization_id: str, launched: Run, lookup: _Lookup, *, patient: bool) -> Flow[RunChange]:
    """If another try launched at the same time, both keep the run that was first and archive the other."""
    for pause in (*(REPLICA_LAG_PAUSES if patient else ()), None):
        rivals: list[Run] = yield from lookup.all()
        if any(run.id == launched.id for run in rivals) or pause is None:
            break
        yield Pause(pause)
    first = rivals[0] if rivals else launched
    if first.id == launched.id:
        return RunChange(launched, changed=True)
    yield from archive_run(organization_id, launched.id)
    return RunChange(first, changed=False)
