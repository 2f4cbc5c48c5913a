"""Arguments are checked here, before they become part of a request."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError, TallyfyValidationError
from airflow_provider_tallyfy.api.models import RunStatus, parse_time
from airflow_provider_tallyfy.api.numbers import plain_text

_Kind = TypeVar("_Kind", list[object], dict[str, object])

#: What is wrong with the text of nothing, in words for whoever has to find out why.
RENDERED_FOR_NOTHING = "a template rendered it for a missing value (did the upstream task push it?)"

_LONGEST_ID = 255
_MOST_PROBLEMS = 20


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

    :param value: what the user gave; numbers are accepted, since native template rendering makes them.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is empty, or could leave its place in the path.
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        problem = "it is missing" if text is None else f"it is a {type(text).__name__}, not text"
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
        f"{name} {str(value)[:80]!r} is not usable: {problem}. Tallyfy ids are 32 hexadecimal digits, as in the "
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
            ids[checked_id(item.get("id") if isinstance(item, Mapping) else item, f"{name}[{number}]")] = None
        except TallyfyValidationError as error:
            problems.append(str(error))
    if problems:
        raise refused(name, problems, "Nothing was sent.")
    return list(ids)


def checked_status(value: str, name: str) -> str:
    """
    Check the name of a run status.

    :param value: what the user gave.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is not one, naming those that are.
    """
    try:
        return RunStatus(value).value
    except ValueError:
        known = ", ".join(status.value for status in RunStatus)
        raise TallyfyValidationError(
            f"{name} {value!r} is not a status of a Tallyfy run. Valid: {known}.", fields={name: ["unknown"]}
        ) from None


def checked_time(value: datetime | str | None, name: str) -> datetime | None:
    """
    Check a moment, which may come out of a template as text.

    :param value: a datetime or ISO 8601 text; without a time zone it is UTC.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is neither empty nor a moment.
    """
    try:
        return parse_time(value.isoformat() if isinstance(value, datetime) else value)
    except ValueError:
        raise TallyfyValidationError(
            f"{name}={value!r} is not a moment like 2026-09-29T21:00:00Z.", fields={name: ["not a moment"]}
        ) from None


def free_text(value: object, name: str, *, may_be_empty: bool = True) -> str:
    """
    Check a text that people read, and leave it as it is.

    :param value: what the user gave; numbers are accepted, since native template rendering makes them.
    :param name: name of the parameter, for the message.
    :param may_be_empty: whether it may say nothing.
    :raises TallyfyValidationError: if it is missing or no text, or a template rendered it for a missing value.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    text = plain_text(value) if is_number else value
    if value is None:
        problem = "it is missing"
    elif not isinstance(text, str):
        problem = f"it is a {type(value).__name__}, not text"
    elif is_rendered_for_nothing(text):
        problem = RENDERED_FOR_NOTHING
    elif not text.strip() and (is_number or not may_be_empty):
        problem = "it is empty"
    else:
        return text
    raise TallyfyValidationError(f"{name} {str(value)[:80]!r} is not usable: {problem}.", fields={name: [problem]})


def checked_text(value: object, name: str) -> str:
    """
    Check a text that must say something.

    :param value: what the user gave; numbers are accepted, since native template rendering makes them, and a whole
        float is the same as the int.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is empty, or a template rendered it for a missing value.
    """
    text = plain_text(value).strip()
    if not text or is_rendered_for_nothing(text):
        raise TallyfyValidationError(
            f"{name}={value!r} says nothing (did the upstream task push it?).", fields={name: ["empty"]}
        )
    return text


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
        raise TallyfyValidationError(f"{name}={value!r} is not a list.", fields={name: ["no list"]})
    return tuple(checked_text(item, name) for item in value)


def list_in_text(text: str) -> list[object] | None:
    """
    Read what a template made of a list: JSON's notation or Python's.

    :param text: such a text.
    :return: the list; ``None`` if it is none.
    """
    return _in_text(text, list) if text.lstrip().startswith("[") else None


def plain_json(value: Any, name: str) -> Any:
    """
    Write raw values in the types that JSON has: moments as ISO 8601 text, decimals as numbers, sets as lists.

    :param value: what the user gave.
    :param name: where it stands, for the message.
    :raises TallyfyValidationError: if a part of it has no such form.
    """
    if isinstance(value, Mapping):
        return {str(key): plain_json(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_json(item, name) for item in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal) and name.startswith("prerun") and value.is_finite():
        return str(value)  # the answers of a form are text
    if isinstance(value, Decimal):
        value = int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    is_number = isinstance(value, int | float) and abs(value) <= sys.float_info.max  # neither NaN nor infinity is
    if value is None or isinstance(value, str) or is_number:
        return value
    raise TallyfyValidationError(
        f"{name} has a value that cannot be sent: {str(value)[:80]!r}, a {type(value).__name__}.",
        fields={name.partition("[")[0]: ["no JSON value"]},
    )


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
    raise TallyfyValidationError(f"{name} is {str(value)[:80]!r}: {problem}.", fields={name: [problem]})


def _in_text(text: str, kind: type[_Kind]) -> _Kind | None:
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text.strip())
        except (ValueError, SyntaxError):
            continue
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
    text = str(value).strip()
    if not text.isdecimal() or int(text) < least:
        raise TallyfyValidationError(
            f"{name}={value!r} is not a whole number of at least {least}.", fields={name: ["no number"]}
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
    value = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(value, int | float) and not isinstance(value, bool):
        is_enough = value > 0 if least is None else value >= least
        if is_enough and value <= sys.float_info.max:
            return value
    bound = "above zero" if least is None else f"of at least {least:g}"
    raise TallyfyValidationError(
        f"{name}={value!r} is not a finite number of seconds {bound}.", fields={name: ["no number of seconds"]}
    )


def moment_before(now: datetime, age: timedelta | float | str | None, name: str) -> datetime | None:
    """
    Read an age as the moment when it began.

    :param now: the present moment.
    :param age: a timedelta or a number of days, which may come out of a template as text; nothing gives ``None``.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is no age.
    """
    if age is None or age == "":
        return None
    try:
        span = age if isinstance(age, timedelta) else timedelta(days=float(age))
        if span >= timedelta(0):
            return now - span
    except (TypeError, ValueError, OverflowError):
        pass
    raise TallyfyValidationError(
        f"{name}={age!r} is neither a timedelta nor a number of days.", fields={name: ["no age"]}
    )


def checked_flag(value: object, name: str) -> bool:
    """
    Check a switch, which may come out of a template as text.

    :param value: what the user gave.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: if it is neither true nor false.
    """
    word = str(value).strip().lower()
    if word not in ("true", "false"):
        raise TallyfyValidationError(f"{name}={value!r} is neither true nor false.", fields={name: ["no flag"]})
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
