"""Runs: read, list, archive, activate."""

from __future__ import annotations

from airflow_provider_tallyfy.api.calls.paths import in_organization, of_run
from airflow_provider_tallyfy.api.exchange import Answer, Call
from airflow_provider_tallyfy.api.models import Page, Run, read_page, read_run, read_run_if_shown
from airflow_provider_tallyfy.api.queries import RunQuery

#: The server caps ``per_page`` at 100 and starts from 10.
PAGE_SIZE = 100


def get_run(organization_id: str, run_id: str) -> Call[Run]:
    """``GET /runs/{id}`` (documentation page "Get process")."""
    return Call(
        action=f"read run {run_id}",
        method="GET",
        path=of_run(organization_id, run_id),
        parse=lambda answer: _same_run(read_run(answer), run_id),
        run_id=run_id,
    )


def list_runs(organization_id: str, query: RunQuery, page: int) -> Call[Page]:
    """``GET /runs`` (documentation page "List processes"), one page of it."""
    return Call(
        action=f"list runs (page {page})",
        method="GET",
        path=in_organization(organization_id, "runs"),
        parse=read_page,
        query=(*query.parameters(), ("page", str(page)), ("per_page", str(PAGE_SIZE))),
    )


def archive_run(organization_id: str, run_id: str) -> Call[Run | None]:
    """``DELETE /runs/{id}`` (documentation page "Archive process"); the answer may be empty."""
    return _run_write("archive", "DELETE", of_run(organization_id, run_id), run_id)


def activate_run(organization_id: str, run_id: str) -> Call[Run | None]:
    """``PUT /runs/{id}/activate`` (documentation page "Activate process"); the answer may be empty."""
    return _run_write("restore", "PUT", of_run(organization_id, run_id, "activate"), run_id)


def _run_write(verb: str, method: str, path: str, run_id: str) -> Call[Run | None]:
    def parse(answer: Answer) -> Run | None:
        run = read_run_if_shown(answer)
        return run and _same_run(run, run_id)

    return Call(action=f"{verb} run {run_id}", method=method, path=path, parse=parse, run_id=run_id)


def _same_run(run: Run, run_id: str) -> Run:
    if run.id != run_id:
        raise ValueError(f"it shows another run, {run.id}")
    return run
