"""Numbers as text and back; a whole number stays the same although it was a float on its way."""

from __future__ import annotations

import math
from decimal import Decimal
from numbers import Real


def without_fraction(number: float) -> int | float:
    """
    Give a whole float as the int that it was: pandas makes floats of all ints of a column that has a gap.

    Beyond 2**53 it may have been another int, so it stays as it is.
    """
    return int(number) if number.is_integer() and abs(number) < 2**53 else float(number)


def plain_text(value: object) -> str:
    """Write a value as text; NaN, which is pandas' missing value, becomes empty text like ``None``."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, Decimal) and value.is_nan():
        return ""
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return f"{value:.0f}"
    return str(without_fraction(value) if isinstance(value, float) else value)


def text_of(value: object) -> str | None:
    """
    Give text as it is, and a number as text; ``None`` for anything else.

    Native rendering makes numbers of texts, and databases give decimals: a whole one is the same as the int.
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
    """Give a number as a float; ``None`` for anything else, and for infinity and NaN."""
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
