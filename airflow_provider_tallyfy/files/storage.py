"""What tasks hand on: XComs of a sane size, or files anywhere that Airflow's object storage reaches."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TextIO
from uuid import uuid4

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.checks import checked_count, checked_text
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.parsing import loads
from airflow_provider_tallyfy.defaults import MOST_XCOM_BYTES

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LOCAL_URL = re.compile(r"(file|local)://([^/@]*@)?", re.IGNORECASE)  # Airflow writes its connection before the @


def checked_xcom_bytes(value: object) -> int:
    """
    Check how much a result may take as XCom.

    :param value: what the user gave; nothing gives the default.
    :raises TallyfyValidationError: if it is not a whole number of at least 1.
    """
    return checked_count(value, "max_xcom_bytes") or MOST_XCOM_BYTES


def is_path(value: object) -> bool:
    """
    Whether a value is a path object, of ``pathlib`` or Airflow's ``ObjectStoragePath``.

    :param value: what the user gave.
    """
    return isinstance(value, os.PathLike) or hasattr(value, "protocol")  # Airflow 3's is no ``os.PathLike``


def checked_path(value: object, name: str) -> str:
    """
    Read a path as text, which every XCom and log line can hold.

    :param value: text, or a path object.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is empty or no path, or a template rendered it for a missing value.
    """
    if not is_path(value):
        return checked_text(value, name)
    text = str(value) if hasattr(value, "protocol") or not isinstance(value, os.PathLike) else os.fspath(value)
    if "{{" in str(text):
        problem = "is a path object with a template in it, but Airflow renders text only"
        raise invalid(name, value, problem, "Give it as text.")
    return checked_text(text, name)


def checked_path_if_given(value: object, name: str) -> str | None:
    """
    Read a path that may be missing.

    :param value: text, a path object, or nothing.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: as :func:`checked_path`.
    """
    return None if value is None or value == "" else checked_path(value, name)


def fitting(rows: Iterable[Any], most_bytes: int, advice: str) -> list[Any]:
    """
    Collect rows for an XCom, and stop at the one that makes them too many.

    :param rows: plain JSON types.
    :param most_bytes: how many bytes of JSON they may be.
    :param advice: what to do about too many, besides writing them to a file.
    :raises TallyfyValidationError: if they do not fit.
    """
    most_bytes = checked_xcom_bytes(most_bytes)
    collected: list[Any] = []
    size = len("[]")
    for row in rows:
        size += len(json.dumps(row)) + len(", ")
        if size > most_bytes:
            raise invalid(
                "max_xcom_bytes",
                most_bytes,
                f"is too little for this list: it holds the first {len(collected)}, and there are more",
                f"{advice} or set output_path to write it to a file.",
            )
        collected.append(row)
    return collected


def local_path(path: str) -> Path | None:
    """
    Tell local files, which need nothing but Python, from those in an object store.

    :param path: local path, or URL; those of ``file://`` are local, too.
    :return: ``None`` for the URL of an object store.
    """
    if _URL.match(path) and not _LOCAL_URL.match(path):
        return None
    return Path(os.path.expanduser(_LOCAL_URL.sub("", path, count=1)))


def file_name(path: str) -> str:
    """
    Give the last part of a path.

    :param path: local path, or URL of an object store.
    """
    name: str = _located(path).name
    return name


class NewFile:
    """
    A text file that takes the place of the one at its path when it is complete.

    Until then the earlier file stays as it is, whatever happens: a local one is written beside its path and moved
    there, one in an object store is sent when it is complete. A symbolic link at the path is replaced, not followed.

    :param path: local path, or URL of an object store.
    :param beside: name of the file, a new one, that a local one is while it is written; by default a random one.
    :param private: whether only the user of this process may read a local file; by default as its folder, or the
        earlier file, has it.
    :raises TallyfyValidationError: if a device, a pipe or a folder is there.
    :raises OSError: if the file cannot be written.
    """

    def __init__(self, path: str, *, beside: str | None = None, private: bool = False) -> None:
        self._path = path
        self._beside: Path | None = None
        if (target := local_path(path)) is not None:
            _refuse_what_is_no_file(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            self._beside = target.with_name(beside or f".{uuid4().hex}.tmp")
            self.file: TextIO = _opened(self._beside, private=private)
            if not private and target.is_file() and not target.is_symlink():
                shutil.copymode(target, self._beside)
        else:
            self.file = TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115

    def put_in_place(self) -> None:
        """Complete the file and give it its place."""
        with self.file:
            self.file.flush()
            if self._beside is not None:
                os.fsync(self.file.fileno())
            else:
                self.file.seek(0)
                with _located(self._path).open("w", encoding="utf-8") as stored:
                    shutil.copyfileobj(self.file, stored)
        if self._beside is not None:
            os.replace(self._beside, _located(self._path))

    def leave(self) -> None:
        """Close the file and leave what there is of it beside its path."""
        self.file.close()

    def discard(self) -> None:
        """Close the file and remove what there is of it."""
        try:
            self.file.close()
        finally:
            if self._beside is not None:
                self._beside.unlink(missing_ok=True)


@contextmanager
def replacing(path: str, *, private: bool = False) -> Iterator[TextIO]:
    """
    Write a file that takes the place of the one at a path when the block ends, unless it ends with an error.

    :param path: local path, or URL of an object store.
    :param private: whether only the user of this process may read a local file.
    """
    new = NewFile(path, private=private)
    try:
        yield new.file
        new.put_in_place()
    except BaseException:
        new.discard()
        raise


def write_lines(path: str, rows: Iterable[Any]) -> int:
    """
    Write rows as JSON lines, as they come; if they break off, the file is left as it was.

    :param path: local path, or URL of an object store.
    :param rows: what to write.
    :return: how many rows there were.
    """
    count = 0
    with replacing(path) as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
            count += 1
    return count


def write_json(path: str, value: Any, *, private: bool = False) -> None:
    """
    Write one JSON document.

    :param path: local path, or URL of an object store.
    :param value: what to write.
    :param private: whether only the user of this process may read a local file.
    """
    with replacing(path, private=private) as file:
        json.dump(value, file, indent=2)


def read_json(path: str) -> Any:
    """
    Read what :func:`write_json` wrote, or ``None`` if nothing readable is there.

    :param path: local path, or URL of an object store.
    """
    source = _located(path)
    try:
        return loads(source.read_text(encoding="utf-8")) if source.exists() else None
    except ValueError:
        return None


def read_lines(path: str) -> Iterator[str]:
    """
    Read a text file line by line, without the byte order mark that spreadsheets put in front.

    :param path: local path, or URL of an object store.
    :raises FileNotFoundError: if there is none.
    :raises UnicodeDecodeError: if it is not UTF-8, at the latest when the line comes that is not.
    """
    with _located(path).open("r", encoding="utf-8-sig", newline="") as file:
        yield from iter(file.readline, "")  # what Airflow 2 wraps files in cannot be iterated over


def first_undecodable_line(path: str) -> int | None:
    """
    Find the line, counted from 1, at which a file is no UTF-8 text; decoding it by larger pieces does not tell.

    :param path: local path, or URL of an object store.
    """
    with _located(path).open("rb") as file:
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
    local, other_local = local_path(path), local_path(other)
    if local is not None and other_local is not None:
        return local.exists() and other_local.exists() and local.samefile(other_local)
    if local is not None or other_local is not None:
        return False
    one, two = _located(path), _located(other)
    return (one.protocol, one.path) == (two.protocol, two.path)


def files_beside(path: str, pattern: str) -> list[Path]:
    """
    Find files in the folder of a local file.

    :param path: the file; beside one in an object store there are none.
    :param pattern: what ``glob`` understands.
    """
    target = local_path(path)
    return [] if target is None else list(target.parent.glob(pattern))


def _located(path: str) -> Any:
    """Give the path object of a file, which is one of ``pathlib`` if it is local."""
    local = local_path(path)
    if local is not None:
        return local
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return ObjectStoragePath(path)


def _refuse_what_is_no_file(target: Path) -> None:
    if target.exists() and not target.is_file():
        raise TallyfyValidationError(
            f"{target} is a folder, a device or a pipe, not a file.\nNothing was written. Choose another path."
        )


def _opened(path: Path, *, private: bool) -> TextIO:
    """Open a new file, with the rights that it keeps."""
    mode = 0o600 if private else 0o666
    return open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, mode))
