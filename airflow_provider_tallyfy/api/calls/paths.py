"""Paths with every part encoded and every id checked, and the parameters of pages."""

from __future__ import annotations

from urllib.parse import quote

from airflow_provider_tallyfy.api.inputs.checks import checked_id
from airflow_provider_tallyfy.api.models.envelope import PAGE_SIZE


def path(*segments: str) -> str:
    """Join segments, each percent-encoded."""
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


def in_organization(organization_id: str, *segments: str) -> str:
    """Path below an organization."""
    return path("organizations", checked_id(organization_id, "organization_id"), *segments)


def page_parameters(page: int) -> tuple[tuple[str, str], ...]:
    """Query parameters that ask for one page of a list."""
    return (("page", str(page)), ("per_page", str(PAGE_SIZE)))


def of_run(organization_id: str, run_id: str, *segments: str) -> str:
    """Path below a run."""
    return in_organization(organization_id, "runs", checked_id(run_id), *segments)
