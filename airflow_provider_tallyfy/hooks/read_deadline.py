"""
What ``requests`` does not offer for one exchange: a deadline for all of its reads, and whether it was connected.

The timeouts of ``requests`` start again with every piece that arrives. Here each read of the socket waits no longer
than what is left until the deadline; no thread watches it.
"""

from __future__ import annotations

import http.client
import io
import time
from contextvars import ContextVar
from functools import cache
from types import TracebackType
from typing import Any

_current: ContextVar[Deadline | None] = ContextVar("tallyfy_deadline", default=None)


class Deadline:
    """Limits the reads of this thread until the end of the ``with`` block."""

    def __init__(self, seconds: float) -> None:
        #: Whether a connection is being made, or could not be made: nothing of the request was sent then.
        self.is_connecting = False
        self.extend_to(seconds)

    def extend_to(self, seconds: float) -> None:
        """Move the deadline to a number of seconds from now."""
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, or raise ``TimeoutError``."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def __enter__(self) -> Deadline:
        """Begin."""
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        _current.reset(self._token)


@cache
def watched(connection: type[Any]) -> type[Any]:
    """Make a class of urllib3's connections that keep the deadline, and note in it whether they are connected."""

    class WatchedConnection(connection):  # type: ignore[misc]
        response_class = _Response

        def connect(self) -> None:
            deadline = _current.get()
            if deadline is not None:
                deadline.is_connecting = True
            super().connect()
            if deadline is not None:
                deadline.is_connecting = False

    return WatchedConnection


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(_Socket(sock), *args, **kwargs)  # type: ignore[arg-type]


class _Socket:
    """As much of a socket as an answer needs."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock, mode))


class _Reader(io.RawIOBase):
    def __init__(self, sock: Any, mode: str) -> None:
        self._sock = sock
        self._file = sock.makefile(mode, buffering=0)

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._file.fileno())

    def readinto(self, buffer: Any) -> int | None:
        deadline = _current.get()
        if deadline is None:
            return self._read(buffer)
        left, own = deadline.left(), self._sock.gettimeout()
        if own is not None and own <= left:
            return self._read(buffer)
        self._sock.settimeout(left)
        try:
            return self._read(buffer)
        finally:
            self._sock.settimeout(own)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _read(self, buffer: Any) -> int | None:
        read: int | None = self._file.readinto(buffer)
        return read
