from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError, TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.checks import (
    checked_flag,
    checked_id,
    checked_status,
    checked_text,
    checked_time,
    moment_before,
    plain_json,
    required_organization,
)

UNUSABLE_IDS = {
    None: "is missing",
    "": "is empty (did",
    "   ": "is empty (did",
    "\n": "is empty (did",
    "None": "is empty: a template rendered it for a missing value",
    "null": "is empty: a template rendered it for a missing value",
    "a b": "white space",
    " a": "white space",
    "a\n": "white space",
    "a\tb": "white space",
    "a\x00b": "control characters",
    "a\u200bb": "control characters",
    "\ud800": "control characters",
    "a/b": "a path",
    "a\\b": "a path",
    "..": "a path",
    ".": "a path",
    "a" * 256: "longer than 255",
    True: "is a bool, not text",
    1.5: "is a float, not text",
    b"abc": "is a bytes, not text",
    ("a",): "is a tuple, not text",
}


@pytest.mark.parametrize("value", UNUSABLE_IDS)
def test_an_invalid_id_is_refused_with_its_name_and_the_problem(value):
    with pytest.raises(TallyfyValidationError, match=r"^template_id=") as refusal:
        checked_id(value, "template_id")
    assert UNUSABLE_IDS[value] in str(refusal.value)
    assert list(refusal.value.fields) == ["template_id"]
    assert len(str(refusal.value)) < 600


@pytest.mark.parametrize("value", ["0123456789abcdef0123456789abcdef", "a", "a" * 255, "...", "a-b_c.d", "é", 42])
def test_a_valid_id_is_text(value):
    assert checked_id(value) == str(value)


@pytest.mark.parametrize("status", ["completed", "Complete", "", "in-progress", None, 1])
def test_a_misspelt_status_is_refused_naming_the_valid_ones(status):
    with pytest.raises(TallyfyValidationError, match="active, complete, problem, issue, archived"):
        checked_status(status, "target_status")


@pytest.mark.parametrize("missing", [None, ""])
def test_without_an_organization_the_error_says_where_to_put_it(missing):
    with pytest.raises(TallyfyConfigurationError, match="organization_id into the connection's extra"):
        required_organization(missing)


def test_an_organization_id_is_checked_like_any_other():
    with pytest.raises(TallyfyValidationError, match=r"^organization_id"):
        required_organization("a/b")


@pytest.mark.parametrize(("value", "flag"), [(True, True), ("true", True), (" False ", False), (False, False)])
def test_a_switch_may_come_out_of_a_template(value, flag):
    assert checked_flag(value, "dry_run") is flag


@pytest.mark.parametrize("value", ["", "yes please", None, 2])
def test_other_values_are_no_switch(value):
    with pytest.raises(TallyfyValidationError, match=r"^dry_run="):
        checked_flag(value, "dry_run")


@pytest.mark.parametrize(
    ("value", "text"), [(7, "7"), (7.0, "7"), (-0.0, "0"), (1.5, "1.5"), (2.0**60, str(2.0**60)), (" 7.0 ", "7.0")]
)
def test_a_whole_float_is_the_same_text_as_the_int(value, text):
    assert checked_text(value, "launch_key") == text


@pytest.mark.parametrize("value", [None, "", " ", "None", "null", float("nan")], ids=repr)
def test_an_empty_text_is_refused(value):
    with pytest.raises(TallyfyValidationError, match=r"^launch_key="):
        checked_text(value, "launch_key")


def test_a_moment_can_come_out_of_a_template():
    assert checked_time("2026-09-29T21:00:00Z", "since") == datetime(2026, 9, 29, 21, tzinfo=UTC)
    assert checked_time(datetime(2026, 9, 29, 21), "since") == datetime(2026, 9, 29, 21, tzinfo=UTC)
    assert checked_time(None, "since") is None
    with pytest.raises(TallyfyValidationError, match=r"^since='yesterday'"):
        checked_time("yesterday", "since")


NOW = datetime(2026, 9, 29, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "days"),
    [
        ("90d", 90),
        (" 90 D ", 90),
        ("12h", 0.5),
        ("30m", 30 / 1440),
        ("2w", 14),
        ("1.5d", 1.5),
        (timedelta(days=90), 90),
        (str(timedelta(days=90)), 90),
        (str(timedelta(hours=36)), 1.5),
        (str(timedelta(seconds=4.32)), 4.32 / 86400),
        ("0d", 0),
    ],
    ids=str,
)
def test_an_age_is_a_timedelta_or_text_with_a_unit(age, days):
    assert moment_before(NOW, age, "older_than") == NOW - timedelta(days=days)


@pytest.mark.parametrize("nothing", [None, ""])
def test_without_an_age_there_is_no_moment(nothing):
    assert moment_before(NOW, nothing, "older_than") is None


@pytest.mark.parametrize("age", [90, "90", " 90 ", 90.0, "90.0", Decimal(90)], ids=repr)
def test_a_bare_number_is_refused_as_an_age_whose_unit_nobody_knows(age):
    with pytest.raises(TallyfyValidationError, match=r'^older_than=.* has no unit: write "90d"\.\n') as refusal:
        moment_before(NOW, age, "older_than")
    assert list(refusal.value.fields) == ["older_than"]


@pytest.mark.parametrize(
    "age",
    ["soon", "-1d", -1, "90 dogs", "90s", "d", float("nan"), timedelta(-1), str(timedelta(-1)), "999999w", True, [90]],
    ids=repr,
)
def test_an_invalid_age_is_refused_by_name(age):
    with pytest.raises(TallyfyValidationError, match=r"^older_than="):
        moment_before(NOW, age, "older_than")


@pytest.mark.parametrize(
    ("value", "plain"),
    [(Decimal(2), 2), (Decimal("1.5"), 1.5), ({"a"}, ["a"]), (("a", {1: None}), ["a", {"1": None}]), (True, True)],
)
def test_raw_values_take_the_types_that_json_has(value, plain):
    assert plain_json(value, "tasks") == plain
