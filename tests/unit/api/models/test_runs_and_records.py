from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.call import Answer
from airflow_provider_tallyfy.api.models.envelope import read_item, read_page, read_token
from airflow_provider_tallyfy.api.models.run import Run, format_time, parse_time, read_run, read_run_if_shown
from airflow_provider_tallyfy.api.outputs import run_result

RUN = {"id": "r1", "name": "Onboarding", "status": "active", "checklist_id": "t1"}


def answer(value: object) -> Answer:
    return Answer(200, body=json.dumps(value).encode())


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-01-15T10:00:00.000Z", datetime(2025, 1, 15, 10, tzinfo=UTC)),
        ("2025-01-15T10:00:00Z", datetime(2025, 1, 15, 10, tzinfo=UTC)),
        ("2025-01-15T12:00:00+02:00", datetime(2025, 1, 15, 10, tzinfo=UTC)),
        ("2025-01-15 10:00:00", datetime(2025, 1, 15, 10, tzinfo=UTC)),
        ("2025-01-15T10:00:00.123456Z", datetime(2025, 1, 15, 10, 0, 0, 123456, tzinfo=UTC)),
        (None, None),
        ("", None),
    ],
)
def test_timestamps_are_read_with_and_without_milliseconds(text, moment):
    assert parse_time(text) == moment


@pytest.mark.parametrize("text", ["soon", "0000-00-00 00:00:00", 1736935200, True, {}, "0001-01-01T00:00:00+23:59"])
def test_an_invalid_timestamp_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the parser says
        parse_time(text)


def test_a_moment_is_written_to_the_second_in_utc():
    assert format_time(datetime(2025, 1, 15, 10, 0, 0, 999, tzinfo=UTC)) == "2025-01-15T10:00:00Z"
    assert format_time(None) is None


def test_either_sign_of_an_archived_run_is_enough():
    assert Run.from_json(RUN | {"status": "archived"}).status == "archived"
    assert Run.from_json(RUN | {"archived_at": "2025-01-15T10:00:00Z"}).status == "archived"
    assert Run.from_json(RUN | {"archived_at": None}).status == "active"


def test_an_archived_run_that_was_finished_is_still_complete():
    finished = Run.from_json(RUN | {"archived_at": "2025-01-15T10:00:00Z", "completed_at": "2025-01-14T10:00:00Z"})
    kept_status = Run.from_json(RUN | {"archived_at": "2025-01-15T10:00:00Z", "status": "complete"})
    for run in (finished, kept_status):
        assert run.has_status("complete")
        assert run.has_status("archived")
        assert not run.has_status("active")


def test_byte_order_marks_of_auto_naming_are_left_out_of_the_name():
    assert Run.from_json(RUN | {"name": "Onboarding\ufeff - \ufeffACME"}).name == "Onboarding - ACME"


@pytest.mark.parametrize(
    ("progress", "percent"),
    [
        ({"complete": 5, "total": 10, "percent": 50}, 50),
        (75, 75),
        (33.3, 33),
        ({}, None),
        ([], None),
        (None, None),
        ("75", None),
        (True, None),
        (float("nan"), None),
        ({"percent": float("inf")}, None),
        ({"percent": {}}, None),
    ],
)
def test_progress_is_a_number_an_object_or_missing(progress, percent):
    assert Run.from_json(RUN | {"progress": progress}).progress.percent == percent


NEXT = {"id": "k1", "title": "Legal review", "deadline": "2025-01-15T10:00:00.000Z"}


@pytest.mark.parametrize(
    "upcoming",
    [NEXT, {"data": NEXT}, [NEXT], {"data": [NEXT]}, {"data": [NEXT, {"id": "k2", "title": "File"}]}],
    ids=["object", "object in data", "list", "list in data", "the first of a list"],
)
def test_the_next_task_is_an_object_or_the_first_of_a_list(upcoming):
    progress = Run.from_json(RUN | {"progress": {"complete": 7, "total": 12}, "next_task": upcoming}).progress
    assert str(progress) == "7 of 12 tasks, next: Legal review, due 2025-01-15T10:00:00Z"


@pytest.mark.parametrize("upcoming", [None, "", [], {}, {"data": []}, {"data": None}, [5], {"data": {"title": ["x"]}}])
def test_the_progress_is_shown_without_a_next_task(upcoming):
    progress = Run.from_json(RUN | {"progress": {"complete": 7, "total": 12}, "next_task": upcoming}).progress
    assert str(progress) == "7 of 12 tasks"


def test_a_description_is_small_and_json():
    run = Run.from_json(RUN | {"completed_at": "2025-01-15T10:00:00.000Z", "prerun": {"f": "secret form data"}})
    assert json.loads(json.dumps(run.describe("https://web/r1", changed=True))) == {
        "id": "r1",
        "name": "Onboarding",
        "status": "active",
        "archived_at": None,
        "completed_at": "2025-01-15T10:00:00Z",
        "url": "https://web/r1",
        "changed": True,
    }


