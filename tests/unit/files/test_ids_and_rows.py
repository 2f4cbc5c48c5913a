from __future__ import annotations

import json
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.files.ids_and_rows import files_of_ids, read_rows, read_run_ids


@pytest.mark.parametrize(
    "given",
    [
        ["a1", "b2"],
        ("a1", "b2"),
        [{"id": "a1", "name": "A"}, {"id": "b2"}],
        ["a1", {"id": "b2"}],
        iter(["a1", "b2"]),
        ["a1", "b2", "a1"],
        "a1,b2",
        "a1, b2",
        "a1\nb2\n",
        "a1;b2",
        '["a1", "b2"]',
        "['a1', 'b2']",
        '[{"id": "a1"}, {"id": "b2"}]',
    ],
)
def test_ids_are_read_from_many_shapes(given):
    assert read_run_ids(given) == ["a1", "b2"]


@pytest.mark.parametrize("given", [[], (), "[]", " [] "], ids=repr)
def test_an_empty_list_of_ids_is_valid(given):
    assert read_run_ids(given) == []


def test_numbers_that_native_rendering_makes_of_ids_are_ids():
    assert read_run_ids([123, "b2"]) == ["123", "b2"]


def test_every_invalid_id_is_named():
    with pytest.raises(TallyfyValidationError) as error:
        read_run_ids(["good", "", None, "../etc", {"name": "no id"}, "a b"])

    for number in (2, 3, 4, 5, 6):
        assert f"run_ids[{number}]" in str(error.value)
    assert "run_ids[1]" not in str(error.value)
    assert "Nothing was sent" in str(error.value)


@pytest.mark.parametrize(
    "given", [True, b"a", {"ids": ["a"]}, {"counts": {}, "changed": ["a"]}, {"path": ["a"]}, "[broken"], ids=repr
)
def test_an_invalid_list_of_ids_or_objects_is_refused(given):
    with pytest.raises(TallyfyValidationError, match="run_ids"):
        read_run_ids(given)


def test_a_reference_stands_for_the_ids_in_a_file(tmp_path):
    lines = [{"id": "a1", "state": "changed"}, {"id": "b2", "state": "failed"}, {"id": "c3", "state": "changed"}]
    path = tmp_path / "report.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert read_run_ids({"path": str(path), "count": 3}) == ["a1", "b2", "c3"]
    assert read_run_ids({"path": str(path), "state": "changed"}) == ["a1", "c3"]


def test_blank_lines_in_a_file_of_ids_are_skipped(tmp_path):
    path = tmp_path / "report.jsonl"
    path.write_text('{"id": "a1"}\n\n{"id": "b2"}\n \n')

    assert read_run_ids({"path": str(path)}) == ["a1", "b2"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"id": "a1", "state": "changed"}\n\n{"id": "b2", "sta', r"line 3 of .*report\.jsonl is not JSON: .*b2"),
        (b'{"id": "a1", "state": "changed"}\n{"id": "\xfc"}\n', r"line 2 of .*report\.jsonl is not UTF-8"),
        (b'{"id": "a1", "state": "changed"}\n"b2"\n', r"report\.jsonl has lines without a state, as 'b2'"),
    ],
    ids=["half a line", "another encoding", "no object"],
)
def test_a_line_of_a_file_of_ids_that_cannot_be_read_is_named(tmp_path, content, problem):
    path = tmp_path / "report.jsonl"
    path.write_bytes(content)

    with pytest.raises(TallyfyValidationError, match=problem) as error:
        read_run_ids({"path": str(path), "state": "changed"})

    assert "Nothing was sent" in str(error.value)


def test_rows_are_read_from_csv_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('\ufeffCompany,Notes\nACME,"two\nlines"\nGlobex,\n', encoding="utf-8")

    assert read_rows(str(path)) == [{"Company": "ACME", "Notes": "two\nlines"}, {"Company": "Globex", "Notes": ""}]


def test_rows_are_read_from_json_lines(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"Company": "ACME", "Tags": ["a"]}\n\n{"Company": "Globex"}\n')

    assert read_rows(str(path)) == [{"Company": "ACME", "Tags": ["a"]}, {"Company": "Globex"}]


@pytest.mark.parametrize("text", ['[{"Company": "ACME"}]', "[{'Company': 'ACME'}]"])
def test_rows_are_read_from_what_a_template_made_of_them(text):
    assert read_rows(text) == [{"Company": "ACME"}]


