from __future__ import annotations

import pytest

from tests.unit.unreachable import CONNECTION


@pytest.fixture
def unreachable(monkeypatch):
    """Connect tasks to an address at which nothing listens."""
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", CONNECTION)
