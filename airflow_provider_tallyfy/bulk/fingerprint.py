"""A text by which another process recognizes a row of values: the same content gives the same text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from numbers import Integral
from typing import Any
from uuid import UUID

from airflow_provider_tallyfy.api.inputs.numbers import without_fraction
from airflow_provider_tallyfy.api.inputs.problems import invalid


def fingerprint(row: Mapping[str, Any]) -> str:
    """Reduce a row to a text that depends only on its values; one that may differ in another process is refused."""
    content: dict[str, Any] = {}
    for column, value in row.items():
        try:
            content[column] = _canonical(value)
        except _NotReproducible as error:
            problem = "would not be recognized by a retry"
            raise invalid(column, error.args[0], problem, "Give text, numbers, dates, or lists of these.") from None
    return hashlib.sha256(_as_json(content).encode()).hexdigest()


class _NotReproducible(Exception):
    """The argument's text may be another one in every process."""


def _canonical(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return without_fraction(value) if isinstance(value, float) else value
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(_canonical, value), key=_as_json)  # each process has an order of its own for them
    if isinstance(value, Integral | Decimal | UUID):
        return str(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise _NotReproducible(value)


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
