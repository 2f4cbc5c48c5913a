"""An earlier file stays until the new one is complete, whatever ends the writing."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.compat import AIRFLOW_V_3_0_PLUS
from airflow_provider_tallyfy.files.snapshots import is_snapshot_of, write_snapshot
from airflow_provider_tallyfy.files.storage import (
    checked_path,
    checked_path_if_given,
    is_same_file,
    local_path,
    read_json,
    read_lines,
    write_json,
    write_lines,
)
from tests.full_disk import full_disk

LONG = ["x" * 1000] * 1000


def some(rows: list[str]) -> Iterator[str]:
    yield from rows


def broken_off() -> Iterator[str]:
    yield from LONG
    raise ConnectionError


#: Each function that writes a file, given a path and what to write.
WRITERS: dict[str, Callable[[str, list[str]], object]] = {
    "lines": lambda path, rows: write_lines(path, some(rows)),
    "document": write_json,
    "snapshot": write_snapshot,
}
every_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


@every_writer
@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_full_disk_leaves_the_earlier_file_and_nothing_else(tmp_path, write, prefix):
    path = tmp_path / "file"
    path.write_text("earlier")

    with full_disk(), pytest.raises(OSError, match="large"):
        write(f"{prefix}{path}", LONG)

    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]

    write(f"{prefix}{path}", LONG)

    assert path.stat().st_size > 1_000_000
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def object_store() -> str:
    """Return the URL of a folder in an object store of this process."""
    attach = import_module("airflow.sdk.io" if AIRFLOW_V_3_0_PLUS else "airflow.io.store").attach
    attach("memory", fs=MemoryFileSystem())
    return "memory://output"


@pytest.mark.parametrize("store", ["local", "object store"])
def test_an_error_in_the_middle_of_the_rows_leaves_the_earlier_file(tmp_path, object_store, store):
    path = f"{tmp_path if store == 'local' else object_store}/rows.jsonl"
    write_lines(path, ["earlier"])

    with pytest.raises(ConnectionError):
        write_lines(path, broken_off())

    assert list(read_lines(path)) == ['"earlier"\n']


def test_a_kill_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("earlier")
    program = (
        "import os, sys\n"
        "from airflow_provider_tallyfy.files.storage import write_lines\n"
        "def rows():\n"
        "    yield from ['x' * 1000] * 1000\n"
        "    os.kill(os.getpid(), 9)\n"
        "write_lines(sys.argv[1], rows())\n"
    )

    killed = subprocess.run([sys.executable, "-c", program, str(path)], check=False, capture_output=True)

    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "earlier"


@every_writer
def test_a_link_at_the_path_is_replaced_and_not_followed(tmp_path, write):
    victim, path = tmp_path / "victim", tmp_path / "file"
    victim.write_text("precious")
    path.symlink_to(victim)

    write(str(path), ["new"])

    assert victim.read_text() == "precious"
    assert not path.is_symlink()
    assert "new" in path.read_text()


@every_writer
def test_a_dangling_link_does_not_make_the_file_it_leads_to(tmp_path, write):
    path = tmp_path / "file"
    path.symlink_to(tmp_path / "elsewhere")

    write(str(path), ["new"])

    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o022, 0o000])
@pytest.mark.parametrize("earlier", [None, 0o644])
def test_only_its_user_reads_a_snapshot(tmp_path, umask, earlier):
    path = tmp_path / "run.json"
    if earlier is not None:
        path.touch(earlier)
    before = os.umask(umask)
    try:
        write_snapshot(str(path), {"run": {"id": "r"}})
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert is_snapshot_of("r", str(path))


@pytest.mark.parametrize(("earlier", "mode"), [(None, 0o640), (0o600, 0o600), (0o664, 0o664)])
def test_other_files_have_the_rights_of_the_earlier_file_or_those_of_new_ones(tmp_path, earlier, mode):
    path = tmp_path / "rows.jsonl"
    if earlier is not None:
        path.touch()
        path.chmod(earlier)
    before = os.umask(0o027)
    try:
        write_lines(str(path), ["row"])
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == mode


@every_writer
def test_a_path_that_is_not_a_file_is_refused_and_stays(tmp_path, write):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    link = tmp_path / "link"
    link.symlink_to(fifo)

    for path in (fifo, link, tmp_path):
        with pytest.raises(TallyfyValidationError, match="is a folder, a device or a pipe"):
            write(str(path), ["row"])

    assert fifo.is_fifo()


def test_local_files_load_nothing_of_airflow(tmp_path, monkeypatch):
    """Airflow 2.11.0 and 3.0 cannot open any local path with a newer universal-pathlib."""

    def no_path(*arguments: object) -> None:
        raise TypeError("missing argument: protocol")

    monkeypatch.setattr("airflow.providers.common.compat.sdk.ObjectStoragePath", no_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    for path in (str(tmp_path / "a.json"), f"file://{tmp_path}/a.json", "~/a.json", "a.json", "FILE://~/a.json"):
        write_json(path, {"written": path})

        assert json.loads(Path(tmp_path / "a.json").read_text()) == read_json(path) == {"written": path}
        assert is_same_file(path, str(tmp_path / "a.json"))
    assert write_lines("folder/b.jsonl", [1, 2]) == 2
    assert list(read_lines("folder/b.jsonl")) == ["1\n", "2\n"]


@pytest.mark.parametrize(
    ("path", "other", "same"),
    [
        ("memory://folder/report.jsonl", "memory://folder/report.jsonl", True),
        ("memory://folder/report.jsonl", "memory://folder/other.jsonl", False),
        ("memory://folder/report.jsonl", "/folder/report.jsonl", False),
    ],
)
def test_files_in_object_stores_differ_by_store_and_path(path, other, same):
    assert is_same_file(path, other) is same


def test_local_files_are_compared_by_file_and_not_by_path(tmp_path):
    file, other, link = tmp_path / "file", tmp_path / "other", tmp_path / "link"
    file.touch()
    other.touch()
    link.hardlink_to(file)

    assert is_same_file(str(file), f"file://{link}")
    assert not is_same_file(str(file), str(other))
    assert not is_same_file(str(file), str(tmp_path / "missing"))


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"run": ', b"\xff\xfe", b"", b"9" * 5_000])
def test_another_file_is_not_mistaken_for_a_snapshot_of_a_run(tmp_path, content):
    path = tmp_path / "snapshot.json"
    path.write_bytes(content)
    assert read_json(str(path)) in (None, "")
    assert not is_snapshot_of("a1", str(path))


def test_a_path_object_is_read_as_text(tmp_path):
    assert checked_path(tmp_path, "output_path") == str(tmp_path)
    assert checked_path_if_given(None, "output_path") is checked_path_if_given("", "output_path") is None
    stored = checked_path(ObjectStoragePath("file:///data/x.jsonl", conn_id="store"), "output_path")
    assert (type(stored), local_path(stored)) == (str, Path("/data/x.jsonl"))
    stored = checked_path(ObjectStoragePath("memory://bucket/x.jsonl", conn_id="store"), "output_path")
    assert (type(stored), stored.startswith("memory://store@")) == (str, True)


@pytest.mark.parametrize("wrong", ["None", " ", Path("/data/{{ ds }}/x.jsonl")], ids=repr)
def test_a_path_that_cannot_lead_to_a_file_is_refused_by_name(wrong):
    with pytest.raises(TallyfyValidationError, match=r"^output_path"):
        checked_path(wrong, "output_path")
