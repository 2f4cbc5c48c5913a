"""Update and permanently delete a run, and lose nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.calls.pager import Pager
from airflow_provider_tallyfy.api.errors import (
    TallyfyError,
    TallyfyNotFoundError,
    TallyfyResponseError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.flows.contents import collect
from airflow_provider_tallyfy.api.flows.lifecycle import archive_run, find_archived_run, locate_run
from airflow_provider_tallyfy.api.flows.marker import keep_markers
from airflow_provider_tallyfy.api.flows.names import KnownNames, resolve_names
from airflow_provider_tallyfy.api.flows.replica_lag import look_until
from airflow_provider_tallyfy.api.inputs.checks import checked_flag, free_text, parse_rendered, plain_json
from airflow_provider_tallyfy.api.inputs.numbers import text_of
from airflow_provider_tallyfy.api.inputs.people import checked_id_fields, user_number
from airflow_provider_tallyfy.api.inputs.problems import Problems, invalid
from airflow_provider_tallyfy.api.inputs.queries import RunQuery
from airflow_provider_tallyfy.api.models.envelope import read_id
from airflow_provider_tallyfy.api.models.run import Run, RunChange
from airflow_provider_tallyfy.api.text import without_bom

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

# What neither an update nor work on the run changes.
_FIXED_FIELDS = ("checklist_id", "parent_id", "type", "created_at", "started_at", "started_by")

# What people may add to or move at any moment, and an update must not take away.
_KEPT_FIELDS = ("due_date", "tags", "folders", "roles", "custom_fields")

_READERS: dict[str, Callable[[object, str], Any]] = {
    "name": partial(free_text, may_be_empty=False),
    "summary": free_text,
    "owner_id": user_number,
    "starred": checked_flag,
    "is_public": checked_flag,
}

_CONFIRM_HINT = "It has to be the run's id or exact name."

_BLANK: tuple[Any, ...] = (None, "", [], {})


def update_run(
    organization_id: str, run_id: str, changes: Mapping[str, Any], known: KnownNames | None = None
) -> Flow[RunChange]:
    """
    Change fields of a run and leave every other field as it is.

    Tallyfy empties ``users`` and ``groups`` when a request does not name them (measured in production), so the
    current lists are sent along; if the read does not show both lists, nothing is sent. So are the kick-off values that
    ``prerun`` does not name, and a new ``summary`` keeps the marker by which a launch recognizes its run.

    Afterwards the run is read again. The fields that an update can set, and those that never change (template, parent,
    type, who started it and when, when it was created), must be as expected if they are shown, and no due date, tag,
    folder, role or custom field may be missing. Other fields change while people work on the run, and are not compared.
    """
    changes = parse_rendered(changes)
    _check_changes(run_id, changes)
    changes = yield from resolve_names(organization_id, changes, {} if known is None else known)
    changes = {name: plain_json(value, name) for name, value in _read_changes(changes).items()}
    before: Run = yield from _read_for_update(organization_id, run_id)
    wanted = _as_stored(before, changes)
    if not _differences(before, wanted):
        return RunChange(before, changed=False)
    kept = {name: _shown_list(before, name) for name in ("users", "groups") if name not in wanted}
    try:
        yield calls.update_run(organization_id, run_id, {**kept, **wanted})
    except TallyfyNotFoundError as missing:
        raise (_archived(missing) if before.is_archived else missing) from None
    expected = {name: before.raw[name] for name in (*UPDATABLE_FIELDS, *_FIXED_FIELDS) if name in before.raw}
    expected |= wanted

    def look() -> Flow[tuple[Run, list[str]]]:
        after: Run = yield calls.get_run(organization_id, run_id)
        return after, _differences(after, expected) + _losses(before, after)

    after, wrong = yield from look_until(look, lambda seen: not seen[1])
    if not wrong:
        return RunChange(after, changed=True)
    raise TallyfyResponseError(
        f"Run {run_id} was updated, but shows other values than expected in: {', '.join(wrong)}.\n"
        f"Look at the run in Tallyfy.\nIf somebody else is editing it, try again.",
        run_id=run_id,
    )


def _check_changes(run_id: str, changes: object) -> None:
    unknown: list[str] = []
    if isinstance(changes, Mapping):
        unknown = sorted(map(str, changes.keys() - set(UPDATABLE_FIELDS)))
        problem = f"names {', '.join(unknown)}" if unknown else "is empty"
    else:
        problem = "is not an object with values by field"
    if unknown or not isinstance(changes, Mapping) or not changes:
        raise invalid("changes", changes, problem, f"An update can set: {', '.join(UPDATABLE_FIELDS)}.", run_id=run_id)


def _read_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Read the new values; one that was rendered for a missing value must overwrite nothing."""
    problems = Problems()
    given = {name: problems.collect(_READERS[name], changes[name], name) for name in changes if name in _READERS}
    others = problems.collect(
        checked_id_fields, {name: value for name, value in changes.items() if name not in _READERS}
    )
    problems.raise_all("Nothing was changed.")
    return {**(others or {}), **given}


