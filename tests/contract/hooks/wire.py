"""A server that answers every connection with given bytes, valid HTTP or not."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator

#: Writes an answer to a socket from which a request was read.
Talk = Callable[[socket.socket], None]


@contextlib.contextmanager
def wire(talk: Talk, wrap: Callable[[socket.socket], socket.socket] = lambda raw: raw) -> Iterator[int]:
    """
    Serve on a free loopback port until the end of the block.

    :param talk: called with each connection after its first request.
    :param wrap: turns the plain connection into what is spoken on it, TLS for example.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_serve, args=(listener, talk, wrap), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=10)


def _serve(listener: socket.socket, talk: Talk, wrap: Callable[[socket.socket], socket.socket]) -> None:
    while True:
        try:
            raw, _ = listener.accept()
        except OSError:
            return
        with contextlib.suppress(OSError), wrap(raw) as connection:
            connection.settimeout(10)
            if received := connection.recv(65536):
                _receive_rest(connection, received)
                talk(connection)


def _receive_rest(connection: socket.socket, received: bytes) -> None:
    """Receive the body of an HTTP request. A close before that would reset the connection and lose the answer."""
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    missing = int(length[1]) - len(body) if length else 0
    while missing > 0 and (more := connection.recv(missing)):
        missing -= len(more)


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """Listen on a loopback port until the end of the block, and accept no connection."""
    with contextlib.ExitStack() as sockets:
        full = sockets.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            queued = sockets.enter_context(socket.socket())
            queued.setblocking(False)
            queued.connect_ex(full.getsockname())
        yield full.getsockname()[1]


def garble(connection: socket.socket) -> None:
    """Send plain bytes over a TLS connection."""
    with socket.socket(fileno=connection.detach()) as raw:
        raw.settimeout(10)
        raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        while raw.recv(65536):
            pass


def answer(body: bytes, *headers: str, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {size}", "Connection: close"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def chunked(*chunks: bytes, end: bool = True) -> bytes:
    lines = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return lines.encode() + body + (b"0\r\n\r\n" if end else b"")
