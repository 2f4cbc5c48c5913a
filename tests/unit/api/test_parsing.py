from __future__ import annotations

import json

import pytest

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Answer, Call
from airflow_provider_tallyfy.api.calls.pager import Pager
from airflow_provider_tallyfy.api.errors import TallyfyResponseError
from airflow_provider_tallyfy.api.models.envelope import Page
from airflow_provider_tallyfy.api.models.records import Activity, Task
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.api.models.template import normalized
from airflow_provider_tallyfy.api.parsing import MAX_DEPTH, loads, parsed
from airflow_provider_tallyfy.api.retry import Accept, Attempt, GiveUp, decide
from tests.unit.api.test_retry import attempt

RUN_ID = "0123456789abcdef0123456789abcdef"
ANYTHING = [
    OverflowError("too large"),
    RecursionError("deep"),
    KeyError("id"),
    AttributeError("get"),
    TypeError("no"),
    ValueError("bad"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
    ZeroDivisionError(),
]


def raising(error: Exception):
    def parse(_: object) -> None:
        raise error

    return parse


@pytest.mark.parametrize("defect", ANYTHING, ids=repr)
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_whatever_a_parser_raises_is_an_error_of_the_answer(defect, method):
    decision = decide(Call("do it", method, "/", parse=raising(defect)), Answer(200), attempt())
    assert isinstance(decision, GiveUp)
    assert type(decision.error) is TallyfyResponseError
    assert decision.error.may_be_applied is (method != "GET")


@pytest.mark.parametrize("defect", ANYTHING, ids=repr)
def test_whatever_an_item_of_a_list_raises_is_an_error_of_the_list(defect):
    pager = Pager(lambda number: Call("list", "GET", "/", parse=lambda _: None), raising(defect), id)
    with pytest.raises(TallyfyResponseError, match="item on page 1"):
        list(pager.accept(Page(({"id": "a"},), 1, 1)))


def search() -> Pager[Run]:
    def page_call(number: int) -> Call[Page]:
        return Call("list", "GET", "/", parse=lambda _: None)

    return Pager(page_call, Run.from_json, str, whole=False, skips_unreadable=True)


def test_an_unreadable_item_is_left_out_where_the_others_matter():
    pager = Pager(
        lambda number: Call("list", "GET", "/", parse=lambda _: None),
        Run.from_json,
        str,
        whole=False,
        skips_unreadable=True,
    )
    rows = ({"id": "a", "status": "active"}, {"id": "b"}, {"id": "c", "status": "active"})
    assert [run.id for run in pager.accept(Page(rows, 1, 1))] == ["a", "c"]
    pager.raise_if_hidden("a")
    with pytest.raises(TallyfyResponseError, match="has no status"):
        pager.raise_if_hidden("b")


def test_an_item_without_an_id_fails_the_search_for_a_run():
    pager = Pager(
        lambda number: Call("list", "GET", "/", parse=lambda _: None),
        Run.from_json,
        str,
        whole=False,
        skips_unreadable=True,
    )
    assert not list(pager.accept(Page(({"id": ["b"], "status": "active"},), 1, 1)))
    with pytest.raises(TallyfyResponseError, match="has no id"):
        pager.raise_if_hidden("a")


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"half \\ud83d"', "half \ufffd"),
        (b'{"\\udc00": ["\\udfff"]}', {"\ufffd": ["\ufffd"]}),
        (b'"\xed\xa0\x80"', "\ufffd"),
        (b"123456789012345678", 123456789012345678),
        (b"12345678901234567890", "12345678901234567890"),
        (b"1" + b"0" * 5000, "1" + "0" * 5000),
        (b"1.5", 1.5),
        (b"1e999", "1e999"),
        (b"NaN", "NaN"),
        (b"-Infinity", "-Infinity"),
    ],
)
def test_text_and_numbers_of_an_answer_become_json_that_can_be_stored(body, value):
    parsed_value = Answer(200, {}, body).json()
    assert parsed_value == value
    assert type(parsed_value) is type(value)
    json.dumps(parsed_value, ensure_ascii=False, allow_nan=False).encode()


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 990, 100_000])
@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_an_answer_nested_too_deeply_is_refused(depth, begin, end):
    body = begin * depth + b"1" + end * depth
    for read in (loads, lambda text: Answer(200, {}, text).json()):
        with pytest.raises(ValueError, match="nested too deeply"):
            read(body)
    assert loads(begin * MAX_DEPTH + b"1" + end * MAX_DEPTH)


@pytest.mark.parametrize("field", ["id", "status"])
@pytest.mark.parametrize("value", ["a\nb", "a\x1b[31m", "x" * 201, "", None, 5, ["a"], {"a": 1}], ids=repr)
def test_ids_and_statuses_are_one_printable_word(field, value):
    shown = {"id": "a", "status": "active"} | {field: value}
    for read in (Run.from_json, Task.from_json):
        with pytest.raises(ValueError, match=f"no {field}|no id or no status"):
            read(shown)


def test_fields_that_no_decision_needs_are_text_or_missing():
    task = Task.from_json({"id": "t", "status": "in-progress", "alias": {"a": 1}, "title": ["x"] * 9999})
    assert task.alias is None
    assert len(task.title) < 1_100
    entry = Activity.from_json(
        {"id": 1, "verb": "created", "actor": {"full_name": [1], "email": {}}, "auditable_id": {"a": 1}}
    )
    assert (entry.actor_name, entry.actor_email, entry.subject_id) == (None, None, None)


@pytest.mark.parametrize(
    "meta", [{"total": 10**400}, {"total_pages": "9" * 5000}, {"current_page": {}}, {"total": 1, "per_page": []}]
)
def test_impossible_counts_of_a_list_are_refused(meta):
    call = calls.list_tasks("org", RUN_ID, 1)
    decision = decide(call, Answer(200, {}, json.dumps({"data": [], "meta": {"pagination": meta}}).encode()), attempt())
    assert isinstance(decision, GiveUp)
    assert type(decision.error) is TallyfyResponseError


def test_a_name_of_any_length_is_compared_in_a_moment():
    label = "a\u0301\u0323" * 100_000
    assert normalized(label) == label
    assert normalized(" A\u0301  B ") == "\u00e1 b"


def test_the_result_of_a_parser_is_returned():
    assert parsed(len, "abc", TallyfyResponseError) == 3
    assert decide(Call("do it", "GET", "/", parse=lambda _: 5), Answer(200), attempt()) == Accept(5)
    assert isinstance(attempt(), Attempt)
