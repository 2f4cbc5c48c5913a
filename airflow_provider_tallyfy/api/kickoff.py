"""
Kick-off values as people write them -> the ``prerun`` that Tallyfy stores.

Tallyfy drops keys it does not know with a cheerful 201, and stores some wrong shapes that then show nothing. So every
value is matched to its field and shaped here, and whatever does not fit is reported at once, before anything is sent.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from numbers import Integral
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.templates import Choice, KickoffField, Template, fields_named, folded

_LONGEST_ECHO = 80
_MOST_NAMES = 30
_MOST_ITEM_PROBLEMS = 5
_EMAIL = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+")
_USER_ID = re.compile(r"[0-9]{1,18}")
_TALLYFY_ID = re.compile(r"[0-9a-f]{32}")
_GROUP_ID = re.compile(r"[\w-]+")
_DATE = re.compile(r"\d{4}-?\d{2}-?\d{2}([Tt ].+)?", re.ASCII)
_SEVERAL = (list, tuple, set, frozenset)

_ECHO = reprlib.Repr()
_ECHO.maxstring = _ECHO.maxother = _LONGEST_ECHO


class _Unfit(Exception):
    """A value does not fit its field; the arguments say why."""


def encode_kickoff(
    form: Template | Iterable[KickoffField], values: Mapping[str, Any], encoded: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """
    Encode kick-off values as the ``prerun`` of a launch.

    A key is looked for among the fields' ids, then aliases, then labels, then labels without regard to case and
    spaces. A value of ``None`` or an empty one counts as not given.

    :param form: the template, or the fields of its kick-off form.
    :param values: values by field id, alias or label.
    :param encoded: values by field id that are passed on as they are, and win over ``values``.
    :return: encoded values by field id.
    :raises TallyfyValidationError: if anything does not fit: one error that names all problems, by field in ``fields``.
    """
    fields = form.fields if isinstance(form, Template) else tuple(form)
    raw = {} if encoded is None else encoded
    for name, given_values in (("kickoff", values), ("prerun", raw)):
        if not isinstance(given_values, Mapping):
            raise _error(form, {name: [f"expected values by field, got {_shown(given_values)}"]})
    problems = {key: [_dropped(fields, key)] for key in map(str, raw) if key not in {field.id for field in fields}}
    given, unclear = _sort_by_field(fields, {str(key): values[key] for key in values}, problems)
    prerun: dict[str, Any] = {}
    for field in fields:
        try:
            skipped = field.id in unclear or field.id in raw
            value = raw.get(field.id) if skipped else _encode(field, given.get(field.id))
        except _Unfit as unfit:
            problems.setdefault(field.name, []).extend(unfit.args)
        else:
            if value is not None:
                prerun[field.id] = value
    if problems:
        raise _error(form, problems)
    return prerun


def _error(form: Template | Iterable[KickoffField], problems: Mapping[str, Sequence[str]]) -> TallyfyValidationError:
    of_template = f" of template {form.title!r} ({form.id})" if isinstance(form, Template) else ""
    lines = [f"\n- {name}: {problem}" for name, texts in problems.items() for problem in texts]
    count = "a problem" if len(lines) == 1 else f"{len(lines)} problems"
    message = f"The values for the kick-off form{of_template} have {count}:{''.join(lines)}"
    return TallyfyValidationError(message, fields=problems)


def _sort_by_field(
    fields: Sequence[KickoffField], values: Mapping[str, Any], problems: dict[str, list[str]]
) -> tuple[dict[str, Any], set[str]]:
    """Give the values by field id, and the ids of the fields of which the keys leave open what they are given."""
    keys: dict[str, list[str]] = {}
    unclear: set[str] = set()
    for key in values:
        hits = fields_named(fields, key)
        if len(hits) == 1:
            keys.setdefault(hits[0].id, []).append(key)
            continue
        unclear |= {field.id for field in hits}
        problem = _ambiguous("fields", [field.id for field in hits]) if hits else _no_such_field(fields, key)
        problems.setdefault(_clipped(key), []).append(problem)
    for field in fields:
        if len(keys.get(field.id, ())) > 1:
            unclear.add(field.id)
            problem = f"it is given more than once, as {_listed(map(_shown, keys[field.id]))}; keep one"
            problems.setdefault(field.name, []).append(problem)
    return {field_id: values[names[0]] for field_id, names in keys.items()}, unclear


def _no_such_field(fields: Sequence[KickoffField], key: str) -> str:
    if not fields:
        return "there is no such field; the kick-off form has none"
    names = {name: field.name for field in fields for name in (field.alias, field.label) if name}
    return f"there is no such field; {_did_you_mean(key, names) or 'the form has ' + _quoted(f.name for f in fields)}"


def _dropped(fields: Sequence[KickoffField], key: str) -> str:
    ids = _listed(f"{field.id} ({field.name})" for field in fields)
    return f"no field has this id, and Tallyfy would drop it silently; the form has {ids or 'none'}"


def _encode(field: KickoffField, value: Any) -> Any:
    """Encode one value; ``None`` if there is none, where that is allowed."""
    encoded = None if _is_blank(value) else _ENCODERS.get(field.field_type, _as_it_is)(field, value)
    if encoded is None and field.required:
        raise _Unfit("it is required")
    return encoded


def _text(field: KickoffField, value: Any) -> str:
    return _as_text(value)


def _email(field: KickoffField, value: Any) -> str:
    return _as_email(value)


def _date(field: KickoffField, value: Any) -> str:
    """Write a moment as Tallyfy documents it, in UTC; without a zone it is UTC already, without a time midnight."""
    if isinstance(value, Integral | float | Decimal):
        raise _Unfit(f"the number {_shown(value)} is not a date; give a date, a datetime or ISO 8601 text")
    text = str(value.isoformat() if hasattr(value, "isoformat") else value).strip()
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        problem = f"{_shown(value)} is not a date; give a date, a datetime or text like 2026-01-31T09:30:00Z"
        raise _Unfit(problem) from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _radio(field: KickoffField, value: Any) -> str:
    return _choose(field, [value])[0].text


def _dropdown(field: KickoffField, value: Any) -> dict[str, Any]:
    option = _choose(field, [value])[0]
    return {"id": option.id, "text": option.text, "value": None}


def _multiselect(field: KickoffField, value: Any) -> list[dict[str, Any]] | None:
    """Encode the chosen options in the form's order; without ``selected`` Tallyfy stores them and shows nothing."""
    unpacked = value if _options_meant(field, value) else _from_json_text(value)
    wanted = [item for item in _as_list(unpacked) if not _is_blank(item) and not _is_deselected(item)]
    chosen = _choose(field, wanted)
    return [{"id": o.id, "text": o.text, "selected": True} for o in field.options if o in chosen] or None


