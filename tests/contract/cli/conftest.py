from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_tallyfy.cli.definition import main


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def _restored_environment(monkeypatch):
    """A command sets up its whole process: which connections it may read, and what is logged."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def command(tallyfy, capsys) -> Callable[..., Ended]:
    """Run a command in this process."""

    def run(*arguments: str) -> Ended:
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
        else:
            code = 0
        return Ended(code, *capsys.readouterr())

    return run
