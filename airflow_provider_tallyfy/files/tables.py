"""Tables in files. Errors name the file and the line."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.wording import enumerated, quoted_list
from airflow_provider_tallyfy.api.parsing import loads
from airflow_provider_tallyfy.api.text import short_repr
from airflow_provider_tallyfy.files.storage import first_undecodable_line, read_lines

#: Makes the error that says what is wrong with a file.
Refuse: TypeAlias = Callable[[str], TallyfyValidationError]


def items_of_json_lines(path: str, refuse: Refuse) -> Iterator[Any]:
    """Read a file with a JSON value in each line; blank lines are skipped."""
    for number, line in enumerate(_decoded_lines(path, refuse), start=1):
        if line.strip():
            try:
                yield loads(line)
            except ValueError:
                raise refuse(f"line {number} of {path} is not JSON: {short_repr(line.strip())}") from None


def rows_of_csv(path: str, refuse: Refuse) -> Iterator[dict[Any, Any]]:
    """
    Read a CSV file with a header; rows without any text are skipped.

    :return: cells by column; those beyond the header are under ``None``, as with ``csv.DictReader``.
    """
    records = _filled_records(path, refuse)
    header = next(records, [])
    if unnamed := [str(number) for number, name in enumerate(header, start=1) if not name.strip()]:
        raise refuse(f"the header of {path} has no name for column {enumerated(unnamed)}; name it there, or remove it")
    if double := [name for name, times in Counter(header).items() if times > 1]:
        raise refuse(f"the header of {path} names columns more than once: {quoted_list(double)}")
    for cells in records:
        surplus = {None: cells[len(header) :]} if len(cells) > len(header) else {}
        yield {**dict(zip(header, cells, strict=False)), **surplus}


def _filled_records(path: str, refuse: Refuse) -> Iterator[list[str]]:
    reader = csv.reader(_decoded_lines(path, refuse), strict=True)
    while True:
        first_line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problem = f"the row that begins in line {first_line} of {path} is not CSV: {error}"
            raise refuse(f"{problem} (is a quote in it not closed?)") from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield cells


def _decoded_lines(path: str, refuse: Refuse) -> Iterator[str]:
    try:
        yield from read_lines(path)
    except FileNotFoundError:
        raise refuse(f"there is no file {short_repr(path)}") from None
    except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise refuse(f"the file {short_repr(path)} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        problem = f"line {first_undecodable_line(path)} of {path} is not UTF-8"
        raise refuse(f"{problem}; save the file in this encoding") from None