def _is_deselected(item: Any) -> bool:
    return isinstance(item, Mapping) and item.get("selected") is False


def _table(field: KickoffField, value: Any) -> list[str] | None:
    """Encode one row: a cell per column in order, or cells by column label; Tallyfy wants exactly one per column."""
    row = _from_json_text(value)
    if isinstance(row, Mapping):
        row = _row_by_column(field, row)
    if not isinstance(row, list | tuple):
        raise _Unfit(f"expected one value per column, as a list or by column label, got {_shown(value)}")
    if field.columns and len(row) != len(field.columns):
        columns = _quoted(column.text for column in field.columns)
        raise _Unfit(f"expected {len(field.columns)} values, one per column ({columns}), got {len(row)}")
    cells = _each(lambda cell: "" if _is_blank(cell) else _as_text(cell), row)
    return cells if any(cells) else None


def _row_by_column(field: KickoffField, row: Mapping[Any, Any]) -> list[Any]:
    """Put cells given by column label or id in order; a column that is not named is left empty."""
    cells: dict[int, Any] = {}

    def place(key: Any) -> None:
        hits = field.columns_named(str(key))
        if not hits:
            raise _Unfit(f"there is no column {_shown(key)}; the columns are {_quoted(c.text for c in field.columns)}")
        if len(hits) > 1 or hits[0] in cells:
            raise _Unfit(f"column {_shown(key)} is given twice or stands for several columns; give a list")
        cells[hits[0]] = row[key]

    _each(place, row)
    return [cells.get(number) for number in range(len(field.columns))]


def _assignees(field: KickoffField, value: Any) -> dict[str, list[Any]] | None:
    """Encode who is meant: members by number, guests by e-mail address, groups by id."""
    people = _from_json_text(value)
    if not isinstance(people, Mapping):
        people = _people_by_kind(_as_list(people))
    unknown = [f"{_shown(kind)} is none of {', '.join(_PEOPLE)}" for kind in people if kind not in _PEOPLE]
    if unknown:
        raise _Unfit(*unknown)
    pairs = [(kind, person) for kind in _PEOPLE for person in _as_list(people.get(kind)) if not _is_blank(person)]
    read = dict.fromkeys(_each(lambda pair: (pair[0], _PEOPLE[pair[0]](pair[1])), pairs))
    return {kind: [person for of, person in read if of == kind] for kind in _PEOPLE} if read else None


def _people_by_kind(people: Iterable[Any]) -> dict[str, list[Any]]:
    """Tell numbers, addresses and group ids apart; a group's name among them is an error, not an id."""
    by_kind: dict[str, list[Any]] = {kind: [] for kind in _PEOPLE}

    def place(person: Any) -> None:
        text = "" if _is_blank(person) else _as_text(person).strip()
        if _USER_ID.fullmatch(text):
            by_kind["users"].append(text)
        elif "@" in text:
            by_kind["guests"].append(text)
        elif _TALLYFY_ID.fullmatch(text):
            by_kind["groups"].append(text)
        elif text:
            raise _Unfit(f"{_shown(person)} is no user's number, guest's e-mail address or group's id")

    _each(place, people)
    return by_kind


def _files(field: KickoffField, value: Any) -> list[dict[str, Any]] | None:
    files = _from_json_text(value)
    return _each(_as_file, [file for file in _as_list(files) if not _is_blank(file)]) or None


