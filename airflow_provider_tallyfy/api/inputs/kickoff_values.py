"""
One value of a kick-off form, as people write it -> as Tallyfy stores it (documentation page "Launch process").

Tallyfy stores some wrong shapes and then shows nothing, so each type of field has its encoder.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from numbers import Integral
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from airflow_provider_tallyfy.api.inputs.checks import is_rendered_none
from airflow_provider_tallyfy.api.inputs.numbers import without_fraction
from airflow_provider_tallyfy.api.inputs.people import HEX_ID, ID, USER_NUMBER
from airflow_provider_tallyfy.api.inputs.wording import ambiguous, did_you_mean, quoted_list
from airflow_provider_tallyfy.api.models.template import Choice, KickoffField, normalized
from airflow_provider_tallyfy.api.text import MAX_ECHO, short_repr, truncated

_MAX_ITEM_PROBLEMS = 5
_EMAIL = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")
_DATE = re.compile(r"\d{4}-?\d{2}-?\d{2}([Tt ].+)?", re.ASCII)
_SEVERAL = (list, tuple, set, frozenset)


class InvalidValue(Exception):
    """A value does not fit its field; the arguments say why."""


def encode_value(field: KickoffField, value: Any) -> Any:
    """Encode one value. An empty one is ``None``, where the field may be empty."""
    if not field.options:
        _refuse_rendered_none(value)
    encoded = None if is_blank(value) else _ENCODERS.get(field.field_type, _as_it_is)(field, value)
    if encoded is None and field.required:
        raise InvalidValue("it is required")
    return encoded


def _refuse_rendered_none(value: Any) -> None:
    """Refuse "None", which a template rendered for a missing value; a person who means the word can write "none"."""
    if isinstance(value, str) and is_rendered_none(value):
        problem = f"it is {value.strip()!r}, which a template renders for a missing value"
        raise InvalidValue(f"{problem}; leave the field out, or write 'none' if the word is meant")


def _cell(value: Any) -> str:
    _refuse_rendered_none(value)
    return "" if is_blank(value) else _as_text(value)


def is_blank(value: Any) -> bool:
    """Whether a value is empty, so that it counts as not given."""
    if isinstance(value, str):
        return not normalized(value)
    return value is None or (isinstance(value, (Mapping, *_SEVERAL)) and not value)


def _text(field: KickoffField, value: Any) -> str:
    return _as_text(value)


def _email(field: KickoffField, value: Any) -> str:
    return _as_email(value)


def _date(field: KickoffField, value: Any) -> str:
    """Write a moment as Tallyfy documents it, in UTC; without a zone it is UTC already, without a time midnight."""
    if isinstance(value, Integral | float | Decimal):
        raise InvalidValue(f"the number {short_repr(value)} is not a date; give a date, a datetime or ISO 8601 text")
    text = str(value.isoformat() if hasattr(value, "isoformat") else value).strip()
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        problem = f"{short_repr(value)} is not a date; give a date, a datetime or text like 2026-01-31T09:30:00Z"
        raise InvalidValue(problem) from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _radio(field: KickoffField, value: Any) -> str:
    return _choose(field, [value])[0].text


def _dropdown(field: KickoffField, value: Any) -> dict[str, Any]:
    option = _choose(field, [value])[0]
    return {"id": option.id, "text": option.text, "value": None}


def _multiselect(field: KickoffField, value: Any) -> list[dict[str, Any]] | None:
    """Encode the chosen options in the form's order; without ``selected`` Tallyfy stores them and shows nothing."""
    unpacked = value if _options_meant(field, value) else _from_json_text(value)
    items = [item for item in _as_list(unpacked) if not is_blank(item)]
    chosen = _choose(
        field, [item for item in items if not (isinstance(item, Mapping) and item.get("selected") is False)]
    )
    return [{"id": o.id, "text": o.text, "selected": True} for o in field.options if o in chosen] or None


def _table(field: KickoffField, value: Any) -> list[str] | None:
    """Encode one row: a cell per column in order, or cells by column label; Tallyfy wants exactly one per column."""
    row = _from_json_text(value)
    if isinstance(row, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in row):
        if len(row) > 1:
            raise InvalidValue(f"expected one row, got {len(row)}: how Tallyfy takes several is not documented")
        row = row[0]
    if isinstance(row, Mapping):
        row = _row_by_column(field, row)
    if not isinstance(row, list | tuple):
        raise InvalidValue(f"expected one value per column, as a list or by column label, got {short_repr(value)}")
    if field.columns and len(row) != len(field.columns):
        columns = quoted_list(column.text for column in field.columns)
        raise InvalidValue(f"expected {len(field.columns)} values, one per column ({columns}), got {len(row)}")
    cells = _each(_cell, row)
    return cells if any(cells) else None


