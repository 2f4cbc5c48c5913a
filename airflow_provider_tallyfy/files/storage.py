"""Files anywhere that Airflow's object storage reaches, and XComs of limited size."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO
from uuid import uuid4

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.checks import checked_count, checked_text
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.parsing import loads
from airflow_provider_tallyfy.defaults import MAX_XCOM_BYTES

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LOCAL_URL = re.compile(r"(file|local)://([^/@]*@)?", re.IGNORECASE)  # Airflow writes its connection before the @


def checked_xcom_bytes(value: object) -> int:
    """Check how many bytes a result may take as XCom; an empty value gives the default."""
    return checked_count(value, "max_xcom_bytes") or MAX_XCOM_BYTES


def is_path(value: object) -> bool:
    """Whether a value is a path object, of ``pathlib`` or Airflow's ``ObjectStoragePath``."""
    return isinstance(value, os.PathLike) or hasattr(value, "protocol")  # Airflow 3's is not an ``os.PathLike``


def checked_path(value: object, name: str) -> str:
    """Read a path, given as text or as a path object, as text; refuse one that is empty or rendered for nothing."""
    if not is_path(value):
        return checked_text(value, name)
    text = str(value) if hasattr(value, "protocol") or not isinstance(value, os.PathLike) else os.fspath(value)
    if "{{" in str(text):
        problem = "is a path object with a template in it, but Airflow renders text only"
        raise invalid(name, value, problem, "Give it as text.")
    return checked_text(text, name)


def checked_path_if_given(value: object, name: str) -> str | None:
    """Read a path that may be missing."""
    return None if value is None or value == "" else checked_path(value, name)


def rows_for_xcom(rows: Iterable[Any], max_bytes: int, advice: str) -> list[Any]:
    """Collect rows for an XCom, and refuse them when they become too many, with advice what to do instead."""
    max_bytes = checked_xcom_bytes(max_bytes)
    collected: list[Any] = []
    size = len("[]")
    for row in rows:
        size += len(json.dumps(row)) + len(", ")
        if size > max_bytes:
            raise invalid(
                "max_xcom_bytes",
                max_bytes,
                f"is too little for this list: it holds the first {len(collected)}, and there are more",
                f"{advice} or set output_path to write it to a file.",
            )
        collected.append(row)
    return collected


def local_path(path: str) -> Path | None:
    """Give the path of a local file, also of a ``file://`` URL; ``None`` for one in an object store."""
    if _URL.match(path) and not _LOCAL_URL.match(path):
        return None
    return Path(os.path.expanduser(_LOCAL_URL.sub("", path, count=1)))


def file_name(path: str) -> str:
    """Give the last part of a path."""
    name: str = _path_object(path).name
    return name


