"""Numbers as text: the same one, however often it was a float on its way."""

from __future__ import annotations

import math


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
    return str(without_fraction(value) if isinstance(value, float) else value)
