"""Numbers as text: the same one, however often it was a float on its way."""

from __future__ import annotations

import math
from decimal import Decimal
from numbers import Real


def without_fraction(number: float) -> int | float:
    """
    Give a whole float as the int that it was: pandas makes floats of all ints of a column that has a gap.

    :param number: the float; beyond 2**53 it may have been another int, and stays as it is.
    """
    return int(number) if number.is_integer() and abs(number) < 2**53 else float(number)


def plain_text(value: object) -> str:
    """
    Write a value as text, with no text for nothing, which pandas writes as a float that is no number.

    :param value: what the user gave.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, Decimal) and value.is_nan():
        return ""
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return f"{value:.0f}"
    return str(without_fraction(value) if isinstance(value, float) else value)


def text_of(value: object) -> str | None:
    """
    Give text as it is, and a number as text; a whole float or decimal is the same as the int.

    :param value: what the user gave; native rendering makes numbers of texts, and databases give decimals.
    :return: ``None`` for anything else.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    try:
        return plain_text(value)
    except ValueError:
        return None  # an integer of more digits than Python writes


def number_of(value: object) -> float | None:
    """
    Give a number as a float.

    :param value: what the user gave.
    :return: ``None`` for anything that is no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