def test_a_line_that_is_not_json_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"Company": "ACME"}\n{oops\n')

    with pytest.raises(TallyfyValidationError, match="line 2"):
        read_rows(str(path))


def test_a_csv_row_with_too_many_cells_is_named(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("Company\nACME\nGlobex,stray\n")

    with pytest.raises(TallyfyValidationError, match="row 2 has more cells"):
        read_rows(str(path))


def test_rows_without_any_text_are_skipped(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("\nCompany,Plan\n,\nACME,Trial\n\n , \n,,,\nGlobex\n")

    assert read_rows(str(path)) == [{"Company": "ACME", "Plan": "Trial"}, {"Company": "Globex"}]


def test_a_header_that_names_columns_twice_is_refused(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("Company,Plan,Notes,Plan,Company\nACME,Trial,x,Paid,Globex\n")

    with pytest.raises(TallyfyValidationError, match=r"rows\.csv names columns more than once: 'Company', 'Plan'$"):
        read_rows(str(path))


@pytest.mark.parametrize(
    ("header", "columns"), [("Company,", "2"), ("Company, ,", "2, 3"), (",Company", "1"), ('Company,"",Plan', "2")]
)
def test_a_header_that_does_not_name_a_column_is_refused(tmp_path, header, columns):
    """Spreadsheets write such a comma for an emptied column. A column with values and no name is ambiguous."""
    path = tmp_path / "rows.csv"
    path.write_text(f"{header}\nA,B\n")

    with pytest.raises(TallyfyValidationError, match=rf"rows\.csv has no name for column {columns};"):
        read_rows(str(path))


def test_a_file_of_ids_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TallyfyValidationError, match=r"there is no file .*report\.jsonl"):
        read_run_ids({"path": str(tmp_path / "report.jsonl")})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('Company\nACME\n"Globex\nInitech\nHooli\n', "begins in line 3 .* unexpected end of data"),
        ('Company\nACME\n"Globex\n"Initech"\nHooli\n', "begins in line 3 .* expected after"),
        ('Company\n"two\nlines"\n' + "x" * 200_000 + "\n", "begins in line 4 .* larger than field limit"),
    ],
    ids=["quote that swallows the rest", "quote that meets another", "cell without an end"],
)
def test_a_csv_row_that_cannot_be_read_is_named_by_its_line(tmp_path, text, problem):
    path = tmp_path / "rows.csv"
    path.write_text(text)

    with pytest.raises(TallyfyValidationError, match=problem):
        read_rows(str(path))


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_a_line_that_is_not_utf_8_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes('"Company"\n"ACME"\n"Müller"\n"Globex"\n'.encode("latin-1"))

    with pytest.raises(TallyfyValidationError, match=r"line 3 of .*rows\..* is not UTF-8") as error:
        read_rows(str(path))

    assert "Nothing was launched" in str(error.value)


def test_rows_that_are_not_objects_are_named():
    with pytest.raises(TallyfyValidationError, match="row 2 is not an object"):
        read_rows([{"Company": "ACME"}, "Globex"])


@pytest.mark.parametrize("line", ["[" * 100_000, '{"a":' * 990 + "1" + "}" * 990, "1" * 5_000 + "e", '"\\ud83d'])
@pytest.mark.parametrize("read", [read_run_ids, read_rows])
def test_a_line_beyond_the_limits_of_the_parser_is_named(tmp_path, read, line):
    path = tmp_path / "input.jsonl"
    path.write_text(f'"a1"\n{line}\n')
    with pytest.raises(TallyfyValidationError, match=r"line 2 of .* is not JSON"):
        list(read({"path": str(path), "count": 2} if read is read_run_ids else str(path)))


@pytest.mark.parametrize("name", ["folder", "file/input.jsonl"])
def test_a_path_that_is_not_a_file_is_named(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(TallyfyValidationError, match=r"cannot be read: .*directory"):
        list(read_rows(str(tmp_path / name)))


@pytest.mark.parametrize(
    "make", [str, Path, lambda path: ObjectStoragePath(f"file://{path}")], ids=["text", "Path", "URL"]
)
def test_a_file_of_ids_or_rows_may_be_given_as_a_path_object(tmp_path, make):
    ids, rows = tmp_path / "ids.jsonl", tmp_path / "rows.csv"
    ids.write_text('"a1"\n"b2"\n')
    rows.write_text("name\nx\n")
    reference = {"path": make(ids)}
    assert read_run_ids(reference) == ["a1", "b2"]
    assert files_of_ids([reference, "c3"]) == files_of_ids(reference) == [str(make(ids))]
    assert read_rows(make(rows)) == [{"name": "x"}]


def test_a_mapped_task_hands_on_ids_lists_and_references_in_one_list(tmp_path):
    path = tmp_path / "ids.jsonl"
    path.write_text('"d4"\n')
    given = [["a1", {"id": "b2"}], [], ("c3",), "['e5']", {"path": path}, "{'id': 'f6'}"]
    assert read_run_ids(iter(given)) == ["a1", "b2", "c3", "e5", "d4", "f6"]
