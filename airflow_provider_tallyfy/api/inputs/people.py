"""People and groups in requests."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_tallyfy.api.inputs.checks import checked_id, checked_text, unrendered
from airflow_provider_tallyfy.api.inputs.numbers import text_of
from airflow_provider_tallyfy.api.inputs.problems import Problems, invalid
from airflow_provider_tallyfy.api.presentable import shown

#: Kinds of assignees: users by number, guests by e-mail address, groups by id.
KINDS = ("users", "guests", "groups")

#: What a user's id looks like as text.
USER_NUMBER = re.compile(r"[0-9]{1,18}")

#: What the id of anything else looks like (official Python client).
ID = re.compile(r"[\w-]+")


def user_number(value: object, name: str) -> int:
    """Read a user's id, which is a number; templates render it as text."""
    text = (text_of(value) or "").strip()
    if USER_NUMBER.fullmatch(text):
        return int(text)
    raise invalid(name, value, "is not a user's number")


_READERS: dict[str, Callable[[object, str], Any]] = {
    "users": user_number,
    "guests": checked_text,
    "groups": checked_text,
}


def checked_people(people: object, name: str) -> dict[str, list[Any]]:
    """
    Check who is assigned, and give every kind of assignee, because Tallyfy empties a kind that a request leaves out.

    :param people: ``{"users": [...], "guests": [...], "groups": [...]}``, or some of these.
    """
    people = unrendered(people)
    if not isinstance(people, Mapping) or not people.keys() <= set(KINDS):
        raise invalid(name, people, f"is not an object with lists of {', '.join(KINDS)}")
    given = {kind: unrendered(people.get(kind)) or [] for kind in KINDS}
    for kind, members in given.items():
        if not isinstance(members, list | tuple):
            raise invalid(f"{name}[{kind!r}]", members, "is not a list")
    problems = Problems()
    checked = {kind: [problems.of(_READERS[kind], member, name) for member in given[kind]] for kind in KINDS}
    problems.raise_all()
    return checked


def checked_roles(roles: object) -> dict[str, dict[str, list[Any]]]:
    """
    Check who fills the roles of a launch.

    :param roles: people by role id, see :func:`checked_people`.
    """
    roles = unrendered(roles)
    if not isinstance(roles, Mapping):
        raise invalid("roles", roles, "is not an object with people by role id")
    return {
        checked_id(role, "roles"): checked_people(people, f"roles[{shown(role)}]") for role, people in roles.items()
    }
