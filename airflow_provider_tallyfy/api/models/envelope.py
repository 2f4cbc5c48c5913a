"""What answers of Tallyfy hold: an object, a page of a list, a token, or nothing that matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from airflow_provider_tallyfy.api.call import Answer
from airflow_provider_tallyfy.api.text import MASK

#: Rows to ask for per page: the server gives 100 at most, and 10 by default.
PAGE_SIZE = 100

_MAX_CODE = 200
_MAX_COUNTED = 10**9


@dataclass(frozen=True)
class Page:
    """
    One page of a list.

    :param number: number of the page, from 1, as Tallyfy counts it.
    :param total_pages: how many pages there are, as far as Tallyfy says it.
    :param total: how many items Tallyfy says the whole list has; ``None`` if it does not say it.
    """

    rows: tuple[Mapping[str, Any], ...]
    number: int
    total_pages: int
    total: int | None = None


def read_item(answer: Answer) -> Mapping[str, Any]:
    """Read ``{"data": {...}}``."""
    data = _envelope(answer).get("data")
    if not isinstance(data, Mapping):
        raise ValueError(f'expected an object in "data", got {kind_of(data)}')
    return data


def read_page(answer: Answer, asked: int = 1) -> Page:
    """Read ``{"data": [...], "meta": {"pagination": {...}}}``, of which ``meta`` may be missing."""
    envelope = _envelope(answer)
    rows = envelope.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(f'expected a list of objects in "data", got {kind_of(rows)}')
    meta = envelope.get("meta") or {}
    pagination = (meta.get("pagination") or {}) if isinstance(meta, Mapping) else None
    if not isinstance(pagination, Mapping):
        raise ValueError('the "meta" of the list is not readable')
    number, total_pages, total = _pagination(pagination, len(rows), asked)
    return Page(tuple(rows), number, total_pages, total)


def read_token(answer: Answer) -> str:
    """Read the access token that a token endpoint issued, wrapped in ``data`` or not."""
    token = read_object(answer).get("access_token")
    if not isinstance(token, str) or not is_token(token):
        raise ValueError("the answer holds no access_token, or one that no header can carry")
    return token


def read_object(answer: Answer) -> Mapping[str, Any]:
    """Read an object that may or may not be wrapped in ``data``."""
    envelope = _envelope(answer)
    data = envelope.get("data", envelope)
    if not isinstance(data, Mapping):
        raise ValueError(f"expected an object, got {kind_of(data)}")
    return data


def read_nothing(answer: Answer) -> None:
    """Accept any 2xx answer, empty or not."""


def is_token(text: str) -> bool:
    """Whether a text can travel as a bearer token: visible ASCII characters, and at least one."""
    return text.isascii() and text.isprintable() and " " not in text and text != ""


def is_code(value: object) -> TypeGuard[str]:
    """Whether a value can be an id or a status: printable text of limited length, of which nothing was masked."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_CODE and value.isprintable() and MASK not in value


def read_id(row: Mapping[str, Any]) -> str:
    """Read only the id of an item, whatever else it holds."""
    item_id = row.get("id")
    if not is_code(item_id):
        raise ValueError("it has no id")
    return item_id


def optional_text(value: object) -> str | None:
    """Read text that no decision needs; ``None`` if it is not text."""
    return value if isinstance(value, str) else None


def optional_id(value: object) -> str | None:
    """Read an id that no decision needs: some of Tallyfy's are numbers in one place and text in another."""
    text = str(value) if isinstance(value, int) else value
    return text if is_code(text) else None


def _envelope(answer: Answer) -> Mapping[str, Any]:
    try:
        envelope = answer.json()
    except ValueError:
        kind = "an HTML page" if answer.body.lstrip()[:1] == b"<" else "text that is not JSON"
        raise ValueError(f"got {kind if answer.body.strip() else 'an empty body'}") from None
    if not isinstance(envelope, Mapping):
        raise ValueError(f"expected an object, got {kind_of(envelope)}")
    return envelope


def _pagination(pagination: Mapping[str, Any], rows: int, asked: int) -> tuple[int, int, int | None]:
    """
    Read the number of a page, how many pages there are, and how many items the whole list has, if the page says it.

    Pages that are not counted follow from the number of items; without that either, a full page may have a next one.
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
        value = int(value[:_MAX_CODE])
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MAX_COUNTED:
        raise ValueError(f'"{name}" of the list is {str(value)[:80]!r}, not a number')
    return value


def kind_of(value: object) -> str:
    """Say what a value is, for a message about what was expected instead."""
    names = {type(None): "nothing", dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), "a number")
