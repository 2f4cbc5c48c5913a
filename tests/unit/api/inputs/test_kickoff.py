"""How kick-off values are matched to fields, encoded by their type, and what the error for invalid ones says."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.kickoff import encode_kickoff
from airflow_provider_tallyfy.api.models.template import Choice, KickoffField, Template

OPTIONS = (Choice(1, "SSO"), Choice("b", "Audit Log"), Choice(3, "Gold\ufeff"))


def a_field(field_type: str = "text", **facts: Any) -> KickoffField:
    return KickoffField(**{"id": "f1", "field_type": field_type, "label": "Field", "alias": "field-1"} | facts)


def encoded(field: KickoffField, value: Any) -> Any:
    return encode_kickoff([field], {"Field": value}).get("f1")


def problems(fields: KickoffField | list[KickoffField], values: Any, **arguments: Any) -> dict[str, list[str]]:
    fields = [fields] if isinstance(fields, KickoffField) else fields
    with pytest.raises(TallyfyValidationError) as caught:
        encode_kickoff(fields, values, **arguments)
    for texts in caught.value.fields.values():
        assert all(text in str(caught.value) for text in texts)
    return caught.value.fields


ZONE = timezone(timedelta(hours=1))
ENCODED: list[tuple[str, Any, Any]] = [
    ("text", "Acme ", "Acme "),
    ("text", 7, "7"),
    ("text", 7.0, "7"),
    ("text", 0.5, "0.5"),
    ("text", True, "true"),
    ("text", Decimal("1.50"), "1.50"),
    ("text", date(2026, 1, 31), "2026-01-31"),
    ("text", UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ("textarea", "two\nlines", "two\nlines"),
    ("email", " a@b.example ", "a@b.example"),
    ("date", "2026-01-31", "2026-01-31T00:00:00.000Z"),
    ("date", "20260131", "2026-01-31T00:00:00.000Z"),
    ("date", date(2026, 1, 31), "2026-01-31T00:00:00.000Z"),
    ("datetime", "2026-01-31 09:30", "2026-01-31T09:30:00.000Z"),
    ("datetime", "2026-01-31T09:30:00+01:00", "2026-01-31T08:30:00.000Z"),
    ("datetime", datetime(2026, 1, 31, 9, 30, tzinfo=ZONE), "2026-01-31T08:30:00.000Z"),
    ("datetime", datetime(2026, 1, 31, 9, 30, 1, 500), "2026-01-31T09:30:01.000Z"),
    ("radio", "SSO", "SSO"),
    ("radio", " audit  LOG ", "Audit Log"),
    ("radio", "b", "Audit Log"),
    ("radio", 1, "SSO"),
    ("radio", {"id": 1}, "SSO"),
    ("radio", {"text": "SSO"}, "SSO"),
    ("radio", "gold", "Gold\ufeff"),
    ("dropdown", "sso", {"id": 1, "text": "SSO", "value": None}),
    ("dropdown", {"id": "b", "text": "Audit Log"}, {"id": "b", "text": "Audit Log", "value": None}),
    ("multiselect", "SSO", [{"id": 1, "text": "SSO", "selected": True}]),
    (
        "multiselect",
        ["audit log", 1],
        [{"id": 1, "text": "SSO", "selected": True}, {"id": "b", "text": "Audit Log", "selected": True}],
    ),
    ("multiselect", '["SSO"]', [{"id": 1, "text": "SSO", "selected": True}]),
    (
        "multiselect",
        [{"id": 1, "text": "SSO", "selected": True}, {"id": "b", "text": "Audit Log", "selected": False}],
        [{"id": 1, "text": "SSO", "selected": True}],
    ),
    ("assignees_form", 7, {"users": [7], "guests": [], "groups": []}),
    ("assignees_form", ["7", "g@x.example", "a" * 32], {"users": [7], "guests": ["g@x.example"], "groups": ["a" * 32]}),
    ("assignees_form", {"users": ["7", 7]}, {"users": [7], "guests": [], "groups": []}),
    ("file", "https://x.example/a.pdf", [{"filename": "a.pdf", "source": "url", "url": "https://x.example/a.pdf"}]),
    (
        "file",
        {"filename": "b.pdf", "url": "https://x.example/a"},
        [{"filename": "b.pdf", "source": "url", "url": "https://x.example/a"}],
    ),
    ("file", [{"id": "1", "filename": "c.pdf", "version": 2}], [{"id": "1", "filename": "c.pdf", "version": 2}]),
    ("signature of the future", {"any": ["thing", 1]}, {"any": ["thing", 1]}),
]


@pytest.mark.parametrize(("field_type", "value", "expected"), ENCODED, ids=str)
def test_a_value_is_encoded_by_the_type_of_its_field(field_type, value, expected):
    assert encoded(a_field(field_type, options=OPTIONS), value) == expected


@pytest.mark.parametrize("field_type", sorted({field_type for field_type, _, _ in ENCODED} | {"table"}))
@pytest.mark.parametrize("blank", [None, "", "  ", "\ufeff", [], {}, ()], ids=repr)
def test_an_empty_value_counts_as_not_given(field_type, blank):
    assert encode_kickoff([a_field(field_type)], {"Field": blank}) == {}
    assert problems(a_field(field_type, required=True), {"Field": blank}) == {"Field": ["it is required"]}


@pytest.mark.parametrize("field_type", ["multiselect", "table", "file"])
def test_a_value_of_empty_parts_counts_as_not_given_too(field_type):
    field = a_field(field_type, options=OPTIONS, columns=(Choice(1, "Item"), Choice(2, "Quantity")))
    assert encoded(field, ["", ""]) is None


COLUMNS = (Choice(1, "Item"), Choice(2, "Quantity"))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (["Widget", 3], ["Widget", "3"]),
        (("Widget", None), ["Widget", ""]),
        ({"item": "Widget", "2": 3}, ["Widget", "3"]),
        ({"Quantity": 3}, ["", "3"]),
        ('["Widget", "3"]', ["Widget", "3"]),
    ],
    ids=str,
)
def test_a_table_takes_one_cell_per_column_by_place_or_name(row, expected):
    assert encoded(a_field("table", columns=COLUMNS), row) == expected


UNFIT: list[tuple[str, Any, str]] = [
    ("text", ["a"], "expected text, got ['a']"),
    ("text", b"bytes", "expected text"),
    ("text", float("nan"), "expected text"),
    ("email", "nobody", "'nobody' is not an e-mail address"),
    ("email", "a@b.example, c@d.example", "is not an e-mail address"),
    ("date", 1767225600, "the number 1767225600 is not a date"),
    ("date", "31.01.2026", "'31.01.2026' is not a date"),
    ("date", "2026-02-30", "is not a date"),
    ("radio", "Bronze", "there is no option 'Bronze'"),
    ("radio", "SOS", "did you mean 'SSO'?"),
    ("dropdown", {"id": 1, "text": "Audit Log"}, "there is no option"),
    ("multiselect", ["SSO", "x", "y"], "there is no option 'x', 'y'"),
    ("table", ["one"], "expected 2 values, one per column ('Item', 'Quantity'), got 1"),
    ("table", {"Item": 1, "Color": "red"}, "there is no column 'Color'"),
    ("table", {"Item": 1, "item ": 2}, "given twice"),
    ("table", "Widget", "expected one value per column"),
    ("assignees_form", "Ada", "'Ada' is not a user's number"),
    ("assignees_form", {"members": [1]}, "'members' is not one of users, guests, groups"),
    ("assignees_form", {"users": ["a@b.example"]}, "users are given by number"),
    ("file", "report.pdf", "needs an http or https address"),
    ("file", "file:///etc/passwd", "needs an http or https address"),
    ("file", {"name": "x"}, "expected an address"),
    ("signature of the future", object(), "cannot be sent as JSON"),
]


@pytest.mark.parametrize(("field_type", "value", "problem"), UNFIT)
def test_an_invalid_value_is_refused_with_the_reason(field_type, value, problem):
    field = a_field(field_type, options=OPTIONS, columns=COLUMNS)
    [text] = problems(field, {"Field": value})["Field"]
    assert problem in text


def test_an_exact_text_wins_over_a_folded_one_and_both_over_an_id():
    options = (Choice(2, "one"), Choice(3, "ONE"), Choice("x", "2"))
    field = a_field("radio", options=options)
    assert encoded(field, "ONE") == "ONE"
    assert encoded(field, "2") == "2"
    assert encoded(field, 3) == "ONE"
    [text] = problems(field, {"Field": "One"})["Field"]
    assert "'One' is ambiguous" in text
    assert "2, 3" in text


def test_a_key_matches_an_id_then_an_alias_then_a_label_then_a_label_in_any_case():
    fields = [
        a_field(id="name", alias="a1", label="Code"),
        a_field(id="f2", alias="name", label="a1"),
        a_field(id="f3", alias="a3", label="Name"),
    ]
    assert encode_kickoff(fields, {"name": "by id"}) == {"name": "by id"}
    assert encode_kickoff(fields, {"a1": "by alias"}) == {"name": "by alias"}
    assert encode_kickoff(fields, {"Name": "by label"}) == {"f3": "by label"}
    assert encode_kickoff(fields, {" CODE\ufeff": "by label in any case"}) == {"name": "by label in any case"}


def test_a_label_of_two_fields_is_refused_with_the_ids_to_use():
    fields = [a_field(id="f1", alias="x"), a_field(id="f2", alias="y")]
    assert problems(fields, {"Field": "a"}) == {"Field": ["it could be any of 2 fields; use one of the ids f1, f2"]}
    assert encode_kickoff(fields, {"x": "a", "f2": "b"}) == {"f1": "a", "f2": "b"}


def test_a_field_that_is_given_twice_is_refused():
    [text] = problems(a_field(), {"Field": "a", "f1": "b"})["Field"]
    assert text == "it is given more than once, as 'Field', 'f1'; keep one"


def test_an_unknown_key_is_refused_with_the_nearest_names():
    fields = [a_field(label="Company name"), a_field(id="f2", alias="", label="Tier")]
    assert "did you mean 'Company name'?" in problems(fields, {"Compny name": 1})["Compny name"][0]
    assert "the form has 'Company name', 'Tier'" in problems(fields, {"zzzz": 1})["zzzz"][0]
    assert "has none" in problems([], {"zzzz": 1})["zzzz"][0]


def test_one_error_has_every_problem():
    template = Template(
        id="a" * 32,
        title="Onboarding",
        fields=(
            a_field(id="f1", label="Name", alias="name", required=True),
            a_field("date", id="f2", label="Go-live", alias="live"),
            a_field("multiselect", id="f3", label="Add-ons", alias="add", options=OPTIONS),
        ),
    )
    with pytest.raises(TallyfyValidationError) as caught:
        encode_kickoff(template, {"live": "soon", "Add-ons": ["x", "SSO"], "nope": 1}, {"no-id": 2})
    assert set(caught.value.fields) == {"Name", "Go-live", "Add-ons", "nope", "no-id"}
    assert "of template 'Onboarding'" in str(caught.value)
    assert "have 5 problems" in str(caught.value)


def test_a_long_value_is_shortened_in_the_error():
    [text] = problems(a_field("date"), {"Field": "x" * 10_000})["Field"]
    assert len(text) < 300


def test_encoded_values_are_sent_as_they_are_and_win():
    fields = [a_field(required=True), a_field("radio", id="f2", label="Other", alias="other", options=OPTIONS)]
    raw = {"f1": "raw", "f2": ["in Tallyfy's own encoding"]}
    assert encode_kickoff(fields, {"Field": "lost", "Other": "Bronze"}, raw) == raw


@pytest.mark.parametrize("values", ["Field=1", ["Field"], 7])
def test_values_without_field_names_are_refused(values):
    assert "expected values by field" in problems([a_field()], values)["kickoff"][0]
    assert "expected values by field" in problems([a_field()], {}, encoded=values)["prerun"][0]


@pytest.mark.parametrize("nothing", ["None", "null", " None "])
@pytest.mark.parametrize("field_type", ["text", "textarea", "email", "date", "file"])
def test_a_text_that_a_template_renders_for_a_missing_value_is_refused(field_type, nothing):
    [problem] = problems(a_field(field_type), {"Field": nothing})["Field"]
    assert "which a template renders for a missing value; leave the field out" in problem


@pytest.mark.parametrize("word", ["none", "NONE", "None.", "Nonesuch"])
def test_the_word_none_can_be_an_answer(word):
    assert encoded(a_field(), word) == word


def test_an_option_can_be_called_none():
    field = a_field("radio", options=(Choice(1, "None"), Choice(2, "Some")))
    assert encoded(field, "None") == "None"


def test_a_cell_rendered_for_a_missing_value_is_refused():
    field = a_field("table", columns=(Choice(1, "Item"), Choice(2, "Size")))
    assert "renders for a missing value" in problems(field, {"Field": ["Cup", "None"]})["Field"][0]


def test_values_in_tallyfys_own_encoding_are_left_alone():
    assert encode_kickoff([a_field()], {}, {"f1": "None"}) == {"f1": "None"}
