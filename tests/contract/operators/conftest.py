from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """Replace the pauses of hooks, and record how long they would have been."""
    slept: list[float] = []
    monkeypatch.setattr("airflow_provider_tallyfy.hooks.tallyfy.time", SimpleNamespace(sleep=slept.append))
    return slept


@pytest.fixture
def logged(caplog, capfd) -> Callable[[], str]:
    """Return a function that gives what was logged, wherever this Airflow sends it."""
    caplog.set_level("INFO")
    return lambda: caplog.text + capfd.readouterr().out
