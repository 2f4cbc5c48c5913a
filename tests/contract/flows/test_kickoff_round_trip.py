"""For any kick-off form and any way to write its values, Tallyfy stores what was meant, or nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

WORDS = st.text("abcdefghijklmnop", min_size=3, max_size=8)
# Templates render "None" and "null" for a missing value, so they are refused.
TEXTS = st.text(min_size=1, max_size=30).filter(
    lambda text: text.replace("\ufeff", "").strip() not in ("", "None", "null")
)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(microsecond=0))
URLS = WORDS.map(lambda word: f"https://files.example/{word}.pdf")
EMAILS = WORDS.map(lambda word: f"{word}@x.example")
PEOPLE = {
    "users": st.integers(1, 10**9),
    "guests": EMAILS,
    "groups": st.text("0123456789abcdef", min_size=32, max_size=32),
}


@st.composite
def filled_fields(draw: Any, label: str) -> tuple[dict[str, Any], Any, Any]:
    """Draw a field, a value as a user may write it, and what Tallyfy must store for it."""
    kind = draw(st.sampled_from(sorted(_KINDS)))
    spec, written, meant = draw(_KINDS[kind]())
    return {"label": label, "field_type": kind} | spec, written, meant


@st.composite
def texts(draw: Any) -> tuple[dict[str, Any], Any, Any]:
    text = draw(TEXTS)
    return {}, text, text


@st.composite
def emails(draw: Any) -> tuple[dict[str, Any], Any, Any]:
    address = draw(EMAILS)
    return {}, draw(st.sampled_from([address, f" {address} "])), address


@st.composite
def dates(draw: Any) -> tuple[dict[str, Any], Any, Any]:
    moment = draw(MOMENTS).replace(tzinfo=UTC)
    written = draw(st.sampled_from([moment, moment.isoformat(), moment.replace(tzinfo=None).isoformat(" ")]))
    return {}, written, f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


def _options(draw: Any) -> list[dict[str, Any]]:
    words = draw(st.lists(WORDS, min_size=1, max_size=5, unique=True))
    return [{"id": place, "text": word.title()} for place, word in enumerate(words, 100)]


def _spelling(draw: Any, option: dict[str, Any]) -> Any:
    text = option["text"]
    return draw(st.sampled_from([text, text.upper(), f"  {text.lower()}", option["id"], str(option["id"]), option]))


@st.composite
def radios(draw: Any) -> tuple[dict[str, Any], Any, Any]:
    options = _options(draw)
    option = draw(st.sampled_from(options))
    return {"options": options}, _spelling(draw, option), option["text"]


@st.composite
def dropdowns(draw: Any) -> tuple[dict[str, Any], Any, Any]:
    options = _options(draw)
    option = draw(st.sampled_from(options))
    return {"options": options}, _spelling(draw, option), option | {"value": None}


@st.composite
def multiselects(draw: Any) -> tuple[dict[str, Any], Any, Any]:
    options = _options(draw)
    chosen = draw(st.lists(st.sampled_from(options), min_size=1, unique_by=lambda option: option["id"]))
    meant = [option | {"selected": True} for option in options if option in chosen]
    return {"options": options}, [_spelling(draw, option) for option in chosen], meant


@st.composite
def tables(draw: Any) -> tuple[dict[str, Any], Any, Any]:
    columns = draw(st.lists(WORDS, min_size=1, max_size=4, unique=True))
    cells = draw(st.lists(TEXTS, min_size=len(columns), max_size=len(columns)))
    by_name = dict(zip(columns, cells, strict=True))
    return {"columns": columns}, draw(st.sampled_from([cells, tuple(cells), by_name])), cells


@st.composite
def assignees(draw: Any) -> tuple[dict[str, Any], Any, Any]:
    meant = {kind: draw(st.lists(people, max_size=3, unique=True)) for kind, people in PEOPLE.items()}
    if not any(meant.values()):
        meant["users"] = [1]
    # A group's id of digits alone would be taken for a user's number in a mixed list.
    groups_are_clear = all(not group.isdecimal() for group in meant["groups"])
    mixed = [person for people in meant.values() for person in people]
    return {}, draw(st.sampled_from([meant, mixed])) if groups_are_clear else meant, meant


@st.composite
def files(draw: Any) -> tuple[dict[str, Any], Any, Any]:
    urls = draw(st.lists(URLS, min_size=1, max_size=3, unique=True))
    meant = [{"filename": url.rpartition("/")[2], "source": "url", "url": url} for url in urls]
    return {}, draw(st.sampled_from([urls, meant, [{"url": url} for url in urls]])), meant


_KINDS = {
    "assignees_form": assignees,
    "date": dates,
    "datetime": dates,
    "dropdown": dropdowns,
    "email": emails,
    "file": files,
    "multiselect": multiselects,
    "radio": radios,
    "table": tables,
    "text": texts,
    "textarea": texts,
}


@st.composite
def forms(draw: Any) -> list[tuple[dict[str, Any], Any, Any]]:
    labels = draw(st.lists(WORDS, min_size=1, max_size=6, unique=True))
    return [draw(filled_fields(label)) for label in labels]


in_a_sandbox = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.usefixtures("worlds")
@in_a_sandbox
@given(form=forms(), names=st.lists(st.sampled_from(["label", "alias", "id", "LABEL"]), min_size=6, max_size=6))
def test_kick_off_values_are_stored_as_they_were_meant(tallyfy, form, names):
    template = tallyfy.add_template("Form", kickoff=[spec for spec, _, _ in form])
    fields = template["prerun"]
    keys = [
        field["label"].upper() if name == "LABEL" else field[name] for field, name in zip(fields, names, strict=False)
    ]
    kickoff = {key: written for key, (_, written, _) in zip(keys, form, strict=True)}
    with TallyfyHook() as hook:
        run_id = hook.launch_run(template["id"], kickoff=kickoff)["id"]
        shown = hook.get_run(run_id, raw=True)["raw"]["prerun"]
    meant = {field["id"]: value for field, (_, _, value) in zip(fields, form, strict=True)}
    assert tallyfy.run(run_id)["prerun"] == shown == meant


#: For each type, invalid values.
UNFIT: dict[object, list[Any]] = {
    "assignees_form": ["Ada", {"members": [1]}],
    "date": ["soon", 7],
    "datetime": ["2026-13-01", True],
    "dropdown": ["no such option", {"id": -1}],
    "email": ["nobody", 7],
    "file": ["report.pdf", [7]],
    "multiselect": [["no such option"], "nor this"],
    "radio": ["no such option", ["a", "list"]],
    "table": ["cell", [1] * 9],
    "text": [["a"], {"b": 1}],
    "textarea": [b"bytes"],
}


@pytest.mark.usefixtures("worlds")
@in_a_sandbox
@given(form=forms(), data=st.data())
def test_every_invalid_value_is_named_and_nothing_is_launched(tallyfy, form, data):
    unfit = data.draw(st.sets(st.sampled_from(range(len(form))), min_size=1))
    template = tallyfy.add_template("Form", kickoff=[spec for spec, _, _ in form])
    kickoff = {
        spec["label"]: data.draw(st.sampled_from(UNFIT[spec["field_type"]])) if place in unfit else written
        for place, (spec, written, _) in enumerate(form)
    }
    launched = len(tallyfy.runs)
    with TallyfyHook() as hook, pytest.raises(TallyfyValidationError) as caught:
        hook.launch_run(template["id"], kickoff=kickoff)
    assert set(caught.value.fields) == {form[place][0]["label"] for place in unfit}
    assert len(tallyfy.runs) == launched
    assert tallyfy.requests[-1].method == "GET"