def _row_by_column(field: KickoffField, row: Mapping[Any, Any]) -> list[Any]:
    """Put cells given by column label or id in order; a column that is not named is left empty."""
    cells: dict[int, Any] = {}

    def place(key: Any) -> None:
        hits = field.columns_named(str(key))
        if not hits:
            raise InvalidValue(
                f"there is no column {short_repr(key)}; the columns are {quoted_list(c.text for c in field.columns)}"
            )
        if len(hits) > 1 or hits[0] in cells:
            raise InvalidValue(f"column {short_repr(key)} is given twice or stands for several columns; give a list")
        cells[hits[0]] = row[key]

    _each(place, row)
    return [cells.get(number) for number in range(len(field.columns))]


def _assignees(field: KickoffField, value: Any) -> dict[str, list[Any]] | None:
    """Encode who is meant: members by number, guests by e-mail address, groups by id."""
    people = _from_json_text(value)
    if not isinstance(people, Mapping):
        people = _people_by_kind(_as_list(people))
    unknown = [f"{short_repr(kind)} is not one of {', '.join(_PEOPLE)}" for kind in people if kind not in _PEOPLE]
    if unknown:
        raise InvalidValue(*unknown)
    given = {kind: people[kind] for kind in _PEOPLE if not is_blank(people.get(kind))}
    pairs = [(kind, person) for kind, persons in given.items() for person in _as_list(persons)]
    read = dict.fromkeys(_each(lambda pair: (pair[0], _PEOPLE[pair[0]](_present(pair[1]))), pairs))
    return {kind: [person for of, person in read if of == kind] for kind in _PEOPLE} if read else None


def _present(person: Any) -> Any:
    _refuse_rendered_none(person)
    if is_blank(person):
        raise InvalidValue(f"{short_repr(person)} is empty (did a template render it for a missing value?)")
    return person


def _people_by_kind(people: Iterable[Any]) -> dict[str, list[Any]]:
    """Tell numbers, addresses and group ids apart; a group's name among them is an error, not an id."""
    by_kind: dict[str, list[Any]] = {kind: [] for kind in _PEOPLE}

    def place(person: Any) -> None:
        if isinstance(person, Mapping):  # as answers are read
            person = person.get("email") if person.get("id") is None else person["id"]
        text = _as_text(_present(person)).strip()
        if USER_NUMBER.fullmatch(text):
            by_kind["users"].append(text)
        elif "@" in text:
            by_kind["guests"].append(text)
        elif HEX_ID.fullmatch(text):
            by_kind["groups"].append(text)
        else:
            raise InvalidValue(f"{short_repr(person)} is not a user's number, a guest's e-mail address or a group's id")

    _each(place, people)
    return by_kind


def _files(field: KickoffField, value: Any) -> list[dict[str, Any]] | None:
    files = _from_json_text(value)
    return _each(_as_file, [file for file in _as_list(files) if not is_blank(file)]) or None


def _as_file(file: Any) -> dict[str, Any]:
    """Encode a file given by address; an asset that was uploaded before is passed on as it is."""
    if isinstance(file, str):
        return _linked_file({"url": file})
    if isinstance(file, Mapping):
        if file.keys() == {"name", "url"}:  # as answers are read
            file = {"filename": file["name"], "url": file["url"]}
        if file.keys() <= {"filename", "url", "source"} and file.get("source") in (None, "url"):
            return _linked_file(file)
        if file.get("filename") and (file.get("id") or file.get("url") or file.get("full_url")):
            return dict(_plain(file))
    raise InvalidValue(f"expected an address, {{'filename', 'url'}} or an uploaded asset, got {short_repr(file)}")


def _linked_file(file: Mapping[str, Any]) -> dict[str, Any]:
    url = str(file.get("url") or "").strip()
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidValue(f"a file needs an http or https address that Tallyfy can reach, got {short_repr(url)}")
    filename = file.get("filename") or unquote(parts.path.rstrip("/").rpartition("/")[2]) or parts.hostname
    return {"filename": _as_text(filename), "source": "url", "url": url}


