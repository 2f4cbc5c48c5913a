"""
Launch a run once, although Tallyfy has no idempotency key.

The key of a launch travels as a short marker in the run's summary, in the same request that launches it. Every launch
looks for the marker first and adopts the run that carries it: people notice a launch, so none is made to be undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Call, Flow
from airflow_provider_tallyfy.api.errors import (
    TallyfyError,
    TallyfyNotFoundError,
    TallyfyResponseError,
    TallyfyUnknownOutcomeError,
)
from airflow_provider_tallyfy.api.flows.driving import naming
from airflow_provider_tallyfy.api.flows.lifecycle import archive_run
from airflow_provider_tallyfy.api.flows.lookup import LaunchKey, Lookup, duplicates, launch_order
from airflow_provider_tallyfy.api.flows.replica_lag import look_until
from airflow_provider_tallyfy.api.inputs.launch_request import LaunchRequest
from airflow_provider_tallyfy.api.models.run import Run, RunChange
from airflow_provider_tallyfy.api.models.template import Template


def launch_run(organization_id: str, request: LaunchRequest, key: LaunchKey) -> Flow[RunChange]:
    """Launch a run of a template, or adopt the one of an earlier or overlapping try; then ``changed`` is false."""

    def prepare() -> Flow[Call[Run]]:
        template: Template = yield calls.get_template(organization_id, request.template_id)
        body = request.body(template)
        return _launch(organization_id, body, key, template.title)

    return (yield from _launch_once(organization_id, key, request.template_id, prepare()))


def launch_marked(
    organization_id: str, body: Mapping[str, Any], key: LaunchKey, template: str | None = None
) -> Flow[RunChange]:
    """Launch a run of a template with this title; its marker is looked for only if the outcome is unknown."""
    try:
        launched: Run = yield _launch(organization_id, body, key, template)
    except (TallyfyUnknownOutcomeError, TallyfyResponseError) as error:
        return (yield from _adopt_after(error, Lookup(organization_id, key, body["checklist_id"])))
    return RunChange(launched, changed=True)


def _launch(organization_id: str, body: Mapping[str, Any], key: LaunchKey, template: str | None) -> Call[Run]:
    marked = {**body, "summary": key.mark(body.get("summary"))}
    return naming(calls.launch_run(organization_id, marked), template)


def launch_project(organization_id: str, body: Mapping[str, Any], key: LaunchKey) -> Flow[RunChange]:
    """Launch a run without a template (Tallyfy: "project"), or adopt one, like :func:`launch_run`."""

    launch = calls.launch_project(organization_id, {**body, "summary": key.mark(body.get("summary"))})
    return (yield from _launch_once(organization_id, key, None, launch))


def _launch_once(
    organization_id: str, key: LaunchKey, template_id: str | None, launch: Call[str] | Flow[Call[Run]]
) -> Flow[RunChange]:
    """Adopt the run of an earlier try, or send the call (or make it first), and keep one run of overlapping tries."""
    lookup = Lookup(organization_id, key, template_id)
    earlier: list[Run] = yield from lookup.before()
    if earlier:
        yield from archive_duplicates(organization_id, key, earlier)
        return RunChange(earlier[0], changed=False)
    call = launch if isinstance(launch, Call) else (yield from launch)
    try:
        answer: Run | str = yield call
    except (TallyfyUnknownOutcomeError, TallyfyResponseError) as error:
        return (yield from _adopt_after(error, lookup))
    launched = answer if isinstance(answer, Run) else (yield from _read_launched(organization_id, answer))
    return (yield from _keep_first(organization_id, launched, lookup))


def _read_launched(organization_id: str, run_id: str) -> Flow[Run]:
    """Read the run that was just launched, which replicas may not show yet."""

    def look() -> Flow[Run | TallyfyNotFoundError]:
        try:
            launched: Run = yield calls.get_run(organization_id, run_id)
        except TallyfyNotFoundError as unseen:
            return unseen
        return launched

    seen = yield from look_until(look, lambda seen: isinstance(seen, Run))
    if isinstance(seen, Run):
        return seen
    message = f"{seen}\nTallyfy says that it launched run {run_id}, but does not show it yet."
    raise seen.recast(TallyfyUnknownOutcomeError, message)


def _adopt_after(error: TallyfyError, lookup: Lookup) -> Flow[RunChange]:
    """
    Adopt the run after a request of this try whose outcome is unknown.

    The run was not there before that request, so this try counts as the one that launched it. A try that overlaps with
    this one may report the same: the marker does not show whose request made the run.
    """
    found: list[Run] = yield from lookup.all(allow_lag=True)
    if found:
        return RunChange(found[0], changed=True)
    message = f"{error}\nNo run with this launch's marker is visible yet.\nA retry looks again before it launches."
    raise error.recast(TallyfyUnknownOutcomeError, message)


def archive_duplicates(organization_id: str, key: LaunchKey, runs: Sequence[Run]) -> Flow[None]:
    """
    Archive the runs of overlapping tries, if a try was killed before it archived its own.

    Runs with a key that its author gave may be launches of others, so they stay.
    """
    if not key.expires:
        for run in duplicates(runs):
            yield from archive_run(organization_id, run.id)


def _keep_first(organization_id: str, launched: Run, lookup: Lookup) -> Flow[RunChange]:
    """
    Keep the first run if another try launched at the same time, and archive the other. Both tries decide the same.

    Once the newest runs show the launched one, they show all before it, too.
    """

    def first_of(carriers: Sequence[Run]) -> Run:
        return min([launched, *carriers], key=launch_order)

    def is_decided(carriers: Sequence[Run]) -> bool:
        return first_of(carriers).id != launched.id or any(run.id == launched.id for run in carriers)

    first = first_of((yield from look_until(lookup.newest, is_decided)))
    if first.id == launched.id:
        return RunChange(launched, changed=True)
    yield from archive_run(organization_id, launched.id)
    return RunChange(first, changed=False)
