"""Ids of runs and rows of values, as templates, XComs and files give them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.checks import (
    RENDERED_NONE,
    checked_ids,
    is_rendered_none,
    parse_list,
    parse_rendered,
)
from airflow_provider_tallyfy.api.inputs.problems import invalid_items
from airflow_provider_tallyfy.api.text import short_repr
from airflow_provider_tallyfy.files.storage import checked_path, is_path
from airflow_provider_tallyfy.files.tables import items_of_json_lines, rows_of_csv


def read_run_ids(given: Any) -> list[str]:
    """
    Read the ids of runs, each once, in order.

    :param given: an id; a dict with an ``id``; text with a list in it, or with ids between commas, spaces or lines;
        ``{"path": ..., "state": ...}`` for the ids in a file of JSON lines (only lines in ``state``); or
        several of these in any iterable, as a mapped task hands them on.
    :raises TallyfyValidationError: naming every invalid id, or the line that cannot be read.
    """
    return checked_ids(_listed(given))


def files_of_ids(given: Any) -> list[str]:
    """Name the files that ids come from."""
    given = parse_rendered(given)
    if isinstance(given, Mapping):
        return [_path_of(given)] if _is_reference(given) else []
    items = given if isinstance(given, Sequence) and not isinstance(given, str | bytes) else ()
    return [_path_of(item) for item in map(parse_rendered, items) if isinstance(item, Mapping) and _is_reference(item)]


def read_rows(given: Any) -> list[dict[str, Any]]:
    """
    Read rows of values by column.

    :param given: dicts; text with a list of them in it; or the path of a CSV file with a header (``.csv``) or of a
        file of JSON lines.
    :raises TallyfyValidationError: naming every invalid row, or the line that cannot be read.
    """
    if isinstance(given, str) and is_rendered_none(given):
        raise _refused_rows(f"it is {given.strip()!r}: {RENDERED_NONE}")
    if path := file_of_rows(given):
        read = rows_of_csv if path.lower().endswith(".csv") else items_of_json_lines
        given = read(path, _refused_rows)
    elif isinstance(given, str):
        given = _list_in(given, "rows")
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise _refused_rows(f"expected rows or the path of a file, got {type(given).__name__}")
    rows = list(given)
    problems = [f"row {number} is not an object" for number, row in enumerate(rows, 1) if not isinstance(row, Mapping)]
    problems += [
        f"row {number} has more cells than the header"
        for number, row in enumerate(rows, 1)
        if isinstance(row, Mapping) and None in row
    ]
    if problems:
        raise invalid_items("rows", problems, "Nothing was launched.")
    return [{str(name): value for name, value in row.items()} for row in rows]


def file_of_rows(given: Any) -> str | None:
    """Name the file that rows come from; ``None`` if they come from none."""
    is_file = is_path(given) or (isinstance(given, str) and not _is_list(given))
    return checked_path(given, "rows") if is_file else None


def _is_list(text: str) -> bool:
    return text.strip().startswith("[")


def _listed(given: Any) -> Iterable[Any]:
    if isinstance(given, str):
        given = _ids_of_text(given)
    if isinstance(given, Mapping):
        return _ids_of_mapping(given)
    if isinstance(given, int | float):
        return [given]
    if isinstance(given, Iterable) and not isinstance(given, bytes):
        return _ids_of_several(given)
    raise _refused_ids(f"expected ids, got {type(given).__name__}")


def _ids_of_several(given: Iterable[Any]) -> Iterator[Any]:
    """Give the ids of items; a mapped task hands on a list of the results of its parts."""
    for item in map(parse_rendered, given):
        if isinstance(item, Mapping):
            yield from _ids_of_mapping(item) if _is_reference(item) else [item]
        elif isinstance(item, Iterable) and not isinstance(item, str | bytes):
            yield from item
        else:
            yield item


def _ids_of_mapping(given: Mapping[Any, Any]) -> Iterable[Any]:
    if _is_reference(given):
        return _ids_of_file(_path_of(given), given.get("state"))
    if "counts" in given:
        raise _refused_ids("this is the result of a bulk operator; give its XCom changed")
    return [given]


def _is_reference(given: Mapping[Any, Any]) -> bool:
    return "path" in given and "id" not in given


def _path_of(given: Mapping[Any, Any]) -> str:
    return checked_path(given["path"], "run_ids: path")


def _ids_of_file(path: str, state: str | Sequence[str] | None) -> Iterator[Any]:
    states = [state] if isinstance(state, str) else state
    for item in items_of_json_lines(path, _refused_ids):
        if states is None:
            yield item
        elif not isinstance(item, Mapping):
            raise _refused_ids(f"{path} has lines without a state, as {short_repr(item)}")
        elif item.get("state") in states:
            yield item


def _ids_of_text(text: str) -> Any:
    if not text.strip() or is_rendered_none(text):
        raise _refused_ids(f"it is {text!r}: {RENDERED_NONE}")
    if _is_list(text):
        return _list_in(text, "run_ids")
    found = parse_rendered(text)
    return found if isinstance(found, Mapping) else [word for word in re.split(r"[\s,;]+", text) if word]


def _list_in(text: str, name: str) -> list[Any]:
    items = parse_list(text)
    if items is None:
        raise invalid_items(name, [f"{text[:80]!r} is not a list"], "Nothing was sent.")
    return items


def _refused_ids(problem: str) -> TallyfyValidationError:
    return invalid_items("run_ids", [problem], "Nothing was sent.")


def _refused_rows(problem: str) -> TallyfyValidationError:
    return invalid_items("rows", [problem], "Nothing was launched.")
