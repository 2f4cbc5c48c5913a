"""Ids in requests, however templates render them: users by number, several as a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_tallyfy.api.inputs.checks import listed
from airflow_provider_tallyfy.api.inputs.people import ID, user_number
from airflow_provider_tallyfy.api.inputs.problems import Problems, invalid


def with_ids(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Write the ids among a request's fields as Tallyfy takes them, and leave all other fields as they are."""
    problems = Problems()
    written = {name: problems.of(_READERS[name], fields[name], name) for name in fields.keys() & _READERS.keys()}
    problems.raise_all()
    return {**fields, **written}


def _one_user(value: object, name: str) -> int | None:
    return None if value is None else user_number(value, name)


def _users(value: object, name: str) -> list[int]:
    return [user_number(item, name) for item in _several(value, name)]


def _ids(value: object, name: str) -> list[str]:
    items = _several(value, name)
    for item in items:
        if not ID.fullmatch(item):
            raise invalid(name, item, "is not an id")
    return list(items)


def _several(value: object, name: str) -> tuple[str, ...]:
    items = listed(value, name)
    if not items and (value is None or isinstance(value, str)):  # a template made this; nobody asked for an empty list
        raise invalid(name, value, "is empty", "Give [] for none.")
    return items


_READERS: dict[str, Callable[[object, str], Any]] = {
    "owner_id": _one_user,
    "user_id": _one_user,
    "users": _users,
    "groups": _ids,
    "tags": _ids,
    "folders": _ids,
}

#: The fields that hold several ids.
ID_LISTS = tuple(name for name, read in _READERS.items() if read in (_users, _ids))
