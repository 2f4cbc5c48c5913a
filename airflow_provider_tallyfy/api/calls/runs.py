"""Runs: launch, read, list, update, archive, activate, delete, export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_tallyfy.api.call import Answer, Call
from airflow_provider_tallyfy.api.calls.paths import in_organization, of_run, page_parameters
from airflow_provider_tallyfy.api.inputs.checks import checked_id
from airflow_provider_tallyfy.api.inputs.queries import RunQuery
from airflow_provider_tallyfy.api.models.envelope import Page, read_nothing, read_page
from airflow_provider_tallyfy.api.models.form import FormValue, read_form_values
from airflow_provider_tallyfy.api.models.records import TagLink, read_tag_links
from airflow_provider_tallyfy.api.models.run import Run, read_run, read_run_if_shown


def get_run(organization_id: str, run_id: str, includes: tuple[str, ...] = ()) -> Call[Run]:
    """``GET /runs/{id}`` (documentation page "Get process"), with the includes of ``with=``."""
    return Call(
        action=f"read run {run_id}",
        method="GET",
        path=of_run(organization_id, run_id),
        parse=lambda answer: _same_run(read_run(answer), run_id),
        run_id=run_id,
        query=(("with", ",".join(includes)),) if includes else (),
    )


def list_runs(organization_id: str, query: RunQuery, page: int) -> Call[Page]:
    """``GET /runs`` (documentation page "List processes"), one page of it."""
    return Call(
        action=f"list runs (page {page})",
        method="GET",
        path=in_organization(organization_id, "runs"),
        parse=lambda answer: read_page(answer, page),
        query=(*query.parameters(), *page_parameters(page)),
    )


def archive_run(organization_id: str, run_id: str) -> Call[Run | None]:
    """``DELETE /runs/{id}`` (documentation page "Archive process"); the answer may be empty."""
    return _run_write("archive", "DELETE", of_run(organization_id, run_id), run_id)


def activate_run(organization_id: str, run_id: str) -> Call[Run | None]:
    """``PUT /runs/{id}/activate`` (documentation page "Activate process"); the answer may be empty."""
    return _run_write("restore", "PUT", of_run(organization_id, run_id, "activate"), run_id)


def launch_run(organization_id: str, body: Mapping[str, Any]) -> Call[Run]:
    """``POST /runs`` (documentation page "Launch process"): 201; there is no idempotency key."""
    return Call(
        action=f"launch a run of template {body.get('checklist_id')}",
        method="POST",
        path=in_organization(organization_id, "runs"),
        parse=read_run,
        body=body,
    )


def update_run(organization_id: str, run_id: str, body: Mapping[str, Any]) -> Call[Run | None]:
    """``PUT /runs/{id}`` (page "Update process"). Without ``users`` and ``groups`` Tallyfy empties both lists."""
    return replace(_run_write("update", "PUT", of_run(organization_id, run_id), run_id), body=body)


def delete_run(organization_id: str, run_id: str) -> Call[None]:
    """``DELETE /runs/{id}/delete`` (page "Delete process"): archived runs only, for good, with an empty answer."""
    return Call(
        action=f"permanently delete run {run_id}",
        method="DELETE",
        path=of_run(organization_id, run_id, "delete"),
        parse=read_nothing,
        run_id=run_id,
    )


def export_run(organization_id: str, run_id: str) -> Call[Any]:
    """``POST /runs/{id}/export`` (official command line client): JSON of an undocumented shape, perhaps in ``data``."""
    return Call(
        action=f"export run {run_id}",
        method="POST",
        path=of_run(organization_id, run_id, "export"),
        parse=_read_export,
        run_id=run_id,
        changes_nothing=True,
    )


def list_form_fields(organization_id: str, run_id: str) -> Call[tuple[FormValue, ...]]:
    """``GET /runs/{id}/form-fields``: fields of the kick-off form and the tasks. It is known to fail for good (500)."""
    return Call(
        action=f"list the form fields of run {run_id}",
        method="GET",
        path=of_run(organization_id, run_id, "form-fields"),
        parse=read_form_values,
        run_id=run_id,
        non_retryable=frozenset({500}),
    )


def list_activity(organization_id: str, run_id: str, page: int) -> Call[Page]:
    """``GET /activity-feeds`` of a run (documentation page "Get process activity"), newest first, one page of it."""
    query = {"entity_type": "run", "entity_id": checked_id(run_id), "sort": "-created_at"}
    return Call(
        action=f"read the activity of run {run_id} (page {page})",
        method="GET",
        path=in_organization(organization_id, "activity-feeds"),
        parse=lambda answer: read_page(answer, page),
        run_id=run_id,
        query=(*query.items(), *page_parameters(page)),
    )


def list_run_tags(organization_id: str, run_id: str) -> Call[tuple[TagLink, ...]]:
    """``GET /runs/{id}?with=tags``: the run's tags and the numbers by which they are removed."""
    return Call(
        action=f"read the tags of run {run_id}",
        method="GET",
        path=of_run(organization_id, run_id),
        parse=read_tag_links,
        run_id=run_id,
        query=(("with", "tags"),),
    )


def _read_export(answer: Answer) -> Any:
    export = answer.json()
    if isinstance(export, dict) and export.keys() == {"data"}:
        export = export["data"]
    if not export:
        raise ValueError("the export is empty")
    return export


def _run_write(verb: str, method: str, path: str, run_id: str) -> Call[Run | None]:
    def parse(answer: Answer) -> Run | None:
        run = read_run_if_shown(answer)
        return run and _same_run(run, run_id)

    return Call(action=f"{verb} run {run_id}", method=method, path=path, parse=parse, run_id=run_id)


def _same_run(run: Run, run_id: str) -> Run:
    if run.id != run_id:
        raise ValueError(f"it shows another run, {run.id}")
    return run
