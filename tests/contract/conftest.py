"""Tests of this package's client against the sandbox, over a real socket."""

from __future__ import annotations

import sys

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox


@pytest.fixture
def tallyfy(tallyfy_sandbox: Sandbox) -> Sandbox:
    """Give the test a Tallyfy of its own and Airflow the connection ``tallyfy_default`` to it."""
    return tallyfy_sandbox


@pytest.fixture(autouse=True)
def _no_old_secrets():
    """Forget what earlier tests masked: Airflow compiles one pattern of all secrets, anew for each it learns."""
    yield
    for module in ("airflow.sdk._shared.secrets_masker", "airflow.utils.log.secrets_masker"):
        if module in sys.modules:
            masker = sys.modules[module]._secrets_masker()
            masker.patterns, masker.replacer = set(), None