class NewFile:
    """
    A text file that replaces the one at its path when it is complete.

    Until then the earlier file stays as it is: a local file is written beside its path and moved there, one in an
    object store is sent when it is complete. A symbolic link at the path is replaced, not followed.

    :param beside: name of a local file while it is written; by default a random one.
    :param private: whether only the user of this process may read a local file. By default its folder or the earlier
        file decides.
    """

    def __init__(self, path: str, *, beside: str | None = None, private: bool = False) -> None:
        self._path = path
        self._beside: Path | None = None
        if (target := local_path(path)) is not None:
            _check_is_file(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._beside = target.with_name(beside or f".{uuid4().hex}.tmp")
            self.file: TextIO = _open_new(self._beside, private=private)
            if not private and target.is_file() and not target.is_symlink():
                shutil.copymode(target, self._beside)
        else:
            self.file = TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115

    def put_in_place(self) -> None:
        """Complete the file and move it to its path."""
        with self.file:
            self.file.flush()
            if self._beside is not None:
                os.fsync(self.file.fileno())
            else:
                self.file.seek(0)
                with _path_object(self._path).open("w", encoding="utf-8") as stored:
                    shutil.copyfileobj(self.file, stored)
        if self._beside is not None:
            os.replace(self._beside, _path_object(self._path))

    def leave(self) -> None:
        """Close the file and leave it beside its path."""
        self.file.close()

    def discard(self) -> None:
        """Close the file and remove it."""
        try:
            self.file.close()
        finally:
            if self._beside is not None:
                self._beside.unlink(missing_ok=True)


@contextmanager
def replacing(path: str, *, private: bool = False) -> Iterator[TextIO]:
    """Write a file that replaces the one at its path when the block ends without an error."""
    new = NewFile(path, private=private)
    try:
        yield new.file
        new.put_in_place()
    except BaseException:
        new.discard()
        raise


def write_lines(path: str, rows: Iterable[Any]) -> int:
    """Write rows as JSON lines as they come, and count them; if they break off, the file stays as it was."""
    count = 0
    with replacing(path) as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
            count += 1
    return count


def write_table(path: str, rows: Iterable[Mapping[str, Any]]) -> int:
    """
    Write rows as JSON lines, or as CSV if the path ends so, and count them; if they break off, see :func:`write_lines`.

    The header of a CSV file has the columns of all rows, so that they are kept in a temporary file meanwhile. Lists and
    objects become JSON text.
    """
    if not path.lower().endswith(".csv"):
        return write_lines(path, rows)
    columns: dict[str, None] = {}
    count = 0
    with TemporaryFile("w+", encoding="utf-8") as kept, replacing(path) as file:
        for row in rows:
            columns |= dict.fromkeys(row)
            kept.write(json.dumps({name: _cell(value) for name, value in row.items()}) + "\n")
            count += 1
        kept.seek(0)
        writer = csv.DictWriter(file, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(json.loads, kept))
    return count


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def write_json(path: str, value: Any, *, private: bool = False) -> None:
    """Write one JSON document."""
    with replacing(path, private=private) as file:
        json.dump(value, file, indent=2)


def read_json(path: str) -> Any:
    """Read a JSON document; ``None`` if no readable one is there."""
    source = _path_object(path)
    try:
        return loads(source.read_text(encoding="utf-8")) if source.exists() else None
    except ValueError:
        return None


def read_lines(path: str) -> Iterator[str]:
    """Read a UTF-8 text file line by line, without the byte order mark that spreadsheets put in front."""
    with _path_object(path).open("r", encoding="utf-8-sig", newline="") as file:
        yield from iter(file.readline, "")  # what Airflow 2 wraps files in cannot be iterated over


def first_undecodable_line(path: str) -> int | None:
    """Find the line, counted from 1, at which a file is not UTF-8; decoding larger pieces does not show it."""
    with _path_object(path).open("rb") as file:
        for number, line in enumerate(iter(file.readline, b""), start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return None


def is_same_file(path: str, other: str) -> bool:
    """Tell whether two paths, however they are written, lead to the same file."""
    local, other_local = local_path(path), local_path(other)
    if local is not None and other_local is not None:
        return local.exists() and other_local.exists() and local.samefile(other_local)
    if local is not None or other_local is not None:
        return False
    one, two = _path_object(path), _path_object(other)
    return (one.protocol, one.path) == (two.protocol, two.path)


def files_beside(path: str, pattern: str) -> list[Path]:
    """Find files in the folder of a local file by a pattern of ``glob``; in an object store none are found."""
    target = local_path(path)
    return [] if target is None else list(target.parent.glob(pattern))


def _path_object(path: str) -> Any:
    """Give the path object of a file; a local one is of ``pathlib``."""
    local = local_path(path)
    if local is not None:
        return local
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return ObjectStoragePath(path)


def _check_is_file(target: Path) -> None:
    if target.exists() and not target.is_file():
        raise TallyfyValidationError(
            f"{target} is a folder, a device or a pipe, not a file.\nNothing was written.\nChoose another path."
        )


def _open_new(path: Path, *, private: bool) -> TextIO:
    """Open a new file, with the rights that it keeps."""
    mode = 0o600 if private else 0o666
    return open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode))
