"""One reader for each kind of argument, in every form that templates, XComs and Python give it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from numbers import Integral
from typing import Any, TypeVar
from uuid import UUID

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError, TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.numbers import number_of, text_of
from airflow_provider_tallyfy.api.inputs.problems import invalid, invalid_items
from airflow_provider_tallyfy.api.models.run import RunStatus, parse_time
from airflow_provider_tallyfy.api.text import short_repr

_Kind = TypeVar("_Kind", list[object], dict[str, object])

_EMPTY = "is empty (did the upstream task push an XCom?)"

#: Why a text reads "None", for messages.
RENDERED_NONE = "a template rendered it for a missing value (did the upstream task push an XCom?)"

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes"}
_AGE = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*([wdhm])")
_BARE_NUMBER = re.compile(r"\s*(?:(\d{1,6})(?:\.0+)?|-?\d+(?:\.\d+)?)\s*")
_PRINTED_TIMEDELTA = re.compile(r"(?:(\d{1,9}) days?, )?(\d{1,2}):(\d\d):(\d\d(?:\.\d{1,6})?)")
_AGES = 'Ages are text such as "90d", "12h", "30m" or "2w", or a timedelta.'

# The address of a run in the web app, in any of the forms that Tallyfy's pages and webhooks show.
_RUN_ADDRESS = re.compile(r"https?://\S+?/(?:processes|tracker|runs)/([\w-]+)(?:[/?#]\S*)?")

_MAX_ID = 255
_MAX_LEVELS = 100
_MAX_DIGITS = 18


def is_rendered_none(text: str) -> bool:
    """Whether a text is what templates make of a missing value."""
    return text.strip() in ("None", "null")


def checked_id(value: object, name: str = "run_id") -> str:
    """
    Check an id before it becomes part of a path.

    It may be a whole number, or a task's result that holds it; that of a run may be its address in the web app.
    """
    given = parse_rendered(value)
    if isinstance(given, Mapping):
        value = given.get(name, given.get("id"))
    text = text_of(value)
    if text is not None and not isinstance(value, str) and not text.isdecimal():
        text = None
    if name.startswith("run_id") and (address := _RUN_ADDRESS.fullmatch((text or "").strip())):
        text = address[1]
    problem = _text_problem(value, text) or _id_problem(text or "")
    if text is None or problem:
        raise invalid(
            name, value, problem, "Tallyfy ids are 32 hexadecimal digits, as in the addresses of its web app."
        )
    return text


def _id_problem(text: str) -> str:
    if not text.isprintable() or text.split() != [text]:
        return "contains white space or control characters"
    if "/" in text or "\\" in text or text in (".", ".."):
        return "contains a path, not an id"
    return f"is longer than {_MAX_ID} characters" if len(text) > _MAX_ID else ""


def checked_ids(given: Iterable[object], name: str = "run_ids") -> list[str]:
    """Check ids, or the results of tasks that hold them, and give each once, in order."""
    ids: dict[str, None] = {}
    problems: list[TallyfyValidationError] = []
    for number, item in enumerate(given, start=1):
        try:
            ids[checked_id(_of_run(item), f"{name}[{number}]")] = None
        except TallyfyValidationError as error:
            problems.append(error)
    if problems:
        raise invalid_items(name, problems, "Nothing was sent.")
    return list(ids)


def _of_run(item: object) -> object:
    """Give the id of a run from a task's result: what belongs to a run has an id of its own."""
    given = parse_rendered(item)
    return given.get("run_id", given.get("id")) if isinstance(given, Mapping) else item


def checked_status(value: object, name: str) -> str:
    """Check the name of a run status."""
    known = [status.value for status in RunStatus]
    if isinstance(value, str) and value in known:
        return str(value)
    raise invalid(name, value, "is not a status of a Tallyfy run", f"Valid: {', '.join(known)}.")


def checked_time(value: date | str | None, name: str) -> datetime | None:
    """Check a moment: a datetime, a date or ISO 8601 text; without a time zone it is UTC, empty is ``None``."""
    try:
        return parse_time(value.isoformat() if isinstance(value, date) else value)
    except (ValueError, OverflowError):
        raise invalid(name, value, "is not a moment like 2026-09-29T21:00:00Z") from None


def free_text(value: object, name: str, *, may_be_empty: bool = True) -> str:
    """Check a text that people read, and leave it as it is; numbers are accepted, since native rendering makes them."""
    text = str(value) if isinstance(value, UUID | date) else text_of(value)
    problem = _text_problem(value, text, may_be_empty=may_be_empty and isinstance(value, str))
    if text is None or problem:
        raise invalid(name, value, problem)
    return text


def _text_problem(value: object, text: str | None, *, may_be_empty: bool = False) -> str:
    if value is None:
        return "is missing"
    if text is None:
        return f"is a {type(value).__name__}, not text"
    if is_rendered_none(text):
        return f"is empty: {RENDERED_NONE}"
    return _EMPTY if not text.strip() and not may_be_empty else ""


def checked_text(value: object, name: str) -> str:
    """Check a text that must not be empty, and give it without the white space around it."""
    return free_text(value, name, may_be_empty=False).strip()


