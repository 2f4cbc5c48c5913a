"""Parse JSON of others within limits; everything odd in it becomes an error that says so."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

SentT = TypeVar("SentT")
ReadT = TypeVar("ReadT")

#: How deeply lists and objects may be nested. Tallyfy's answers reach about ten.
MAX_DEPTH = 100

#: The most digits of an integer that every database and message format can store (64 bits).
_MAX_DIGITS = 18
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def parsed(parse: Callable[[SentT], ReadT], sent: SentT, refuse: Callable[[str], Exception]) -> ReadT:
    """Call a parser, and turn whatever it raises into one kind of error."""
    try:
        return parse(sent)
    except (ValueError, TypeError) as problem:
        words = str(problem)
    except Exception as problem:  # noqa: BLE001 - a parser that fails in any way means that the text is defective
        words = f"{type(problem).__name__}: {problem}"
    raise refuse(words)  # outside, so that the error does not carry the text along as its context


def loads(text: str | bytes) -> Any:
    """Parse JSON; a lone surrogate becomes U+FFFD. ``ValueError`` if it is not JSON, or is nested too deeply."""
    return _parse(text)


def loads_answer(text: bytes) -> Any:
    """Parse the JSON of an answer like :func:`loads`; a number that does not fit into 64 bits is read as its text."""
    return _parse(text, parse_int=_storable_int, parse_float=_storable_float, parse_constant=str)


def _parse(text: str | bytes, **options: Any) -> Any:
    try:
        return _storable(json.loads(text, **options), 0)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _storable(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else _LONE_SURROGATE.sub("\ufffd", value)
    if not isinstance(value, dict | list):
        return value
    if depth == MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, list):
        return [_storable(item, depth + 1) for item in value]
    return {_storable(name, depth): _storable(item, depth + 1) for name, item in value.items()}


def _storable_int(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


def _storable_float(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits
