"""Tag runs, and take tags off again."""

from __future__ import annotations

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.errors import TallyfyNotFoundError, TallyfyResponseError, TallyfyUnknownOutcomeError
from airflow_provider_tallyfy.api.flows.replica_lag import look_until
from airflow_provider_tallyfy.api.models.records import TagLink


def tag_run(organization_id: str, run_id: str, tag_id: str) -> Flow[bool]:
    """Put a tag on a run, and tell whether it is new there; tagging again would fire the tag's events again."""
    if (yield from _links(organization_id, run_id, tag_id)):
        return False
    try:
        yield calls.tag_run(organization_id, run_id, tag_id)
    except (TallyfyUnknownOutcomeError, TallyfyResponseError):
        if not (yield from look_until(lambda: _links(organization_id, run_id, tag_id))):
            raise
    return True


def untag_run(organization_id: str, run_id: str, tag_id: str) -> Flow[bool]:
    """Take a tag off a run, as often as it is on it, and tell whether it was."""
    links: list[TagLink] = yield from _links(organization_id, run_id, tag_id)
    for link in links:
        try:
            yield calls.untag_run(organization_id, run_id, link.association_id)
        except TallyfyNotFoundError:
            continue  # somebody else was faster, or the first answer was lost
    return bool(links)


def _links(organization_id: str, run_id: str, tag_id: str) -> Flow[list[TagLink]]:
    links: tuple[TagLink, ...] = yield calls.list_run_tags(organization_id, run_id)
    return [link for link in links if link.tag_id == tag_id]
