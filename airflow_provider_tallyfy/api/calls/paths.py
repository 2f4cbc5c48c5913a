"""Paths in which no id can leave its place."""

from __future__ import annotations

from urllib.parse import quote

from airflow_provider_tallyfy.api.inputs.checks import checked_id


def path(*segments: str) -> str:
    """Join segments, each percent-encoded."""
    return "".join(f"/{quote(segment, safe='')}" for segment in segments)


def in_organization(organization_id: str, *segments: str) -> str:
    """
    Path below an organization.

    :raises TallyfyValidationError: if the organization id is not usable.
    """
    return path("organizations", checked_id(organization_id, "organization_id"), *segments)


def of_run(organization_id: str, run_id: str, *segments: str) -> str:
    """
    Path below a run.

    :raises TallyfyValidationError: if an id is not usable.
    """
    return in_organization(organization_id, "runs", checked_id(run_id), *segments)
