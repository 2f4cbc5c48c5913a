"""Users and groups."""

from __future__ import annotations

from airflow_provider_tallyfy.api.call import Call
from airflow_provider_tallyfy.api.calls.paths import in_organization
from airflow_provider_tallyfy.api.inputs.checks import checked_id
from airflow_provider_tallyfy.api.models.answers import read_person


def get_person(organization_id: str, kind: str, person_id: str) -> Call[tuple[str | None, str | None]]:
    """``GET /users/{id}`` or ``GET /groups/{id}`` (official n8n node): name and e-mail address."""
    return Call(
        action=f"read {kind.removesuffix('s')} {person_id}",
        method="GET",
        path=in_organization(organization_id, kind, checked_id(person_id, "person_id")),
        parse=read_person,
    )
