"""Files that tasks write, anywhere that Airflow's object storage reaches."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

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


def _target(path: str) -> ObjectStoragePath:
    target = ObjectStoragePath(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target
