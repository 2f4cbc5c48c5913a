"""Tag runs, and take tags off again."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Call, Flow
from airflow_provider_tallyfy.api.errors import (
    TallyfyNotFoundError,
    TallyfyResponseError,
    TallyfyUnknownOutcomeError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.flows.lifecycle import find_archived_run
from airflow_provider_tallyfy.api.flows.replica_lag import look_until
from airflow_provider_tallyfy.api.inputs.queries import shown_tags
from airflow_provider_tallyfy.api.models.records import TagLink
from airflow_provider_tallyfy.api.models.run import Run, RunChange


def change_tags(
    organization_id: str, run_id: str, add: Collection[str] = (), remove: Collection[str] = ()
) -> Flow[RunChange]:
    """Put tags on a run, and take others off as often as they are on it; tagging again would fire the events again."""
    run, writes = yield from tag_writes(organization_id, run_id, add, remove)
    for write in writes:
        tag_id = (write.body or {}).get("tag_id")
        try:
            yield write
        except TallyfyNotFoundError:
            if tag_id is not None:
                raise
            # Somebody else took it off faster, or the first answer was lost.
        except (TallyfyUnknownOutcomeError, TallyfyResponseError):
            if tag_id is None or not (yield from look_until(partial(_is_on, organization_id, run_id, tag_id))):
                raise
    return RunChange(run, changed=bool(writes))


def tag_writes(
    organization_id: str, run_id: str, add: Collection[str], remove: Collection[str]
) -> Flow[tuple[Run, list[Call[Any]]]]:
    """Read a run, and find out which requests would change its tags."""
    try:
        run: Run = yield calls.get_run(organization_id, run_id, ("tags",))
    except TallyfyNotFoundError:
        archived: Run | None = yield from find_archived_run(organization_id, run_id)
        if archived is None:
            raise
        raise _archived(run_id) from None
    links = shown_tags(run)
    new = [tag_id for tag_id in add if tag_id not in {link.tag_id for link in links}]
    if new and run.is_archived:
        raise _archived(run_id)
    writes: list[Call[Any]] = [calls.tag_run(organization_id, run_id, tag_id) for tag_id in new]
    writes += [calls.untag_run(organization_id, run_id, link) for link in links if link.tag_id in remove]
    return run, writes


def _is_on(organization_id: str, run_id: str, tag_id: str) -> Flow[bool]:
    links: tuple[TagLink, ...] = yield calls.list_run_tags(organization_id, run_id)
    return any(link.tag_id == tag_id for link in links)


def _archived(run_id: str) -> TallyfyValidationError:
    return TallyfyValidationError(
        f"The tags of run {run_id} were not changed: it is archived.\nTallyfy tags live runs only.\nRestore it first.",
        run_id=run_id,
        fields={"run_id": ["is archived"]},
    )