def test_the_repr_of_a_run_holds_no_form_data():
    assert "hunter2" not in repr(Run.from_json(RUN | {"prerun": {"f": "hunter2"}}))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (None, "expected a run, got nothing"),
        ([], "expected a run, got a list"),
        ("r1", "expected a run, got text"),
        ({"status": "active"}, "has no id"),
        ({"id": "", "status": "active"}, "has no id"),
        ({"id": 5, "status": "active"}, "has no id"),
        ({"id": "***g==", "status": "active"}, "has no id"),  # a secret, which was masked
        ({"id": "r1"}, "has no status"),
        ({"id": "r1", "status": None}, "has no status"),
        ({"id": "r1", "status": ["active"]}, "has no status"),
        (RUN | {"archived_at": 5}, "expected a timestamp, got a number"),
    ],
)
def test_an_invalid_run_is_refused_with_what_is_wrong(data, problem):
    with pytest.raises(ValueError, match=problem):
        Run.from_json(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ANY = settings(suppress_health_check=[HealthCheck.too_slow])
FIELDS = ["id", "status", "name", "checklist_id", "archived_at", "completed_at", "created_at", "progress", "next_task"]


@ANY
@given(st.dictionaries(st.sampled_from(FIELDS), JSON), st.booleans())
def test_a_run_of_any_json_is_read_or_refused_and_then_described(data, plausible):
    try:
        run = Run.from_json(RUN | data if plausible else data)
    except ValueError:
        return
    assert json.dumps(run_result(run, "url"))
    assert isinstance(run.has_status("complete"), bool)
    assert hash(run) is not None


@ANY
@given(JSON, JSON, JSON)
def test_a_page_of_any_json_is_read_or_refused(rows, current, total):
    for envelope in ({"data": rows, "meta": {"pagination": {"current_page": current, "total_pages": total}}}, rows):
        try:
            page = read_page(answer(envelope))
        except ValueError:
            continue
        assert isinstance(page.number, int)
        assert isinstance(page.total_pages, int)


NO_PAGINATION = [{}, {"meta": None}, {"meta": []}, {"meta": {"pagination": None}}]


@pytest.mark.parametrize("meta", NO_PAGINATION)
def test_a_list_without_pagination_ends_with_a_page_that_is_not_full(meta):
    page = read_page(answer({"data": [RUN], **meta}))
    assert (page.number, page.total_pages, page.total, page.rows) == (1, 1, None, (RUN,))
    page = read_page(answer({"data": [], **meta}), asked=3)
    assert (page.number, page.total_pages) == (3, 3)


@pytest.mark.parametrize("meta", NO_PAGINATION)
def test_a_list_without_pagination_may_go_on_after_a_full_page(meta):
    page = read_page(answer({"data": [RUN] * 100, **meta}), asked=2)
    assert (page.number, page.total_pages) == (2, 3)
    page = read_page(answer({"data": [RUN] * 101, **meta}))
    assert (page.number, page.total_pages) == (1, 1), "no page holds more than 100, so this list has none"


@pytest.mark.parametrize(
    ("pagination", "total_pages"),
    [
        ({"total": 250, "per_page": 100}, 3),
        ({"total": 200, "per_page": "100"}, 2),
        ({"total": 25, "per_page": 10}, 3),
        ({"total": 250}, 3),
        ({"total": 250, "per_page": 0}, 3),
        ({"total": 0, "per_page": 100}, 1),
        ({"total": 250, "per_page": 100, "total_pages": 1}, 1),
    ],
    ids=str,
)
def test_pages_that_are_not_counted_follow_from_how_many_rows_there_are(pagination, total_pages):
    page = read_page(answer({"data": [RUN], "meta": {"pagination": {"current_page": 1, **pagination}}}))
    assert (page.total_pages, page.total) == (total_pages, pagination["total"])


def test_page_numbers_may_be_text():
    page = read_page(answer({"data": [], "meta": {"pagination": {"current_page": "2", "total_pages": "3"}}}))
    assert (page.number, page.total_pages) == (2, 3)


@pytest.mark.parametrize("value", [None, "two", 1.5, float("inf"), [], True])
def test_invalid_pagination_is_refused_by_name(value):
    with pytest.raises(ValueError, match='"total_pages" of the list'):
        read_page(answer({"data": [], "meta": {"pagination": {"total_pages": value}}}))
    with pytest.raises(ValueError, match='"total" of the list'):
        read_page(answer({"data": [], "meta": {"pagination": {"total": value}}}))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"<!DOCTYPE html><html>", "got an HTML page"),
        (b"", "got an empty body"),
        (b"  \n", "got an empty body"),
        (b"Service Unavailable", "got text that is not JSON"),
        (b'{"data": null}', 'expected an object in "data", got nothing'),
        (b"{}", 'expected an object in "data", got nothing'),
        (b'[{"id": "r1"}]', "expected an object, got a list"),
        (b'{"data": []}', 'expected an object in "data", got a list'),
        (b'{"data": "r1"}', 'expected an object in "data", got text'),
        (b"null", "expected an object, got nothing"),
        (b"5", "expected an object, got a number"),
    ],
)
def test_an_answer_without_an_object_is_refused_with_what_it_is(body, problem):
    for read in (read_item, read_run):
        with pytest.raises(ValueError, match=problem):
            read(Answer(200, body=body))


@pytest.mark.parametrize("rows", [None, {}, "x", [None], [[]], [RUN, 5]])
def test_a_list_of_anything_but_objects_is_refused(rows):
    with pytest.raises(ValueError, match='expected a list of objects in "data"'):
        read_page(answer({"data": rows}))


def test_a_write_may_answer_with_nothing():
    assert read_run_if_shown(Answer(204)) is None
    assert read_run_if_shown(Answer(200, body=b" \n")) is None
    shown = read_run_if_shown(answer({"data": RUN}))
    assert shown is not None
    assert shown.id == "r1"


def test_a_token_is_read_with_and_without_an_envelope():
    assert read_token(answer({"access_token": "abc", "expires_in": 1})) == "abc"
    assert read_token(answer({"data": {"access_token": "abc"}})) == "abc"


@pytest.mark.parametrize("token", [None, "", 5, "two words", "line\nbreak", "é", ["abc"]])
def test_a_token_that_a_header_cannot_carry_is_invalid_and_not_quoted(token):
    with pytest.raises(ValueError, match="no access_token") as refusal:
        read_token(answer({"access_token": token}))
    assert str(token) not in str(refusal.value) or token in (None, "")