def listed(value: object, name: str) -> tuple[str, ...]:
    """Read several texts or ids: a list, or text with commas or in the notation of a list; nothing gives none."""
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        value = parse_list(value) if value.lstrip().startswith("[") else value.split(",")
    if not isinstance(value, Iterable) or isinstance(value, Mapping | bytes):
        raise invalid(name, value, "is not a list")
    return tuple(checked_text(item, name) for item in value)


def parse_list(text: str) -> list[object] | None:
    """Read the text that a template made of a list, in JSON's notation or Python's; ``None`` if it is not one."""
    return _parse_literal(text, list) if text.lstrip().startswith("[") else None


def parse_rendered(value: Any) -> Any:
    """Read the text that a template made of an object or a list, in either notation; leave all else as it is."""
    if not isinstance(value, str):
        return value
    found = parse_list(value) if value.lstrip().startswith("[") else _parse_literal(value, dict)
    return value if found is None else found


def _parse_literal(text: str, kind: type[_Kind]) -> _Kind | None:
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue  # hostile text raises all of these
        if isinstance(found, kind):
            return found
    return None


def plain_json(value: Any, name: str, level: int = 1) -> Any:
    """Write raw values in the types that JSON has: moments as ISO 8601 text, decimals as numbers, sets as lists."""
    if level > _MAX_LEVELS:
        raise invalid(name, value, f"has more than {_MAX_LEVELS} levels of lists and objects")
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if text_of(key) is None:
                raise invalid(name, value, f"has the key {short_repr(key)}, a {type(key).__name__}, not text")
        return {text_of(key): plain_json(value[key], f"{name}[{short_repr(key)}]", level + 1) for key in value}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        return [plain_json(item, name, level + 1) for item in value]
    return _plain_scalar(value, name)


def _plain_scalar(value: Any, name: str) -> str | float:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID) or (isinstance(value, Decimal) and name.startswith("prerun") and value.is_finite()):
        return str(value)  # the answers of a form are text
    number = number_of(value)
    if number is None:
        raise invalid(name, value, f"is a {type(value).__name__}, which JSON cannot hold")
    if isinstance(value, Integral) or (isinstance(value, Decimal) and value == value.to_integral_value()):
        return int(value)
    return number


def checked_object(value: object, name: str) -> Mapping[str, object]:
    """Check values by name, which may be text in JSON's notation or Python's; nothing gives no values."""
    text = value.strip() if isinstance(value, str) else None
    if value is None or text == "":
        return {}
    given = value if text is None else _parse_literal(text, dict)
    if isinstance(given, Mapping):
        return given
    is_nothing = text is not None and is_rendered_none(text)
    raise invalid(name, value, f"is empty: {RENDERED_NONE}" if is_nothing else "is not an object")


def checked_count(value: object, name: str, least: int = 1) -> int | None:
    """Check a number of things, which may be text; nothing gives ``None``."""
    if value is None or value == "":
        return None
    text = (text_of(value) or "").strip()
    if not text.isdecimal() or len(text) > _MAX_DIGITS or int(text) < least:
        raise invalid(name, value, f"is not a whole number of at least {least}")
    return int(text)


def checked_seconds(value: object, name: str, *, least: float | None = None) -> float:
    """Check seconds or a timedelta, above zero or of at least ``least``; it is not templated, so text is invalid."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else number_of(value)
    if seconds is not None and (seconds > 0 if least is None else seconds >= least):
        return int(seconds) if isinstance(value, Integral) else seconds
    bound = "above zero" if least is None else f"of at least {least:g}"
    raise invalid(name, value, f"is not a finite number of seconds {bound}")


def moment_before(now: datetime, age: object, name: str) -> datetime | None:
    """
    Read an age as the moment when it began: a timedelta, also as text, or text like ``"90d"``; nothing gives ``None``.

    A bare number is refused: one reader would take it for days, another for seconds.
    """
    if age is None or age == "":
        return None
    span = age if isinstance(age, timedelta) else _age_in_text(age)
    try:
        if span is not None and span >= timedelta(0):
            return now - span
    except OverflowError:
        pass  # before the year 1
    number = _BARE_NUMBER.fullmatch(text_of(age) or "")
    raise invalid(name, age, f'has no unit: write "{number[1] or 90}d"' if number else "is not an age", _AGES)


def _age_in_text(age: object) -> timedelta | None:
    text = age.strip().lower() if isinstance(age, str) else ""
    if written := _AGE.fullmatch(text):
        return timedelta(**{_UNITS[written[2]]: float(written[1])})
    if printed := _PRINTED_TIMEDELTA.fullmatch(text):
        days, hours, minutes, seconds = printed.groups(default="0")
        return timedelta(int(days), float(seconds), hours=int(hours), minutes=int(minutes))
    return None


def checked_flag(value: object, name: str) -> bool:
    """Check a switch, which may be text."""
    word = str(value).strip().lower() if isinstance(value, str | bool) else ""
    if word not in ("true", "false"):
        raise invalid(name, value, "is neither true nor false")
    return word == "true"


def required_organization(organization_id: object) -> str:
    """Check that there is an organization id, the task's or the connection's."""
    if organization_id in (None, ""):
        raise TallyfyConfigurationError(
            "No Tallyfy organization is given.\nPut organization_id into the connection's extra, or pass it."
        )
    return checked_id(organization_id, "organization_id")
