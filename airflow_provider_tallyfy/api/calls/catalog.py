"""What an organization has: templates, tags, folders for runs, users and groups."""

from __future__ import annotations

from typing import Literal

from airflow_provider_tallyfy.api.call import Call
from airflow_provider_tallyfy.api.calls.paths import in_organization, page_parameters
from airflow_provider_tallyfy.api.models.envelope import Page, read_page

Kind = Literal["templates", "tags", "folders", "users", "groups"]

# Below the organization, and with which parameters. Those of folders are the official n8n node's.
_LISTS: dict[Kind, tuple[str, tuple[tuple[str, str], ...]]] = {
    "templates": ("checklists", ()),
    "tags": ("tags", ()),
    "folders": ("folders", (("folder_type", "run"), ("with", "children"))),
    "users": ("users", ()),
    "groups": ("groups", ()),
}


def list_catalog(organization_id: str, kind: Kind, page: int, query: str | None = None) -> Call[Page]:
    """One page of a list (documentation pages "List templates", "tags", "members", "groups"), without archived ones."""
    path, parameters = _LISTS[kind]
    return Call(
        action=f"list {kind} (page {page})",
        method="GET",
        path=in_organization(organization_id, path),
        parse=lambda answer: read_page(answer, page),
        query=(*parameters, *((("q", query),) if query else ()), *page_parameters(page)),
    )
