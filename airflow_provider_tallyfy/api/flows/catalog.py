"""What an organization has: templates and tags."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Call, Flow
from airflow_provider_tallyfy.api.calls.pager import Pager
from airflow_provider_tallyfy.api.flows.contents import collect
from airflow_provider_tallyfy.api.models.envelope import Page
from airflow_provider_tallyfy.api.models.records import Titled


def list_templates(organization_id: str, query: str | None = None) -> Flow[list[Titled]]:
    """Read the templates that are not archived, all of them or those that match a text."""
    return _titled(lambda page: calls.list_templates(organization_id, query, page))


def list_tags(organization_id: str) -> Flow[list[Titled]]:
    """Read all tags."""
    return _titled(lambda page: calls.list_tags(organization_id, page))


def _titled(page_call: Callable[[int], Call[Page]]) -> Flow[list[Titled]]:
    return collect(Pager(page_call, Titled.from_json, lambda item: item.id))
