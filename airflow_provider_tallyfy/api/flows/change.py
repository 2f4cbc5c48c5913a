"""Update and permanently delete a run, without losing anything that nobody asked to lose."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.errors import (
    TallyfyError,
    TallyfyNotFoundError,
    TallyfyResponseError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.exchange import Flow, Pause
from airflow_provider_tallyfy.api.flows.details import collect
from airflow_provider_tallyfy.api.flows.runs import REPLICA_LAG_PAUSES, archive_run, find_run
from airflow_provider_tallyfy.api.models import Run, RunChange
from airflow_provider_tallyfy.api.paging import Pager
from airflow_provider_tallyfy.api.queries import RunQuery

#: Fields an update may set (documentation page "Update process").
UPDATABLE_FIELDS = (
    "name",
    "summary",
    "owner_id",
    "starred",
    "is_public",
    "publicly_hidden_fields",
    "users",
    "groups",
    "prerun",
)


def update_run(organization_id: str, run_id: str, changes: Mapping[str, Any]) -> Flow[RunChange]:
    """
    Change fields of a run and leave every other field as it is.

    Tallyfy empties ``users`` and ``groups`` when a request does not name them (measured in production), so the
    current lists are sent along; if the read does not show both lists, nothing is sent.

    :param organization_id: the run's organization.
    :param run_id: the run.
    :param changes: new values by field, of :data:`UPDATABLE_FIELDS`.
    :raises TallyfyResponseError: if the lists are not shown, or something else changed.
    """
    before: Run = yield calls.get_run(organization_id, run_id)
    if not _differences(before, changes):
        return RunChange(before, changed=False)
    kept = {name: _shown_list(before, name) for name in ("users", "groups") if name not in changes}
    yield calls.update_run(organization_id, run_id, {**kept, **changes})
    expected = {name: before.raw[name] for name in UPDATABLE_FIELDS if name in before.raw} | dict(changes)
    for pause in (*REPLICA_LAG_PAUSES, None):
        after: Run = yield calls.get_run(organization_id, run_id)
        wrong = _differences(after, expected)
        if not wrong:
            return RunChange(after, changed=True)
        if pause is not None:
            yield Pause(pause)
    raise TallyfyResponseError(
        f"Tallyfy accepted the update of run {run_id}, but afterwards it shows other values than expected in: "
        f"{', '.join(wrong)}. Look at the run in Tallyfy; if somebody else is editing it, repeat the task.",
        run_id=run_id,
    )


def delete_run(
    organization_id: str,
    run_id: str,
    *,
    confirm: str,
    archive_first: bool,
    may_be_gone: bool,
    known: Run | None = None,
    see_gone: bool = True,
) -> Flow[RunChange | None]:
    """
    Delete a run for good.

    :param organization_id: the run's organization.
    :param run_id: the run.
    :param confirm: the run's id or exact name, as a second key.
    :param archive_first: archive a live run on the way; otherwise it is refused.
    :param may_be_gone: an earlier try may have deleted it, so a missing run is a success.
    :param known: the run as just seen in a list, which spares reading it.
    :param see_gone: whether to look for it afterwards; whoever deletes many does it once, with :func:`still_shown`.
    :return: the run as it was, or ``None`` if it was gone before.
    :raises TallyfyValidationError: if ``confirm`` does not fit, or the run is live.
    :raises TallyfyNotFoundError: if there is no such run.
    """
    try:
        run: Run = known or (yield from find_run(organization_id, run_id))
    except TallyfyNotFoundError:
        if may_be_gone:
            return None
        raise
    check_deletable(run, confirm, archive_first=archive_first)
    if not run.is_archived:
        run = (yield from archive_run(organization_id, run_id, known=run)).run
    refusal: TallyfyError | None = None
    try:
        yield calls.delete_run(organization_id, run_id)
    except (TallyfyNotFoundError, TallyfyValidationError) as error:
        refusal = error  # gone already, or not archived any more: both have been seen as 404 and as 422
    if see_gone or refusal is not None:
        yield from _see_it_gone(organization_id, run, refusal)
    return RunChange(run, changed=True)


def still_shown(organization_id: str, run_ids: Collection[str]) -> Flow[set[str]]:
    """
    Find deleted runs that Tallyfy goes on to list, with one look through the archive for all of them.

    :param organization_id: the runs' organization.
    :param run_ids: the runs, which were archived when they were deleted.
    """
    shown = set(run_ids)
    for pause in (*REPLICA_LAG_PAUSES, None):
        archived: list[str] = yield from collect(
            Pager(
                lambda page: calls.list_runs(organization_id, RunQuery(archived="only"), page),
                lambda row: Run.from_json(row).id,
                str,
            )
        )
        shown &= set(archived)
        if not shown or pause is None:
            break
        yield Pause(pause)
    return shown


def check_deletable(run: Run, confirm: str, *, archive_first: bool) -> None:
    """
    Check both keys of a permanent delete.

    :param run: the run as it is.
    :param confirm: the second key.
    :param archive_first: whether a live run is acceptable.
    :raises TallyfyValidationError: if it must not be deleted.
    """
    if confirm not in (run.id, run.name):
        raise TallyfyValidationError(
            f"Run {run.id} was not deleted: confirm={confirm!r} is neither its id nor its exact name.",
            run_id=run.id,
            fields={"confirm": ["does not fit the run"]},
        )
    if not run.is_archived and not archive_first:
        raise TallyfyValidationError(
            f"Run {run.id} was not deleted: it is not archived. Archive it first, or set archive_first=True.",
            run_id=run.id,
            fields={"run_id": ["not archived"]},
        )


def _see_it_gone(organization_id: str, run: Run, refusal: TallyfyError | None) -> Flow[None]:
    for pause in (*REPLICA_LAG_PAUSES, None):
        try:
            yield from find_run(organization_id, run.id, known=run)
        except TallyfyNotFoundError:
            return
        if refusal is not None:
            raise refusal
        if pause is not None:
            yield Pause(pause)
    raise TallyfyResponseError(
        f"Tallyfy accepted the deletion of run {run.id}, but still shows it. Look at it in Tallyfy.", run_id=run.id
    )


def _shown_list(run: Run, name: str) -> list[Any]:
    value = run.raw.get(name)
    if not isinstance(value, list):
        raise TallyfyResponseError(
            f"Run {run.id} was not updated: Tallyfy does not show its {name}, and an update without them would empty "
            f"them. Give {name} explicitly, or try again.",
            run_id=run.id,
        )
    return value


def _differences(run: Run, expected: Mapping[str, Any]) -> list[str]:
    return [name for name, value in expected.items() if _normal(run.raw.get(name)) != _normal(value)]


def _normal(value: Any) -> Any:
    """Compare as Tallyfy shows values: ids as text or number, no text as ``None`` or empty, lists in any order."""
    if isinstance(value, list):
        return sorted(str(item) for item in value)
    if value in (None, "", {}):
        return None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
