"""Which facts of runs a task hands on, and how large they can be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_tallyfy.api.inputs.checks import list_in_text
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.api.presentable import shown

#: The names of facts: one as text for a flat list of values, several for dicts.
Fields = str | tuple[str, ...]

#: How much of a name goes into an XCom about many runs, in bytes of JSON text.
LONGEST_NAME = 80

_LONGEST_TIME = "2026-01-01T00:00:00+00:00"
_LONGEST_OF_OTHERS = {
    "status": "complete",
    "archived_at": _LONGEST_TIME,
    "completed_at": _LONGEST_TIME,
    "created_at": _LONGEST_TIME,
    "template_id": "t" * 32,
    "percent_complete": 33.333333333333336,
    "changed": False,
    "outcome": "reached",
}


def facts_of(run: Run, url: str) -> dict[str, Any]:
    """Give all facts of a run that lists can hold."""
    return {**run.describe(url), **run.describe_further()}


#: What a list of runs can hold.
RUN_FACTS = tuple(name for name in facts_of(Run("", "", ""), "") if name != "changed")


def checked_fields(fields: object, known: Sequence[str]) -> Fields:
    """
    Check which facts are asked for.

    :param fields: one name, several, or text of a list as a template renders it.
    :param known: the names there are.
    :raises TallyfyValidationError: on an unknown name, or none at all.
    """
    given = list_in_text(fields) or [fields] if isinstance(fields, str) else fields
    names = tuple(given) if isinstance(given, Iterable) else (given,)
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        problem = f"names {', '.join(map(shown, unknown))}" if unknown else "is empty"
        raise invalid("fields", fields, problem, f"A run has: {', '.join(known)}.")
    return str(names[0]) if given == [fields] else names


def picked(facts: Mapping[str, Any], fields: Fields) -> Any:
    """Give the facts that are asked for; those that are not known are ``None``."""
    return facts.get(fields) if isinstance(fields, str) else {name: facts.get(name) for name in fields}


def shortened(name: str) -> str:
    """Cut a name that takes more than :data:`LONGEST_NAME` bytes as JSON text."""
    if len(json.dumps(name)) <= LONGEST_NAME:
        return name
    name = name[:LONGEST_NAME]
    while len(json.dumps(f"{name}...")) > LONGEST_NAME:
        name = name[:-1]
    return f"{name}..."


def most_bytes(count: int, fields: Fields, run_id: str, url: str) -> int:
    """
    Give the size that the facts of some runs have at most, as JSON text.

    :param count: how many runs there are.
    :param fields: which facts are asked for.
    :param run_id: the longest id among them.
    :param url: the longest address.
    """
    name = "n" * (LONGEST_NAME - len('""'))
    row = picked({"id": run_id, "url": url, "name": name, **_LONGEST_OF_OTHERS}, fields)
    return len("[]") + count * (len(json.dumps(row)) + len(", "))
