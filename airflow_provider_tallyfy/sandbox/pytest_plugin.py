"""The fixture ``tallyfy_sandbox`` for tests of DAGs that talk to Tallyfy.

Opt in with ``pytest_plugins = ["airflow_provider_tallyfy.sandbox.pytest_plugin"]`` in the root ``conftest.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_tallyfy.sandbox.server import Sandbox

__all__ = ["tallyfy_sandbox", "tallyfy_sandbox_server"]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "tallyfy_sandbox(behavior='lenient', seed=None): how the sandbox of this test behaves "
        "('lenient', 'strict' or a Behavior) and what it holds at the start",
    )


@pytest.fixture(scope="session")
def tallyfy_sandbox_server() -> Iterator[Sandbox]:
    """Serve one sandbox for the whole session; tests want ``tallyfy_sandbox``."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def tallyfy_sandbox(
    request: pytest.FixtureRequest, tallyfy_sandbox_server: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sandbox]:
    """Give the test an empty Tallyfy, and Airflow the connection ``tallyfy_default`` to it.

    Choose its behavior with ``@pytest.mark.tallyfy_sandbox(behavior="strict")`` or with an indirect parameter.
    """
    marker = request.node.get_closest_marker("tallyfy_sandbox")
    options = dict(marker.kwargs) if marker else {}
    if marker and marker.args:
        options["behavior"] = marker.args[0]
    if hasattr(request, "param"):
        options["behavior"] = request.param
    sandbox = tallyfy_sandbox_server
    sandbox.drop_connections()
    sandbox.reset(**options)
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", sandbox.connection_json())
    yield sandbox
    sandbox.faults.clear()
    sandbox.drop_connections()
