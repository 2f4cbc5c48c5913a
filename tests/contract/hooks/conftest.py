from __future__ import annotations

from collections.abc import Iterator

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
