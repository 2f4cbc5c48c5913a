"""What a page says of its list, and what follows from it where Tallyfy says less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Rows to ask for per page: the server gives 100 at most, and 10 if nobody asks.
PAGE_SIZE = 100


def read_pagination(pagination: Mapping[str, Any], rows: int, asked: int) -> tuple[int, int, int | None]:
    """
    Read the number of a page, how many pages there are, and how many items the whole list has.

    Pages that are not counted follow from the number of items; without that either, a full page may have a next one.

    :param pagination: what the page says; nothing at all is fine.
    :param rows: how many rows the page has.
    :param asked: number of the page that was asked for, with :data:`PAGE_SIZE` rows.
    :return: the third is ``None`` if the page does not say it.
    :raises ValueError: naming what is no number.
    """
    number = _count(pagination, "current_page", asked)
    pages = number + 1 if rows == PAGE_SIZE else number
    total = _count(pagination, "total") if "total" in pagination else None
    if total is not None:
        pages = max(1, -(-total // (_count(pagination, "per_page", 0) or PAGE_SIZE)))
    return number, _count(pagination, "total_pages", pages), total


def _count(pagination: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = pagination.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f'"{name}" of the list is {str(value)[:80]!r}, not a number')
    return value
