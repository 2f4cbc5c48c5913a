"""Ids in requests, as templates render them: people and groups, tags and folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_tallyfy.api.inputs.checks import checked_id, checked_text, listed, parse_rendered
from airflow_provider_tallyfy.api.inputs.numbers import text_of
from airflow_provider_tallyfy.api.inputs.problems import Problems, invalid
from airflow_provider_tallyfy.api.models.answers import KINDS
from airflow_provider_tallyfy.api.text import short_repr

#: What a user's id looks like as text.
USER_NUMBER = re.compile(r"[0-9]{1,18}")

#: What the ids that Tallyfy makes of anything else look like, and names do not.
HEX_ID = re.compile(r"[0-9a-fA-F]{32}")

#: What such an id can look like at all (official Python client).
ID = re.compile(r"[\w-]+")


def user_number(value: object, name: str) -> int:
    """Read a user's id, which is a number; templates render it as text."""
    text = (text_of(value) or "").strip()
    if USER_NUMBER.fullmatch(text):
        return int(text)
    raise invalid(name, value, "is not a user's number")


_KIND_READERS: dict[str, Callable[[object, str], Any]] = {
    "users": user_number,
    "guests": checked_text,
    "groups": checked_text,
}


def checked_people(people: object, name: str) -> dict[str, list[Any]]:
    """Check who is assigned; every kind is given, because Tallyfy empties a kind that a request leaves out."""
    people = parse_rendered(people)
    if not isinstance(people, Mapping) or not people.keys() <= set(KINDS):
        raise invalid(name, people, f"is not an object with lists of {', '.join(KINDS)}")
    given = {kind: parse_rendered(people.get(kind)) or [] for kind in KINDS}
    for kind, members in given.items():
        if not isinstance(members, list | tuple):
            raise invalid(f"{name}[{kind!r}]", members, "is not a list")
    problems = Problems()
    checked = {kind: [problems.collect(_KIND_READERS[kind], member, name) for member in given[kind]] for kind in KINDS}
    problems.raise_all()
    return checked


def checked_roles(roles: object) -> dict[str, dict[str, list[Any]]]:
    """Check who fills the roles of a launch: people by role id, see :func:`checked_people`."""
    roles = parse_rendered(roles)
    if not isinstance(roles, Mapping):
        raise invalid("roles", roles, "is not an object with people by role id")
    return {
        checked_id(role, "roles"): checked_people(people, f"roles[{short_repr(role)}]")
        for role, people in roles.items()
    }


def checked_id_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Write the ids among a request's fields as Tallyfy takes them, and leave all other fields as they are."""
    problems = Problems()
    written = {
        name: problems.collect(_FIELD_READERS[name], fields[name], name)
        for name in fields.keys() & _FIELD_READERS.keys()
    }
    problems.raise_all()
    return {**fields, **written}


def _one_user(value: object, name: str) -> int | None:
    return None if value is None else user_number(value, name)


def _users(value: object, name: str) -> list[int]:
    return [user_number(item, name) for item in _non_empty_list(value, name)]


def ids(value: object, name: str) -> list[str]:
    """Read a list of ids of anything but users, each once."""
    items = _non_empty_list(value, name)
    for item in items:
        if not ID.fullmatch(item):
            raise invalid(name, item, "is not an id")
    return list(dict.fromkeys(items))


def _non_empty_list(value: object, name: str) -> tuple[str, ...]:
    items = listed(value, name)
    if not items and (value is None or isinstance(value, str)):  # a template made this, and [] was not meant
        raise invalid(name, value, "is empty", "Give [] for none.")
    return items


_FIELD_READERS: dict[str, Callable[[object, str], Any]] = {
    "owner_id": _one_user,
    "user_id": _one_user,
    "users": _users,
    "groups": ids,
    "tags": ids,
    "folders": ids,
}
