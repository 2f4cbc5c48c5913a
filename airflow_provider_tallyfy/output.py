"""Files that tasks write and read, anywhere that Airflow's object storage reaches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast

from airflow.providers.common.compat.sdk import ObjectStoragePath


def write_lines(path: str, rows: Iterable[Any]) -> int:
    """
    Write rows as JSON lines, as they come.

    :param path: local path, or URL of an object store.
    :param rows: what to write.
    :return: how many rows there were.
    """
    count = 0
    with _target(path).open("w") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
            count += 1
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


def read_lines(path: str) -> Iterator[str]:
    """
    Read a text file line by line, without the byte order mark that spreadsheets put in front.

    :param path: local path, or URL of an object store.
    :raises FileNotFoundError: if there is none.
    """
    with ObjectStoragePath(path).open("r", encoding="utf-8-sig", newline="") as file:
        yield from file


def open_for_writing(path: str) -> TextIO:
    """
    Open a file, which takes the place of one that is there.

    :param path: local path, or URL of an object store.
    """
    return cast("TextIO", _target(path).open("w"))


def _target(path: str) -> ObjectStoragePath:
    target = ObjectStoragePath(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
