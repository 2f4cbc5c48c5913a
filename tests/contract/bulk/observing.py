"""What a bulk job requested, and what it logged."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from airflow_provider_tallyfy.sandbox import Sandbox


class Log:
    """Stands in for the operator's log, which is another library's on each Airflow."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str, *values: object) -> None:
        self.lines.append(message % values)


def writes(tallyfy: Sandbox) -> Counter[str]:
    """Count the requests that change something, by method and run."""
    return Counter(
        f"{request.method} {request.path.partition('/runs/')[2]}"
        for request in list(tallyfy.requests)
        if request.method != "GET"
    )


def requests(tallyfy: Sandbox) -> Counter[str]:
    """Count requests by method and kind: ``GET runs`` is a page of a list, ``GET run`` one run."""
    kinds: Counter[str] = Counter()
    for request in list(tallyfy.requests):
        _, slash, rest = request.path.partition("/runs")
        kinds[f"{request.method} {('run' if rest.strip('/') else 'runs') if slash else 'other'}"] += 1
    return kinds


def report(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def archived(tallyfy: Sandbox) -> set[str]:
    return {run["id"] for run in tallyfy.runs if run["archived_at"]}
