"""Arguments are checked here, before they become part of a request."""

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
from airflow_provider_tallyfy.api.models.run import RunStatus, parse_time
from airflow_provider_tallyfy.api.presentable import shown

_Kind = TypeVar("_Kind", list[object], dict[str, object])

#: What is wrong with the text of nothing, in words for whoever has to find out why.
RENDERED_FOR_NOTHING = "a template rendered it for a missing value (did the upstream task push it?)"

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes"}
_AGE = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s*([wdhm])")
_BARE_NUMBER = re.compile(r"\s*(?:(\d{1,6})(?:\.0+)?|-?\d+(?:\.\d+)?)\s*")
_PRINTED_TIMEDELTA = re.compile(r"(?:(\d{1,9}) days?, )?(\d{1,2}):(\d\d):(\d\d(?:\.\d{1,6})?)")
_AGES = 'Ages are text such as "90d", "12h", "30m" or "2w", or a timedelta.'

_LONGEST_ID = 255
_MOST_PROBLEMS = 20
_MOST_LEVELS = 100
_MOST_DIGITS = 18


def refused(name: str, problems: list[str], consequence: str) -> TallyfyValidationError:
    """
    Put all problems of an input into one error.

    :param name: the parameter.
    :param problems: what is wrong.
    :param consequence: what was not done, unless it is said elsewhere.
    """
    lines = "".join(f"\n- {problem}" for problem in problems[:_MOST_PROBLEMS])
    more = f"\n- and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
    count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
    return TallyfyValidationError(
        f"{name} has {count}, correct the input.{f' {consequence}' if consequence else ''}{lines}{more}",
        fields={name: problems},
    )


def is_rendered_for_nothing(text: str) -> bool:
    """
    Whether a text is what templates make of a value that is not there.

    :param text: the text.
    """
    return text.strip() in ("None", "null")


def checked_id(value: object, name: str = "run_id") -> str:
    """
    Check an id before it becomes part of a path.

    :param value: text; a whole number, since native template rendering makes them; or a dict with the id, as tasks
        hand it on, or its text.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is empty, or could leave its place in the path.
    """
    given = unrendered(value)
    if isinstance(given, Mapping):
        value = given.get(name, given.get("id"))
    text = text_of(value)
    if text is None or not (isinstance(value, str) or text.isdecimal()):
        problem = "it is missing" if value is None else f"it is a {type(value).__name__}, not text"
    elif not text.strip():
        problem = "it is empty"
    elif is_rendered_for_nothing(text):
        problem = RENDERED_FOR_NOTHING
    elif not text.isprintable() or text.split() != [text]:
        problem = "it contains white space or control characters"
    elif "/" in text or "\\" in text or text in (".", ".."):
        problem = "it contains a path, not an id"
    elif len(text) > _LONGEST_ID:
        problem = f"it is longer than {_LONGEST_ID} characters"
    else:
        return text
    raise TallyfyValidationError(
        f"{name} {shown(value)} is not usable: {problem}. Tallyfy ids are 32 hexadecimal digits, as in the "
        f"address of the run in the web app.",
        fields={name: [problem]},
    )


def checked_ids(given: Iterable[object], name: str = "run_ids") -> list[str]:
    """
    Check ids, and give each once, in order.

    :param given: ids, or dicts with an ``id``, as tasks hand them on.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: naming every id that is not usable.
    """
    ids: dict[str, None] = {}
    problems: list[str] = []
    for number, item in enumerate(given, start=1):
        try:
            ids[checked_id(_of_run(item), f"{name}[{number}]")] = None
        except TallyfyValidationError as error:
            problems.append(str(error))
    if problems:
        raise refused(name, problems, "Nothing was sent.")
    return list(ids)


def _of_run(item: object) -> object:
    """Give the id of a run from what a task handed on: what belongs to a run has an id of its own."""
    given = unrendered(item)
    return given.get("run_id", given.get("id")) if isinstance(given, Mapping) else item


def checked_status(value: object, name: str) -> str:
    """
    Check the name of a run status.

    :param value: what the user gave.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is not one, naming those that are.
    """
    known = [status.value for status in RunStatus]
    if isinstance(value, str) and value in known:
        return str(value)
    raise TallyfyValidationError(
        f"{name} {shown(value)} is not a status of a Tallyfy run. Valid: {', '.join(known)}.",
        fields={name: ["unknown"]},
    )


def checked_time(value: date | str | None, name: str) -> datetime | None:
    """
    Check a moment, which may come out of a template as text.

    :param value: a datetime, a date or ISO 8601 text; without a time zone it is UTC.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is neither empty nor a moment.
    """
    try:
        return parse_time(value.isoformat() if isinstance(value, date) else value)
    except (ValueError, OverflowError):
        raise TallyfyValidationError(
            f"{name}={shown(value)} is not a moment like 2026-09-29T21:00:00Z.", fields={name: ["not a moment"]}
        ) from None