def _read_for_update(organization_id: str, run_id: str) -> Flow[Run]:
    try:
        run: Run = yield calls.get_run(organization_id, run_id)
    except TallyfyNotFoundError as missing:
        archived: Run | None = yield from find_archived_run(organization_id, run_id)
        raise (missing if archived is None else _archived(missing)) from None
    return run


def _archived(missing: TallyfyNotFoundError) -> TallyfyNotFoundError:
    return missing.recast(
        TallyfyNotFoundError,
        f"Run {missing.run_id} was not updated: it is archived.\n"
        f"Tallyfy does not find archived runs for an update (404 to {missing.method} {missing.path}).\n"
        f"Restore it first.",
    )


def _as_stored(before: Run, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Write the new values so that they lose nothing: neither a launch's marker nor the rest of the kick-off form."""
    wanted = dict(changes)
    if "summary" in wanted:
        wanted["summary"] = keep_markers(before.raw.get("summary"), wanted["summary"])
    shown = before.raw.get("prerun")
    if isinstance(wanted.get("prerun"), Mapping) and isinstance(shown, Mapping):
        kept = {name: value for name, value in shown.items() if value not in _BLANK}
        wanted["prerun"] = {**kept, **wanted["prerun"]}
    return wanted


def delete_run(
    organization_id: str,
    run_id: str,
    *,
    confirm: str,
    archive_first: bool = False,
    may_be_gone: bool = False,
    known: Run | None = None,
    confirm_gone: bool = True,
) -> Flow[RunChange | None]:
    """
    Delete a run for good, and give it as it was; ``None`` if it was gone before.

    :param confirm: the run's id or exact name, as a second key.
    :param may_be_gone: an earlier try may have deleted it, so a missing run is a success.
    :param confirm_gone: whether to look for it afterwards; a task that deletes many calls :func:`still_listed` once.
    """
    check_confirm(run_id, confirm)
    try:
        run, is_shown = (known, False) if known else (yield from locate_run(organization_id, run_id))
    except TallyfyNotFoundError:
        if may_be_gone:
            return None
        raise
    return (
        yield from delete_located_run(
            organization_id,
            run,
            confirm=confirm,
            archive_first=archive_first,
            is_shown=is_shown,
            confirm_gone=confirm_gone,
        )
    )


def delete_located_run(
    organization_id: str,
    run: Run,
    *,
    confirm: str,
    archive_first: bool = False,
    is_shown: bool = False,
    confirm_gone: bool = True,
) -> Flow[RunChange]:
    """Delete a run that was just located, see :func:`locate_run` and :func:`delete_run`."""
    check_deletable(run, confirm, archive_first=archive_first)
    if not run.is_archived:
        run, is_shown = (yield from archive_run(organization_id, run.id, known=run)).run, False
    refusal: TallyfyError | None = None
    try:
        yield calls.delete_run(organization_id, run.id)
    except (TallyfyNotFoundError, TallyfyValidationError) as error:
        refusal = error  # gone already, or not archived any more: both have been seen as 404 and as 422
    if confirm_gone or refusal is not None:
        yield from _confirm_gone(organization_id, run, refusal, is_shown=is_shown)
    return RunChange(run, changed=True)


def still_listed(
    organization_id: str, run_ids: Collection[str], list_filters: Sequence[str] = ("only",)
) -> Flow[set[str]]:
    """
    Find deleted runs that Tallyfy still lists, with one look through its lists for all of them.

    A run is gone when it is not in the lists. In a list that gets shorter while it is read, a run can be missed; then
    it has to be missing twice.

    :param list_filters: where they may be, values of ``RunQuery.archived``.
    """
    shown, missed_once = set(run_ids), set[str]()

    def look() -> Flow[set[str]]:
        nonlocal missed_once
        listed, is_certain = yield from _listed(organization_id, list_filters)
        missed = shown - listed
        shown.difference_update(missed if is_certain else missed & missed_once)
        missed_once = missed
        return shown

    return (yield from look_until(look, lambda left: not left))


def _listed(organization_id: str, list_filters: Sequence[str]) -> Flow[tuple[set[str], bool]]:
    """Read the ids in the lists, and whether none can have been passed over."""
    ids, is_certain = set[str](), True
    for archived in list_filters:
        query = RunQuery(archived=archived)
        pager = Pager(partial(calls.list_runs, organization_id, query), read_id, str, whole=False)
        ids.update((yield from collect(pager)))
        is_certain &= not pager.lacks_items
    return ids, is_certain


def check_confirm(run_id: str, confirm: str | None) -> None:
    """Refuse an empty ``confirm``: it would match a run without a name."""
    if not text_of(confirm):
        raise invalid("confirm", confirm, "is empty", _CONFIRM_HINT, _not_deleted(run_id), run_id=run_id)


def _not_deleted(run_id: str) -> str:
    return f"Run {run_id} was not deleted."


def check_deletable(run: Run, confirm: str, *, archive_first: bool) -> None:
    """Check both keys of a permanent delete."""
    check_confirm(run.id, confirm)
    if text_of(confirm) not in (run.id, run.name, run.raw.get("name")):  # native rendering makes numbers of names
        problem = f"is neither the id nor the exact name of run {run.id}"
        raise invalid("confirm", confirm, problem, _not_deleted(run.id), run_id=run.id)
    if not run.is_archived and not archive_first:
        raise TallyfyValidationError(
            f"{_not_deleted(run.id)}\nIt is not archived.\nArchive it first, or set archive_first=True.",
            run_id=run.id,
            fields={"run_id": ["is not archived"]},
        )


def _confirm_gone(organization_id: str, run: Run, refusal: TallyfyError | None, *, is_shown: bool) -> Flow[None]:
    """See that the run is gone. Where a direct read showed it (``is_shown``), not showing it is proof."""

    def look() -> Flow[bool]:
        try:
            yield calls.get_run(organization_id, run.id)
        except TallyfyNotFoundError:
            return is_shown or (yield from find_archived_run(organization_id, run.id, run)) is None
        return False

    if (yield from look_until(look, allow_lag=refusal is None)):
        return
    if refusal is not None:
        raise refusal
    raise TallyfyResponseError(
        f"Tallyfy accepted the deletion of run {run.id}, but still shows it.\nLook at it in Tallyfy.", run_id=run.id
    )


def _shown_list(run: Run, name: str) -> list[Any]:
    value = run.raw.get(name)
    if not isinstance(value, list):
        raise TallyfyResponseError(
            f"Run {run.id} was not updated: Tallyfy does not show its {name}.\n"
            f"An update without them would empty them.\nGive {name} explicitly, or try again.",
            run_id=run.id,
        )
    return value


def _differences(run: Run, expected: Mapping[str, Any]) -> list[str]:
    return [name for name, value in expected.items() if _normal(run.raw.get(name)) != _normal(value)]


def _losses(before: Run, after: Run) -> list[str]:
    return [name for name in _KEPT_FIELDS if _entries(before.raw.get(name)) - _entries(after.raw.get(name))]


def _entries(value: Any) -> set[str]:
    """Name what a field holds: elements of a list, fields of an object, or anything at all."""
    if isinstance(value, list):
        return {str(item.get("id", item) if isinstance(item, Mapping) else item) for item in value}
    if isinstance(value, Mapping):
        return {name for name, item in value.items() if item not in _BLANK}
    return set() if value in _BLANK else {"a value"}


def _normal(value: Any) -> Any:
    """Compare as Tallyfy shows values: ids as text or number, nothing as ``None`` or empty, lists in any order."""
    if isinstance(value, list | tuple):
        return sorted(str(item) for item in value)
    if value in _BLANK:
        return None
    if isinstance(value, Mapping):
        return {name: item for name, item in value.items() if item not in _BLANK}
    if isinstance(value, str):
        return without_bom(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
