"""Tests of this package's client against the sandbox, over a real socket."""

from __future__ import annotations

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox


@pytest.fixture
def tallyfy(tallyfy_sandbox: Sandbox) -> Sandbox:
    """Give the test a Tallyfy of its own and Airflow the connection ``tallyfy_default`` to it."""
    return tallyfy_sandbox
