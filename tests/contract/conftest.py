"""Tests of this package's client against the sandbox, over a real socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox
from tests.masked_secrets import forget_masked_secrets


@pytest.fixture
def tallyfy(tallyfy_sandbox: Sandbox) -> Sandbox:
    """Give each test its own Tallyfy, and Airflow the connection ``tallyfy_default`` to it."""
    return tallyfy_sandbox


@pytest.fixture(autouse=True)
def _no_old_secrets() -> Iterator[None]:
    yield
    forget_masked_secrets()
