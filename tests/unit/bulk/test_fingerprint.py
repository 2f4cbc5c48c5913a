from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.bulk.fingerprint import fingerprint

PRINT_ONE = """
from airflow_provider_tallyfy.bulk.fingerprint import fingerprint
print(fingerprint({"Plans": {"Trial", "Paid", "Gold", "Free"}, "Groups": [frozenset("abcdefgh"), {"x": {1, 2}}]}))
"""


def test_a_row_with_sets_has_the_same_key_in_every_process():
    """Python orders the texts of a set by hashes that differ between processes."""
    seen = {
        subprocess.run(
            [sys.executable, "-c", PRINT_ONE],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[-1]
        for seed in ("1", "2", "3")
    }

    assert len(seen) == 1


@pytest.mark.parametrize(
    ("row", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": {"x", "y"}}, {"a": frozenset(["y", "x"])}),
        ({"a": date(2026, 1, 31)}, {"a": "2026-01-31"}),
        ({"a": datetime(2026, 1, 31, tzinfo=UTC)}, {"a": "2026-01-31T00:00:00+00:00"}),
        ({"a": {1: "x"}}, {"a": {"1": "x"}}),
        ({"a": 1001}, {"a": 1001.0}),
        ({"a": [{"b": 7}, {2, 3}]}, {"a": [{"b": 7.0}, {2.0, 3.0}]}),
    ],
)
def test_the_key_of_a_row_depends_on_its_content_only(row, other):
    assert fingerprint(row) == fingerprint(other)


@pytest.mark.parametrize(
    "value",
    [2, None, "", "x", 1.5, {"x"}, {"x", "y"}, ["y", "x"], {"x": 1}, Decimal("1.50"), UUID(int=7), date(2026, 1, 31)],
)
def test_other_content_has_another_key(value):
    assert fingerprint({"a": value}) != fingerprint({"a": 1})


def test_the_key_of_a_row_is_the_same_as_in_earlier_versions():
    """Otherwise, runs launched by an earlier version would not be found again."""
    row = {"Company": "ACME", "order": 1001, "paid": True, "rate": 1.5, "sizes": {1, 2}, "note": None, "key": 2**60}

    assert fingerprint(row) == "a8ac6696428fa0620b0fad6f8e448d58771022fe424c7c67a5faef6a0fbeec7b"


@pytest.mark.parametrize("value", [object(), b"bytes", [{"deep": object()}]], ids=lambda value: type(value).__name__)
def test_what_may_look_different_in_another_process_is_refused_by_column(value):
    with pytest.raises(TallyfyValidationError, match=r"Notes=.* would not be recognized by a retry"):
        fingerprint({"Company": "ACME", "Notes": value})
