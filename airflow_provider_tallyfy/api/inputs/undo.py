"""Read results of tasks, to take back exactly what they changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.checks import checked_flag, checked_id, is_rendered_none, parse_rendered
from airflow_provider_tallyfy.api.inputs.problems import invalid_items
from airflow_provider_tallyfy.api.text import short_repr

_NOT_A_RESULT = "this is not the result of an operator for one run, which has id and changed"


@dataclass(frozen=True)
class Undo:
    """What there is to take back: the runs that were changed, each once, and why the other results need nothing."""

    run_ids: list[str]
    skipped: list[str]


def read_undo(given: object, can_undo: Callable[[object], bool]) -> Undo:
    """
    Read the result of a task, or the results of a mapped one; either may be text, or nothing.

    :param can_undo: whether a change can be taken back that left the run in this status.
    """
    given = _value(given)
    if given is None or isinstance(given, Mapping):
        results: list[object] = [given]
    elif isinstance(given, Iterable) and not isinstance(given, str | bytes):
        results = list(given)
    else:
        raise invalid_items("undo", [_not_a_result(given)], "Nothing was sent.")
    run_ids: dict[str, None] = {}
    skipped = [] if results else ["the other task handed on an empty list"]
    problems: list[TallyfyValidationError] = []
    for result in map(_value, results):
        try:
            run_id, reason = _read(result, can_undo)
        except TallyfyValidationError as error:
            problems.append(error)
            continue
        if reason:
            skipped.append(reason)
        else:
            run_ids[run_id] = None
    if problems:
        raise invalid_items("undo", problems, "Nothing was sent.")
    return Undo(list(run_ids), skipped)


def _read(result: object, can_undo: Callable[[object], bool]) -> tuple[str, str]:
    """Give the run that was changed, and why nothing is to be taken back, if so."""
    if result is None:
        return "", "the other task handed on no result (it did not run, or was skipped)"
    if not isinstance(result, Mapping):
        raise TallyfyValidationError(_not_a_result(result))
    if "counts" in result:
        raise TallyfyValidationError(
            "this is the result of a bulk operator; give its XCom changed to the opposite bulk operator as run_ids"
        )
    if "dry_run" in result and checked_flag(result["dry_run"], "dry_run"):
        return "", "the other task was a dry run"
    if "id" not in result or "changed" not in result:
        raise TallyfyValidationError(_not_a_result(result))
    run_id, status = checked_id(result["id"], "id"), result.get("status")
    if not checked_flag(result["changed"], "changed"):
        return run_id, f"the other task did not change run {run_id}"
    if status is not None and not can_undo(status):
        raise TallyfyValidationError(
            f"the other task left run {run_id} in status {short_repr(status)}, which this operator cannot take back"
        )
    return run_id, ""


def _value(given: object) -> object:
    return None if isinstance(given, str) and is_rendered_none(given) else parse_rendered(given)


def _not_a_result(given: object) -> str:
    return f"{short_repr(given)}: {_NOT_A_RESULT}"
