from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.contract.clients import CLIENTS, AsyncClient, Naps, SyncClient


@pytest.fixture(params=CLIENTS)
def client(request, tallyfy) -> Iterator[SyncClient | AsyncClient]:
    """Each driver in turn, connected to the sandbox."""
    client = CLIENTS[request.param]()
    yield client
    client.close()


@pytest.fixture
def naps(monkeypatch) -> Naps:
    """Let no client really pause."""
    return Naps().install(monkeypatch)


@pytest.fixture
def logged(caplog, capfd) -> Callable[[], str]:
    """Everything that was logged or printed so far, at any level; Airflow 3 logs past Python's own logging."""
    caplog.set_level(0)

    def text() -> str:
        printed = capfd.readouterr()
        return printed.out + printed.err + caplog.text

    return text
