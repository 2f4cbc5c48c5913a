from __future__ import annotations

import pytest

from airflow_provider_tallyfy.output import is_same_file, read_json
from airflow_provider_tallyfy.snapshots import is_snapshot_of


@pytest.mark.parametrize(
    ("path", "other", "same"),
    [
        ("memory://folder/report.jsonl", "memory://folder/report.jsonl", True),
        ("memory://folder/report.jsonl", "memory://folder/other.jsonl", False),
        ("memory://folder/report.jsonl", "/folder/report.jsonl", False),
    ],
)
def test_files_in_object_stores_are_told_apart_by_store_and_path(path, other, same):
    assert is_same_file(path, other) is same


def test_local_files_are_told_apart_whatever_leads_to_them(tmp_path):
    file, other, link = tmp_path / "file", tmp_path / "other", tmp_path / "link"
    file.touch()
    other.touch()
    link.hardlink_to(file)

    assert is_same_file(str(file), f"file://{link}")
    assert not is_same_file(str(file), str(other))
    assert not is_same_file(str(file), str(tmp_path / "missing"))


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"run": ', b"\xff\xfe", b"", b"9" * 5_000])
def test_what_is_no_snapshot_is_none_of_a_run(tmp_path, content):
    path = tmp_path / "snapshot.json"
    path.write_bytes(content)
    assert read_json(str(path)) in (None, "")
    assert not is_snapshot_of("a1", str(path))