def free_text(value: object, name: str, *, may_be_empty: bool = True) -> str:
    """
    Check a text that people read, and leave it as it is.

    :param value: what the user gave; numbers are accepted, since native template rendering makes them.
    :param name: name of the parameter, for the message.
    :param may_be_empty: whether it may say nothing.
    :raises TallyfyValidationError: if it is missing or no text, or a template rendered it for a missing value.
    """
    text = _written(value)
    if value is None:
        problem = "it is missing"
    elif text is None:
        problem = f"it is a {type(value).__name__}, not text"
    elif is_rendered_for_nothing(text):
        problem = RENDERED_FOR_NOTHING
    elif not text.strip() and not (may_be_empty and isinstance(value, str)):
        problem = "it is empty"
    else:
        return text
    raise TallyfyValidationError(f"{name} {shown(value)} is not usable: {problem}.", fields={name: [problem]})


def checked_text(value: object, name: str) -> str:
    """
    Check a text that must say something.

    :param value: what the user gave; numbers are accepted, since native template rendering makes them, and a whole
        float is the same as the int.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is empty, or a template rendered it for a missing value.
    """
    text = "" if value is None else _written(value)
    if text is None:
        problem = f"it is a {type(value).__name__}, not text"
        raise TallyfyValidationError(f"{name}={shown(value)} is not usable: {problem}.", fields={name: [problem]})
    if not text.strip() or is_rendered_for_nothing(text):
        raise TallyfyValidationError(
            f"{name}={shown(value)} says nothing (did the upstream task push it?).", fields={name: ["empty"]}
        )
    return text.strip()


def _written(value: object) -> str | None:
    """Write what has one form as text; nothing else becomes text unnoticed."""
    return str(value) if isinstance(value, UUID | date) else text_of(value)


def listed(value: object, name: str) -> tuple[str, ...]:
    """
    Read several texts or ids, which may come out of a template as one text: with commas, or as a list is written.

    :param value: a list of texts or numbers, such a text, or nothing.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is anything else, or one of the items says nothing.
    """
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        value = list_in_text(value) if value.lstrip().startswith("[") else value.split(",")
    if not isinstance(value, Iterable) or isinstance(value, Mapping | bytes):
        raise TallyfyValidationError(f"{name}={shown(value)} is not a list.", fields={name: ["no list"]})
    return tuple(checked_text(item, name) for item in value)


def list_in_text(text: str) -> list[object] | None:
    """
    Read what a template made of a list: JSON's notation or Python's.

    :param text: such a text.
    :return: the list; ``None`` if it is none.
    """
    return _in_text(text, list) if text.lstrip().startswith("[") else None


def plain_json(value: Any, name: str, level: int = 1) -> Any:
    """
    Write raw values in the types that JSON has: moments as ISO 8601 text, decimals as numbers, sets as lists.

    :param value: what the user gave.
    :param name: where it stands, for the message.
    :param level: how deep in other values it is.
    :raises TallyfyValidationError: if a part of it has no such form, or they are nested too deep.
    """
    if level > _MOST_LEVELS:
        problem = f"more than {_MOST_LEVELS} levels of lists and objects"
        raise TallyfyValidationError(
            f"{name} cannot be sent: it has {problem}.", fields={name.partition("[")[0]: [problem]}
        )
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return {_key(key, name): plain_json(value[key], f"{name}[{shown(key)}]", level + 1) for key in value}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        return [plain_json(item, name, level + 1) for item in value]
    return _plain_scalar(value, name)


def _plain_scalar(value: Any, name: str) -> str | float:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID) or (isinstance(value, Decimal) and name.startswith("prerun") and value.is_finite()):
        return str(value)  # the answers of a form are text
    number = number_of(value)
    if number is not None:
        if isinstance(value, Integral) or (isinstance(value, Decimal) and value == value.to_integral_value()):
            return int(value)
        return number
    raise TallyfyValidationError(
        f"{name} has a value that cannot be sent: {shown(value)}, a {type(value).__name__}.",
        fields={name.partition("[")[0]: ["no JSON value"]},
    )


def _key(key: object, name: str) -> str:
    text = text_of(key)
    if text is None:
        problem = f"the key {shown(key)} is a {type(key).__name__}, not text"
        raise TallyfyValidationError(f"{name}: {problem}.", fields={name.partition("[")[0]: [problem]})
    return text


