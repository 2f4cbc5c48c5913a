"""The sandbox in a background thread, with a port of its own: for tests, and for the command line."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from airflow_provider_tallyfy.sandbox.app import SandboxApp
from airflow_provider_tallyfy.sandbox.behavior import Behavior
from airflow_provider_tallyfy.sandbox.guards import is_loopback
from airflow_provider_tallyfy.sandbox.ids_and_times import Json
from airflow_provider_tallyfy.sandbox.state import Connections, SandboxState

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as HttpProtocol
else:
    HttpProtocol = AutoHTTPProtocol


DEFAULT_HOST = "127.0.0.1"


class Sandbox(SandboxState):
    """A Tallyfy on a loopback port, until ``stop`` or the end of the ``with`` block.

    Attributes may be read and methods called from any thread while the server runs.

    :param behavior: How it answers open questions: ``lenient``, ``strict`` or a :class:`Behavior`.
    :param host: Address to listen on; by default 127.0.0.1, where pages and control endpoints answer only requests to a
        name of this machine. At any other address everybody who reaches it may use them, as a warning says.
    :param port: Port to listen on; a free one by default.
    :param organization_id: 32 hexadecimal digits; random by default.
    :param token: The personal access token to accept; random by default.
    :param seed: What the organization holds at the start, as for :meth:`load`; nothing by default.
    :param prefix: Path the API is served under; it is served at the root as well.
    :param saved: File to take organization, token and contents from if it exists, and to write them to at the end.
    """

    def __init__(
        self,
        behavior: Behavior | str = "lenient",
        *,
        host: str | None = None,
        port: int = 0,
        organization_id: str | None = None,
        token: str | None = None,
        seed: Json | None = None,
        prefix: str = "/api",
        saved: Path | None = None,
    ) -> None:
        super().__init__(behavior, organization_id=organization_id, token=token, seed=seed, prefix=prefix)
        self._saved = saved
        if saved and saved.exists():
            self.load_saved(saved)
        self._listener = _listen(host or DEFAULT_HOST, port)
        self._server = uvicorn.Server(_config(self, any_host=host is not None))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._serve, name="tallyfy-sandbox", daemon=True)
        self.host, self.port = self._listener.getsockname()[:2]

    @property
    def url(self) -> str:
        """The server's origin; web-app links start here."""
        return f"http://{self.host}:{self.port}"

    @property
    def base_url(self) -> str:
        """Where the API is served: the ``host`` of an Airflow connection."""
        return f"{self.url}{self.prefix}"

    @property
    def token_url(self) -> str:
        """Where an application gets its token."""
        return f"{self.url}/oauth/token"

    @property
    def connections_opened(self) -> int:
        """How many TCP connections clients have opened."""
        return self.connections.opened

    @property
    def open_connections(self) -> int:
        """How many of them are open."""
        return len(self.connections.open)

    def run_url(self, run_id: str) -> str:
        """Return the address of a run's page in the web app.

        :param run_id: Id of the run.
        """
        return f"{self.url}/{self.organization_id}/processes/{run_id}"

    def connection(self, **extra: Any) -> Json:
        """Return an Airflow connection to this sandbox, ready for JSON.

        :param extra: Further keys of the connection's extra field; ``auth="client_credentials"`` connects
            as the application instead of with the personal access token.
        """
        settings = {"organization_id": self.organization_id, "web_url": self.url} | extra
        connection: Json = {"conn_type": "tallyfy", "host": self.base_url, "password": self.token}
        if settings.get("auth") == "client_credentials":
            connection |= {"login": self.client_id, "password": self.client_secret}
            settings = {"token_url": self.token_url} | settings
        return connection | {"extra": settings}

    def connection_json(self, **extra: Any) -> str:
        """Return the same as text, as an ``AIRFLOW_CONN_...`` variable wants it.

        :param extra: Further keys of the connection's extra field.
        """
        return json.dumps(self.connection(**extra))

    def start(self) -> Sandbox:
        """Serve in a background thread; requests made from now on are answered."""
        if not is_loopback(self.host):
            sys.stderr.write(
                f"Warning: the sandbox listens on {self.host}, where other machines may reach it.\n"
                f"{self.url}/_sandbox/state shows its token and its client secret to everybody.\n"
                "Everybody may change its runs on its pages.\n"
                "Keep real data out of it.\n"
            )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close every connection, end the thread, and save everything if there is a file for it."""
        self.drop_connections()
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._listener.close()
        if self._saved:
            self.save(self._saved)

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def drop_connections(self) -> None:
        """Abort every open connection, and return when they are closed."""
        if self._loop is not None and self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(_abort_all(self.connections), self._loop).result()

    def _serve(self) -> None:
        asyncio.run(self._serve_on_this_loop())

    async def _serve_on_this_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=[self._listener])


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; asyncio switches Nagle's algorithm off only where the protocol is named."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def _config(state: SandboxState, *, any_host: bool) -> uvicorn.Config:
    """Return settings that keep the client's address as it is: it identifies the connection."""
    return uvicorn.Config(
        SandboxApp(state, any_host=any_host),
        http=_counting_protocol(state.connections),
        loop="asyncio",
        ws="none",
        lifespan="off",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=600,
        timeout_graceful_shutdown=1,
    )


def _counting_protocol(connections: Connections) -> type[asyncio.Protocol]:
    class CountingProtocol(HttpProtocol):
        """Uvicorn's HTTP, which also knows its connections."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self.peer = transport.get_extra_info("peername")[:2]
            connections.opened += 1
            connections.open[self.peer] = transport
            super().connection_made(transport)
            self.access_log = False  # whatever the process that it serves in (Airflow's, say) makes of logging

        def connection_lost(self, exc: Exception | None) -> None:
            connections.open.pop(self.peer, None)
            super().connection_lost(exc)

    return CountingProtocol


async def _abort_all(connections: Connections) -> None:
    for transport in list(connections.open.values()):
        transport.abort()
    # The loop reports the losses, in order, before it comes back here.
    await asyncio.sleep(0)
