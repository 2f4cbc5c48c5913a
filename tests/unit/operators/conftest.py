from __future__ import annotations

import pytest

from tests.unit.unreachable import CONNECTION


@pytest.fixture
def unreachable(monkeypatch):
    """Connect tasks to a Tallyfy that no request reaches."""
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", CONNECTION)