def unrendered(value: Any) -> Any:
    """
    Read the text that a template made of an object or a list, in JSON's notation or Python's; leave all else as it is.

    :param value: what the user gave.
    """
    if not isinstance(value, str):
        return value
    found = list_in_text(value) if value.lstrip().startswith("[") else _in_text(value, dict)
    return value if found is None else found


def checked_object(value: object, name: str) -> Mapping[str, object]:
    """
    Check values by name, which may come out of a template as text, in JSON's notation or Python's.

    :param value: what the user gave; nothing gives no values.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is anything else, or a template rendered it for a missing value.
    """
    text = value.strip() if isinstance(value, str) else None
    if value is None or text == "":
        return {}
    given = value if text is None else _in_text(text, dict)
    if isinstance(given, Mapping):
        return given
    is_nothing = text is not None and is_rendered_for_nothing(text)
    problem = RENDERED_FOR_NOTHING if is_nothing else "expected values by name"
    raise TallyfyValidationError(f"{name} is {shown(value)}: {problem}.", fields={name: [problem]})


def _in_text(text: str, kind: type[_Kind]) -> _Kind | None:
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue  # hostile text raises all of these
        if isinstance(found, kind):
            return found
    return None


def checked_count(value: object, name: str, least: int = 1) -> int | None:
    """
    Check a number of things, which may come out of a template as text.

    :param value: what the user gave; nothing gives ``None``.
    :param name: name of the parameter, for the message.
    :param least: the smallest that makes sense.
    :raises TallyfyValidationError: if it is no whole number, or a smaller one.
    """
    if value is None or value == "":
        return None
    text = (text_of(value) or "").strip()
    if not text.isdecimal() or len(text) > _MOST_DIGITS or int(text) < least:
        raise TallyfyValidationError(
            f"{name}={shown(value)} is not a whole number of at least {least}.", fields={name: ["no number"]}
        )
    return int(text)


def checked_seconds(value: object, name: str, *, least: float | None = None) -> float:
    """
    Check a duration that comes out of no template, so that text is invalid.

    :param value: a number of seconds or a timedelta.
    :param name: name of the parameter, for the message.
    :param least: the smallest that makes sense; ``None`` for any above zero.
    :raises TallyfyValidationError: if it is no number, no finite one, or a smaller one.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else number_of(value)
    if seconds is not None and (seconds > 0 if least is None else seconds >= least):
        return int(seconds) if isinstance(value, Integral) else seconds
    bound = "above zero" if least is None else f"of at least {least:g}"
    raise TallyfyValidationError(
        f"{name}={shown(value)} is not a finite number of seconds {bound}.", fields={name: ["no number of seconds"]}
    )


def moment_before(now: datetime, age: object, name: str) -> datetime | None:
    """
    Read an age as the moment when it began.

    A bare number is refused: one reader would take it for days, another for seconds.

    :param age: a timedelta, also as text, or text like ``"90d"``; nothing gives ``None``.
    """
    if age is None or age == "":
        return None
    span = age if isinstance(age, timedelta) else _age_in_text(age)
    try:
        if span is not None and span >= timedelta(0):
            return now - span
    except OverflowError:
        pass  # before the year 1
    problem = f"{name}={shown(age)} is not an age."
    if number := _BARE_NUMBER.fullmatch(text_of(age) or ""):
        problem = f'{name}={shown(age)} has no unit: write "{number[1] or 90}d".'
    raise TallyfyValidationError(f"{problem}\n{_AGES}", fields={name: ["not an age"]})


def _age_in_text(age: object) -> timedelta | None:
    text = age.strip().lower() if isinstance(age, str) else ""
    if written := _AGE.fullmatch(text):
        return timedelta(**{_UNITS[written[2]]: float(written[1])})
    if printed := _PRINTED_TIMEDELTA.fullmatch(text):
        days, hours, minutes, seconds = printed.groups(default="0")
        return timedelta(int(days), float(seconds), hours=int(hours), minutes=int(minutes))
    return None


def checked_flag(value: object, name: str) -> bool:
    """
    Check a switch, which may come out of a template as text.

    :param value: what the user gave.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is neither true nor false.
    """
    word = str(value).strip().lower() if isinstance(value, str | bool) else ""
    if word not in ("true", "false"):
        raise TallyfyValidationError(f"{name}={shown(value)} is neither true nor false.", fields={name: ["no flag"]})
    return word == "true"


def required_organization(organization_id: object) -> str:
    """
    Check that there is an organization id.

    :raises TallyfyConfigurationError: if neither the task nor the connection gives one.
    """
    if organization_id in (None, ""):
        raise TallyfyConfigurationError(
            "No Tallyfy organization is given: put organization_id into the connection's extra, or give the task one."
        )
    return checked_id(organization_id, "organization_id")
