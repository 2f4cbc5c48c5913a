"""What tasks hand on: XComs of a sane size, or files anywhere that Airflow's object storage reaches."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.parsing import loads

#: What Airflow's database takes as one XCom on every backend, with some room.
MOST_XCOM_BYTES = 48 * 1024
_LOCAL = {"", "file", "local"}


def fitting(rows: Iterable[Any], most_bytes: int, advice: str) -> list[Any]:
    """
    Collect rows for an XCom, and stop at the one that makes them too many.

    :param rows: plain JSON types.
    :param most_bytes: how many bytes of JSON they may be.
    :param advice: what to do about too many, besides writing them to a file.
    :raises TallyfyValidationError: if they do not fit.
    """
    collected: list[Any] = []
    size = len("[]")
    for row in rows:
        size += len(json.dumps(row)) + len(", ")
        if size > most_bytes:
            raise TallyfyValidationError(
                f"The list is too long to hand on: max_xcom_bytes={most_bytes} holds the first {len(collected)}, and "
                f"there are more. {advice} or set output_path to write it to a file.",
                fields={"max_xcom_bytes": ["exceeded"]},
            )
        collected.append(row)
    return collected


def write_lines(path: str, rows: Iterable[Any]) -> int:
    """
    Write rows as JSON lines, as they come; if they break off, no file is left that would look complete.

    :param path: local path, or URL of an object store.
    :param rows: what to write.
    :return: how many rows there were.
    """
    count = 0
    target = _target(path)
    try:
        with target.open("w") as file:
            for row in rows:
                file.write(json.dumps(row) + "\n")
                count += 1
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return count


def write_json(path: str, value: Any) -> None:
    """
    Write one JSON document.

    :param path: local path, or URL of an object store.
    :param value: what to write.
    """
    text = json.dumps(value, indent=2)
    with _target(path).open("w") as file:
        file.write(text)


def read_json(path: str) -> Any:
    """
    Read what :func:`write_json` wrote, or ``None`` if nothing readable is there.

    :param path: local path, or URL of an object store.
    """
    source = ObjectStoragePath(path)
    try:
        return loads(source.read_text()) if source.exists() else None
    except ValueError:
        return None


def read_lines(path: str) -> Iterator[str]:
    """
    Read a text file line by line, without the byte order mark that spreadsheets put in front.

    :param path: local path, or URL of an object store.
    :raises FileNotFoundError: if there is none.
    :raises UnicodeDecodeError: if it is not UTF-8, at the latest when the line comes that is not.
    """
    with ObjectStoragePath(path).open("r", encoding="utf-8-sig", newline="") as file:
        yield from iter(file.readline, "")  # what Airflow 2 wraps files in cannot be iterated over


def first_undecodable_line(path: str) -> int | None:
    """
    Find the line, counted from 1, at which a file is no UTF-8 text; decoding it by larger pieces does not tell.

    :param path: local path, or URL of an object store.
    """
    with ObjectStoragePath(path).open("rb") as file:
        for number, line in enumerate(iter(file.readline, b""), start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return None


def is_same_file(path: str, other: str) -> bool:
    """
    Tell whether two paths lead to the same file, however they are written.

    :param path: local path, or URL of an object store.
    :param other: another, or the same.
    """
    one, two = ObjectStoragePath(path), ObjectStoragePath(other)
    if {one.protocol, two.protocol} <= _LOCAL:
        return one.exists() and two.exists() and os.path.samefile(one.path, two.path)
    return (one.protocol, one.path) == (two.protocol, two.path)


def open_for_writing(path: str) -> TextIO:
    """
    Open a file, which takes the place of one that is there.

    :param path: local path, or URL of an object store.
    """
    return cast("TextIO", _target(path).open("w"))


def _target(path: str) -> ObjectStoragePath:
    target = ObjectStoragePath(path)
    if target.protocol in _LOCAL:  # object stores have no folders to make
        target.parent.mkdir(parents=True, exist_ok=True)
    return target
