"""Ids, times and the clock of the sandbox."""

from __future__ import annotations

import re
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any

#: A JSON object as it travels.
Json = dict[str, Any]

_AGO = re.compile(r"(\d+(?:\.\d+)?) (second|minute|hour|day)s? ago")


class Clock:
    """The wall clock, which tests may move forward instead of sleeping."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        """Return seconds since the epoch, as this sandbox sees them."""
        return time.time() + self.ahead


def new_id() -> str:
    """Return an id as Tallyfy makes them: 32 lowercase hexadecimal digits."""
    return secrets.token_hex(16)


def stamp(seconds: float) -> str:
    """Write a moment the way the store keeps it: ISO 8601, UTC, milliseconds."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def read_stamp(value: str | datetime, now: float) -> str:
    """Bring ISO 8601 text, a datetime or an age such as ``"100 days ago"`` into the stored form."""
    if isinstance(value, str):
        age = _AGO.fullmatch(value)
        if age:
            unit = timedelta(**{f"{age[2]}s": float(age[1])})
            return stamp(now - unit.total_seconds())
        value = datetime.fromisoformat(value)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return stamp(value.timestamp())


def alias_of(label: str) -> str:
    """Derive a field's or step's alias from its label, as Tallyfy does."""
    return re.sub(r"[^a-z0-9]+", "-", label.casefold()).strip("-")