def _as_it_is(field: KickoffField, value: Any) -> Any:
    """Pass on the value of a field type that this package has never heard of."""
    return _plain(value)


_ENCODERS: dict[str, Callable[[KickoffField, Any], Any]] = {
    "assignees_form": _assignees,
    "date": _date,
    "datetime": _date,
    "dropdown": _dropdown,
    "email": _email,
    "file": _files,
    "multiselect": _multiselect,
    "radio": _radio,
    "table": _table,
    "text": _text,
    "textarea": _text,
}


def _choose(field: KickoffField, wanted: Iterable[Any]) -> list[Choice]:
    """Find the options that are meant, or say at once what is wrong with all of them."""
    chosen: list[Choice] = []
    unknown: list[Any] = []
    problems: list[str] = []
    for value in wanted:
        hits = _options_meant(field, value)
        if len(hits) > 1:
            ids = [str(option.id) for option in hits]
            problems.append(f"{short_repr(value)} is ambiguous: {ambiguous('options', ids)} as {{'id': ...}}")
        elif hits:
            chosen.append(hits[0])
        else:
            unknown.append(value)
    if unknown:
        problems.append(_no_such_option(field, unknown))
    if problems:
        raise InvalidValue(*problems)
    return chosen


def _options_meant(field: KickoffField, value: Any) -> list[Choice]:
    """Match by what :meth:`KickoffField.options_named` knows; an option object by all it says."""
    if isinstance(value, Mapping):
        said = {name: str(value[name]) for name in ("id", "text") if value.get(name) is not None}
        return [o for o in field.options if said and said.items() <= {"id": str(o.id), "text": o.text}.items()]
    try:
        return field.options_named(_as_text(value))
    except InvalidValue:
        return []


def _no_such_option(field: KickoffField, unknown: Sequence[Any]) -> str:
    if not field.options:
        return "the template shows no options to choose from"
    texts = [option.text for option in field.options]
    guess = did_you_mean(str(unknown[0]), dict(zip(texts, texts, strict=True))) if len(unknown) == 1 else ""
    named = truncated(", ".join(map(short_repr, unknown)), MAX_ECHO)
    return f"there is no option {named}; {guess}{' ' if guess else ''}valid: {quoted_list(texts)}"


def _as_text(value: Any) -> str:
    """Write what has one obvious text; anything with parts, and bytes, has none."""
    if isinstance(value, str):
        return value
    text: str | None = None
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, Integral | UUID):
        text = str(value)
    elif isinstance(value, float) and math.isfinite(value):
        text = str(without_fraction(value))
    elif isinstance(value, Decimal) and value.is_finite():
        text = format(value, "f")
    elif isinstance(value, date):
        text = value.isoformat()
    if text is None:
        raise InvalidValue(f"expected text, got {short_repr(value)}")
    return text


def _as_email(value: Any) -> str:
    if isinstance(value, str) and _EMAIL.fullmatch(value.strip()):
        return value.strip()
    raise InvalidValue(f"{short_repr(value)} is not an e-mail address")


def _as_user(value: Any) -> int:
    text = _as_text(value).strip()
    if not USER_NUMBER.fullmatch(text):
        raise InvalidValue(f"users are given by number, got {short_repr(value)}")
    return int(text)


def _as_group(value: Any) -> str:
    if isinstance(value, str) and ID.fullmatch(value.strip()):
        return value.strip()
    raise InvalidValue(f"groups are given by id, got {short_repr(value)}")


_PEOPLE: dict[str, Callable[[Any], Any]] = {"users": _as_user, "guests": _as_email, "groups": _as_group}


def _plain(value: Any) -> Any:
    """Copy a value that JSON can carry unchanged."""
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise InvalidValue(f"{short_repr(value)} cannot be sent as JSON")


def _from_json_text(value: Any) -> Any:
    """Read a list or object written as JSON, which is how a cell of a CSV file holds one."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, _SEVERAL) else [value]


def _each(read: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Read every item, or say what is wrong with all of them."""
    done: list[Any] = []
    problems: list[str] = []
    for item in items:
        try:
            done.append(read(item))
        except InvalidValue as error:
            problems.extend(error.args)
    more = len(problems) - _MAX_ITEM_PROBLEMS
    if problems:
        raise InvalidValue(*problems[:_MAX_ITEM_PROBLEMS], *([f"and {more} more like these"] if more > 0 else []))
    return done
