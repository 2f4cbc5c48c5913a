"""What a bulk task refuses before it sends a request."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_tallyfy.operators.bulk import (
    TallyfyArchiveRunsOperator,
    TallyfyDeleteRunsOperator,
    TallyfyLaunchRunsOperator,
)
from tests.unit.operators.refusing import refusal
from tests.unit.unreachable import ORGANIZATION_ID

pytestmark = pytest.mark.usefixtures("unreachable")


def launch(rows: Any, **arguments: Any) -> TallyfyLaunchRunsOperator:
    return TallyfyLaunchRunsOperator(task_id="launch", template_id="a" * 32, rows=rows, **arguments)


def delete(**arguments: Any) -> TallyfyDeleteRunsOperator:
    confirmed = {"max_runs": 2, "confirm": ORGANIZATION_ID}
    return TallyfyDeleteRunsOperator(task_id="delete", run_ids=["a" * 32], **confirmed, **arguments)


@pytest.mark.parametrize("max_failures", ["many", "-1", "5 percent", 1.5])
def test_an_invalid_threshold_is_refused(max_failures):
    refusal(TallyfyArchiveRunsOperator(task_id="archive", run_ids=[], max_failures=max_failures))


@pytest.mark.parametrize("rendered", [None, "", "None"])
def test_an_empty_folder_for_snapshots_is_refused(rendered):
    operator = delete(snapshot_dir="{{ params.folder }}")
    operator.snapshot_dir = rendered
    refusal(operator)


@pytest.mark.parametrize(
    "content", [b"Company,Company\nACME,Globex\n", b'Company\nACME\n"Globex\n', b"Company\nACME\nM\xfcller\n"]
)
def test_a_file_of_rows_that_is_ambiguous_or_broken_is_refused(tmp_path, content):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    assert str(path) in str(refusal(launch(str(path))))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("None", "a template rendered it for a missing value (did the upstream task push an XCom?)"),
        ("/no/such/rows.csv", "there is no file '/no/such/rows.csv'"),
        ("/no/such/rows.jsonl", "there is no file '/no/such/rows.jsonl'"),
        ("/", "the file '/' cannot be read: Is a directory"),
    ],
)
def test_rows_that_are_missing_are_refused(rows, problem):
    assert problem in str(refusal(launch(rows)))


def test_a_report_in_place_of_the_rows_is_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"Company": "ACME"}\n')
    refusal(launch(str(path), report_path=str(path)))
    assert path.read_text() == '{"Company": "ACME"}\n'


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("None", "rendered it for a missing value"),
        ("{oops", "is not an object"),
        ('["summary"]', "is not an object"),
        (["summary"], "is not an object"),
        (5, "is not an object"),
        ({5: "x"}, "names 5"),
        ({"checklist_id": "x"}, "checklist_id"),
    ],
    ids=str,
)
def test_an_invalid_body_is_refused(body, problem):
    error = refusal(launch([{"Company": "ACME"}], body=body))
    assert problem in str(error)
    assert error.fields.keys() == {"body"}
