"""Airflow's task state store (>= 3.3), as far as operators use it, in memory."""

from __future__ import annotations

import json
from typing import Any

#: What Airflow accepts under one key.
LARGEST_VALUE = 64 * 1024


class TaskStateStore:
    """Keeps JSON by key, like the accessor in the context of a running task."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        assert value is not None
        text = json.dumps(value)
        assert len(text) <= LARGEST_VALUE, f"{len(text)} bytes under one key"
        self.values[key] = text

    def delete(self, key: str) -> None:
        del self.values[key]
