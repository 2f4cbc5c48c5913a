"""
Find, archive and restore a run.

The documentation leaves open whether Tallyfy shows an archived run (200) or hides it (404), and whether repeating
an archive or a restore is accepted. Each flow here is right in every case.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Call, Flow
from airflow_provider_tallyfy.api.calls.pager import Pager
from airflow_provider_tallyfy.api.errors import (
    TallyfyError,
    TallyfyNotFoundError,
    TallyfyResponseError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.flows.replica_lag import look_until
from airflow_provider_tallyfy.api.inputs.queries import RunQuery, is_empty_filter
from airflow_provider_tallyfy.api.models.run import Run, RunChange


def run_pager(organization_id: str, query: RunQuery, *, whole: bool, skips_unreadable: bool = False) -> Pager[Run]:
    """Walk through a list of runs; :class:`Pager` explains the switches."""
    return Pager(
        lambda page: calls.list_runs(organization_id, query, page),
        Run.from_json,
        lambda run: run.id,
        whole=whole,
        skips_unreadable=skips_unreadable,
    )


def find_run(organization_id: str, run_id: str, known: Run | None = None) -> Flow[Run]:
    """Read a run; where Tallyfy hides archived ones, look through their list, which ``known`` narrows."""
    run, _ = yield from locate_run(organization_id, run_id, known)
    return run


def locate_run(organization_id: str, run_id: str, known: Run | None = None) -> Flow[tuple[Run, bool]]:
    """Read a run like :func:`find_run`; the second value is whether a direct read shows it."""
    try:
        run: Run = yield calls.get_run(organization_id, run_id)
    except TallyfyNotFoundError:
        archived: Run | None = yield from find_archived_run(organization_id, run_id, known)
        if archived is None:
            raise
        return archived, False
    return run, True


def look_up_run(organization_id: str, run_id: str, known: Run | None = None) -> Flow[Run | None]:
    """Read a run, archived or not, or find out that it does not exist."""
    try:
        run: Run = yield from find_run(organization_id, run_id, known)
    except TallyfyNotFoundError:
        return None
    return run


def find_archived_run(organization_id: str, run_id: str, known: Run | None = None) -> Flow[Run | None]:
    """
    Look for a run in the list of archived runs, newest first, and stop at the first hit.

    :param known: the run as seen before: first only runs of its template with its name are looked through,
        then, since how Tallyfy searches names is not documented, all of its template.
    """
    everything = RunQuery(archived="only", sort="-created_at")
    queries = [everything]
    if known is not None:
        of_template = replace(everything, template_id=known.template_id)
        # A run may be called "None", which is refused as a filter.
        is_searchable = not is_empty_filter(known.name)
        queries = [replace(of_template, query=known.name), of_template] if is_searchable else [of_template]
    for query in queries:
        pager = run_pager(organization_id, query, whole=False, skips_unreadable=True)
        while (call := pager.next_call()) is not None:
            page = yield call
            for run in pager.accept(page):
                if run.id == run_id and run.is_archived:
                    return run
        pager.raise_if_hidden(run_id)
    return None


def activate_run(organization_id: str, run_id: str, known: Run | None = None) -> Flow[RunChange]:
    """
    Restore an archived run; a live run is a success that changed nothing.

    A run that cannot be read is restored all the same: it may be archived and hidden. It is missing only if Tallyfy
    does not find it then either.
    """
    before = known
    if before is None:
        with suppress(TallyfyNotFoundError):  # archived and hidden, or missing: restoring it shows which
            before = yield calls.get_run(organization_id, run_id)
    if before is not None and not before.is_archived:
        return RunChange(before, changed=False)
    return (
        yield from _write_and_confirm(
            calls.activate_run(organization_id, run_id),
            is_done=lambda run: not run.is_archived,
            look=lambda: _look_at_live(organization_id, run_id),
        )
    )


def archive_run(organization_id: str, run_id: str, known: Run | None = None) -> Flow[RunChange]:
    """Archive a run; an archived run is a success that changed nothing."""
    before: Run = known or (yield from find_run(organization_id, run_id))
    if before.is_archived:
        return RunChange(before, changed=False)
    return (
        yield from _write_and_confirm(
            calls.archive_run(organization_id, run_id),
            is_done=lambda run: run.is_archived,
            look=lambda: look_up_run(organization_id, run_id, known=before),
        )
    )


def _write_and_confirm(
    write: Call[Run | None], is_done: Callable[[Run], bool], look: Callable[[], Flow[Run | None]]
) -> Flow[RunChange]:
    """
    Send a write, and look whether the run is in the new state.

    A 404 or 422 may mean "already so": an answer was lost, or somebody else did it before. Look then, too.
    """
    refusal: TallyfyError | None = None
    try:
        shown: Run | None = yield write
    except (TallyfyNotFoundError, TallyfyValidationError) as error:
        shown, refusal = None, error
    if shown is not None and is_done(shown):
        return RunChange(shown, changed=True)
    shown = yield from look_until(look, lambda run: run is not None and is_done(run), allow_lag=refusal is None)
    if shown is not None and is_done(shown):
        return RunChange(shown, changed=True)
    if refusal is not None:
        raise refusal
    raise not_shown(write, "the run in that state")


def not_shown(write: Call[Any], what: str) -> TallyfyResponseError:
    """Say that a write was accepted, and that its effect is not to be seen."""
    return TallyfyResponseError(
        f"Could not {write.action}.\n"
        f"Tallyfy accepted {write.method} {write.path}, but does not show {what} afterwards.\n"
        f"Look at the run in Tallyfy, or try again.",
        method=write.method,
        path=write.path,
        run_id=write.run_id,
    )


def _look_at_live(organization_id: str, run_id: str) -> Flow[Run | None]:
    try:
        run: Run = yield calls.get_run(organization_id, run_id)
    except TallyfyNotFoundError:
        return None
    return run
