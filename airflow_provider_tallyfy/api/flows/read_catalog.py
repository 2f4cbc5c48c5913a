"""What an organization has: templates, tags, folders, users and groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.calls.catalog import Kind
from airflow_provider_tallyfy.api.calls.pager import Pager
from airflow_provider_tallyfy.api.flows.contents import collect
from airflow_provider_tallyfy.api.models.records import Titled
from airflow_provider_tallyfy.api.models.template import rows_of


def list_catalog(organization_id: str, kind: Kind, query: str | None = None) -> Flow[list[Titled]]:
    """Read everything of a kind that is not archived, or what matches a text; folders in folders, too."""
    pager = Pager(
        lambda page: calls.list_catalog(organization_id, kind, page, query), _family, lambda items: items[0].id
    )
    families: list[list[Titled]] = yield from collect(pager)
    return list({item.id: item for family in families for item in family if not item.holds_templates}.values())


def _family(row: Mapping[str, Any]) -> list[Titled]:
    """Read an item of a list, and the folders in it if it is one."""
    return [Titled.from_json(row), *(item for child in rows_of(row, "children") for item in _family(child))]
