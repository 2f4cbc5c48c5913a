"""What a bulk job is given: ids in any of the shapes that templates and XComs have, rows, and files of either."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_tallyfy.api.checks import (
    RENDERED_FOR_NOTHING,
    checked_ids,
    is_rendered_for_nothing,
    list_in_text,
    refused,
)
from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.kickoff.wording import shown
from airflow_provider_tallyfy.bulk.files import items_of_json_lines, rows_of_csv


def read_run_ids(given: Any) -> list[str]:
    """
    Read the ids of runs, each once, in order.

    :param given: ids, dicts with an ``id``, or both; one dict with an ``id``; text with a list in it, or with ids
        between commas, spaces or lines; or ``{"path": ..., "state": ...}``, which stands for the ids in a file of JSON
        lines, as bulk operators and ``TallyfyListRunsOperator`` hand it on (only lines in ``state``, one or several).
    :raises TallyfyValidationError: naming every id that is not usable, or the line that cannot be read.
    """
    return checked_ids(_listed(given))


def read_rows(given: Any) -> list[dict[str, Any]]:
    """
    Read rows of values by column.

    :param given: dicts, text with a list of them in it, or the path of a CSV file with a header line (``.csv``) or of a
        file of JSON lines, where blank lines count for nothing.
    :raises TallyfyValidationError: naming every row that is not one, or the line that cannot be read.
    """
    if isinstance(given, str) and is_rendered_for_nothing(given):
        raise _refused_rows(f"it is {given.strip()!r}: {RENDERED_FOR_NOTHING}")
    if path := file_of_rows(given):
        given = _rows_of_file(path)
    elif isinstance(given, str):
        given = _list_in(given, "rows")
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise _refused_rows(f"expected rows or the path of a file, got {type(given).__name__}")
    rows = list(given)
    problems = [f"row {number} is no object" for number, row in enumerate(rows, 1) if not isinstance(row, Mapping)]
    problems += [
        f"row {number} has more cells than the header"
        for number, row in enumerate(rows, 1)
        if isinstance(row, Mapping) and None in row
    ]
    if problems:
        raise refused("rows", problems, "Nothing was launched.")
    return [{str(name): value for name, value in row.items()} for row in rows]


def file_of_ids(given: Any) -> str | None:
    """
    Name the file that stands for ids, if one does.

    :param given: what :func:`read_run_ids` is given.
    """
    path = given.get("path") if isinstance(given, Mapping) else None
    return path if isinstance(path, str) else None


def file_of_rows(given: Any) -> str | None:
    """
    Name the file that rows are read from, if they are.

    :param given: what :func:`read_rows` is given.
    """
    return given if isinstance(given, str) and not _is_list(given) else None


def _is_list(text: str) -> bool:
    return text.strip().startswith("[")


def _listed(given: Any) -> Iterable[Any]:
    if isinstance(given, str):
        return _ids_of_text(given)
    if path := file_of_ids(given):
        return _ids_of_file(path, given.get("state"))
    if isinstance(given, Mapping) and "id" in given:
        return [given]
    if isinstance(given, Iterable) and not isinstance(given, Mapping | bytes):
        return given
    raise _refused_ids(f"expected ids, got {type(given).__name__}")


def _ids_of_file(path: str, state: str | Sequence[str] | None) -> Iterator[Any]:
    states = [state] if isinstance(state, str) else state
    for item in items_of_json_lines(path, _refused_ids):
        if states is None:
            yield item
        elif not isinstance(item, Mapping):
            raise _refused_ids(f"{path} has lines without a state, as {shown(item)}")
        elif item.get("state") in states:
            yield item


def _ids_of_text(text: str) -> Iterable[Any]:
    if not text.strip() or is_rendered_for_nothing(text):
        raise _refused_ids(f"it is {text!r}: {RENDERED_FOR_NOTHING}")
    if _is_list(text):
        return _list_in(text, "run_ids")
    return [word for word in re.split(r"[\s,;]+", text) if word]


def _rows_of_file(path: str) -> Iterable[Any]:
    read = rows_of_csv if path.lower().endswith(".csv") else items_of_json_lines
    return read(path, _refused_rows)


def _list_in(text: str, name: str) -> list[Any]:
    items = list_in_text(text)
    if items is None:
        raise refused(name, [f"{text[:80]!r} is not a list"], "Nothing was sent.")
    return items


def _refused_ids(problem: str) -> TallyfyValidationError:
    return refused("run_ids", [problem], "Nothing was sent.")


def _refused_rows(problem: str) -> TallyfyValidationError:
    return refused("rows", [problem], "Nothing was launched.")
