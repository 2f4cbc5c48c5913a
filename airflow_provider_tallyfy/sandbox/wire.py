"""One request and its answer on the wire, and the faults that break it."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from airflow_provider_tallyfy.sandbox.faults import Fault
from airflow_provider_tallyfy.sandbox.responses import Answer

_CHUNK = 64 * 1024
_TICK = 0.02


@dataclass
class Exchange:
    """A request whose body has been read, and the means to answer it."""

    scope: Scope
    body: bytes
    receive: Receive
    send: Send
    api: Callable[[Scope, bytes], Answer]
    transport: asyncio.Transport | None

    def proper_answer(self) -> Answer:
        """Let the request take effect, and return what the API answers."""
        return self.api(self.scope, self.body)

    async def reply(self, answer: Answer) -> None:
        """Send an answer."""
        await self._start(answer)
        await self.send({"type": "http.response.body", "body": answer.body})

    async def _start(self, answer: Answer) -> None:
        headers = answer.raw_headers()
        await self.send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def drip(self, answer: Answer, seconds: float, pieces: int = 10) -> None:
        """Send an answer's body in pieces."""
        await self._start(answer)
        size = max(1, -(-len(answer.body) // pieces))
        for at in range(0, len(answer.body), size):
            if await self.disconnected_within(seconds / pieces):
                return
            chunk = answer.body[at : at + size]
            await self.send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self.send({"type": "http.response.body", "body": b""})

    async def flood(self, status: int, size: int) -> None:
        """Send valid JSON of a given size, without ever holding it in memory."""
        head, tail = b'{"data":{"padding":"', b'"}}'
        headers = [(b"content-type", b"application/json"), (b"content-length", str(size).encode())]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": head, "more_body": True})
        left = size - len(head) - len(tail)
        while left > 0 and not self._closed():
            chunk = b"x" * min(left, _CHUNK)
            left -= len(chunk)
            await self.send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self.send({"type": "http.response.body", "body": tail})

    async def truncate(self, answer: Answer) -> None:
        """Announce the whole body, send half of it, and close the connection."""
        if self.transport is None:
            raise RuntimeError("A truncated answer needs the sandbox's own server")
        lines = [f"HTTP/1.1 {answer.status} OK".encode()]
        lines += [name + b": " + text for name, text in answer.raw_headers()]
        self.transport.write(b"\r\n".join([*lines, b"", answer.body[: len(answer.body) // 2]]))
        self.transport.close()
        await self.wait_for_disconnect()

    async def reset(self) -> None:
        """Break the connection with a TCP RST."""
        if self.transport is None:
            raise RuntimeError("A reset needs the sandbox's own server")
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
        await self.wait_for_disconnect()

    def _closed(self) -> bool:
        return self.transport is not None and self.transport.is_closing()

    async def wait_for_disconnect(self) -> None:
        """Wait until the connection is closed."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def disconnected_within(self, seconds: float | None, released: Callable[[], bool] = lambda: False) -> bool:
        """Wait for the client to leave or for ``released``, at most so long; return whether it left."""
        ends = None if seconds is None else time.monotonic() + seconds
        leaving = asyncio.ensure_future(self.wait_for_disconnect())
        try:
            while not leaving.done() and not released():
                left = _TICK if ends is None else min(_TICK, ends - time.monotonic())
                if left <= 0:
                    break
                await asyncio.wait({leaving}, timeout=left)
            return leaving.done() or self._closed()
        finally:
            leaving.cancel()


async def apply_fault(exchange: Exchange, fault: Fault, now: float) -> None:
    """Answer a request the way a fault wants it."""
    proper = exchange.proper_answer() if fault.applied and fault.kind not in _NEED_ANSWER else None
    await _FAULTS[fault.kind](exchange, fault, now, proper)


async def _status(exchange: Exchange, fault: Fault, now: float, _: Answer | None) -> None:
    await exchange.reply(fault.answer(now))


async def _hang(exchange: Exchange, fault: Fault, now: float, proper: Answer | None) -> None:
    if not await exchange.disconnected_within(fault.seconds, lambda: fault.cleared):
        await exchange.reply(proper or exchange.proper_answer())


async def _slow(exchange: Exchange, fault: Fault, now: float, _: Answer | None) -> None:
    seconds = 1.0 if fault.seconds is None else fault.seconds
    await exchange.drip(exchange.proper_answer(), seconds)


async def _truncated(exchange: Exchange, fault: Fault, now: float, _: Answer | None) -> None:
    answer = exchange.proper_answer()
    answer.body = answer.body or b'{"data":{}}'
    answer.status = 200 if answer.status == 204 else answer.status
    await exchange.truncate(answer)


async def _reset(exchange: Exchange, fault: Fault, now: float, _: Answer | None) -> None:
    await exchange.reset()


async def _oversized(exchange: Exchange, fault: Fault, now: float, _: Answer | None) -> None:
    await exchange.flood(200 if fault.status == 500 else fault.status, fault.size)


async def _redirect(exchange: Exchange, fault: Fault, now: float, _: Answer | None) -> None:
    status = fault.status if 300 <= fault.status < 400 else 302
    await exchange.reply(Answer(status, headers={"location": fault.location}, content_type=None))


async def _content_type(exchange: Exchange, fault: Fault, now: float, _: Answer | None) -> None:
    answer = exchange.proper_answer()
    answer.content_type = fault.content_type or "text/html; charset=UTF-8"
    await exchange.reply(answer)


async def _echo(exchange: Exchange, fault: Fault, now: float, _: Answer | None) -> None:
    sent = dict(exchange.scope["headers"]).get(b"authorization", b"").decode("latin-1")
    message = f"Could not handle request with header Authorization: {sent}"
    body = json.dumps({"error": True, "message": message}).encode()
    await exchange.reply(Answer(fault.status, body))


Handler = Callable[[Exchange, Fault, float, Answer | None], Awaitable[None]]

#: Kinds that alter the proper answer, so that the request always takes effect.
_NEED_ANSWER = frozenset({"slow", "truncated", "content_type"})

_FAULTS: dict[str, Handler] = {
    "status": _status,
    "hang": _hang,
    "slow": _slow,
    "truncated": _truncated,
    "reset": _reset,
    "oversized": _oversized,
    "redirect": _redirect,
    "content_type": _content_type,
    "echo_authorization": _echo,
}