def _as_file(file: Any) -> dict[str, Any]:
    """Encode a file given by address; an asset that was uploaded before is passed on as it is."""
    if isinstance(file, str):
        return _linked_file({"url": file})
    if isinstance(file, Mapping):
        if file.keys() <= {"filename", "url", "source"} and file.get("source") in (None, "url"):
            return _linked_file(file)
        if file.get("filename") and (file.get("id") or file.get("url") or file.get("full_url")):
            return dict(_plain(file))
    raise _Unfit(f"expected an address, {{'filename', 'url'}} or an uploaded asset, got {_shown(file)}")


def _linked_file(file: Mapping[str, Any]) -> dict[str, Any]:
    url = str(file.get("url") or "").strip()
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _Unfit(f"a file needs an http or https address that Tallyfy can reach, got {_shown(url)}")
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
            problems.append(f"{_shown(value)} is ambiguous: {_ambiguous('options', ids)} as {{'id': ...}}")
        elif hits:
            chosen.append(hits[0])
        else:
            unknown.append(value)
    if unknown:
        problems.append(_no_such_option(field, unknown))
    if problems:
        raise _Unfit(*problems)
    return chosen


def _options_meant(field: KickoffField, value: Any) -> list[Choice]:
    """Match by what :meth:`KickoffField.options_named` knows; an option object by all it says."""
    if isinstance(value, Mapping):
        said = {name: str(value[name]) for name in ("id", "text") if value.get(name) is not None}
        return [o for o in field.options if said and said.items() <= {"id": str(o.id), "text": o.text}.items()]
    try:
        return field.options_named(_as_text(value))
    except _Unfit:
        return []


def _no_such_option(field: KickoffField, unknown: Sequence[Any]) -> str:
    if not field.options:
        return "the template shows no options to choose from"
    texts = [option.text for option in field.options]
    guess = _did_you_mean(str(unknown[0]), dict(zip(texts, texts, strict=True))) if len(unknown) == 1 else ""
    named = _clipped(", ".join(map(_shown, unknown)))
    return f"there is no option {named}; {guess}{' ' if guess else ''}valid: {_quoted(texts)}"


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
        text = str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(float(value))
    elif isinstance(value, Decimal) and value.is_finite():
        text = format(value, "f")
    elif isinstance(value, date):
        text = value.isoformat()
    if text is None:
        raise _Unfit(f"expected text, got {_shown(value)}")
    return text


def _as_email(value: Any) -> str:
    if isinstance(value, str) and _EMAIL.fullmatch(value.strip()):
        return value.strip()
    raise _Unfit(f"{_shown(value)} is not an e-mail address")


def _as_user(value: Any) -> int:
    text = _as_text(value).strip()
    if not _USER_ID.fullmatch(text):
        raise _Unfit(f"users are given by number, got {_shown(value)}")
    return int(text)


def _as_group(value: Any) -> str:
    if isinstance(value, str) and _GROUP_ID.fullmatch(value.strip()):
        return value.strip()
    raise _Unfit(f"groups are given by id, got {_shown(value)}")


_PEOPLE: dict[str, Callable[[Any], Any]] = {"users": _as_user, "guests": _as_email, "groups": _as_group}


def _plain(value: Any) -> Any:
    """Copy a value that JSON can carry unchanged."""
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise _Unfit(f"{_shown(value)} cannot be sent as JSON")


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
        except _Unfit as unfit:
            problems.extend(unfit.args)
    more = len(problems) - _MOST_ITEM_PROBLEMS
    if problems:
        raise _Unfit(*problems[:_MOST_ITEM_PROBLEMS], *([f"and {more} more like these"] if more > 0 else []))
    return done


def _is_blank(value: Any) -> bool:
    if isinstance(value, str):
        return not folded(value)
    return value is None or (isinstance(value, (Mapping, *_SEVERAL)) and not value)


def _ambiguous(what: str, ids: Sequence[str]) -> str:
    return f"it could be any of {len(ids)} {what}; use one of the ids {_listed(ids)}"


def _did_you_mean(wanted: str, names: Mapping[str, str]) -> str:
    """Suggest which of some names a text may have meant, or nothing."""
    by_fold = {folded(name): shown for name, shown in names.items()}
    close = get_close_matches(folded(wanted[:_LONGEST_ECHO]), by_fold, n=3)
    guesses = dict.fromkeys(repr(by_fold[name]) for name in close)
    return f"did you mean {' or '.join(guesses)}?" if guesses else ""


def _quoted(names: Iterable[str]) -> str:
    return _listed(map(repr, names))


def _listed(texts: Iterable[str]) -> str:
    listed = list(texts)
    more = f" and {len(listed) - _MOST_NAMES} more" if len(listed) > _MOST_NAMES else ""
    return ", ".join(listed[:_MOST_NAMES]) + more


def _shown(value: object) -> str:
    return _clipped(_ECHO.repr(value))


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST_ECHO else f"{text[: _LONGEST_ECHO - 3]}..."
