"""How a broken or hostile server changes an answer."""

from __future__ import annotations

import copy
import gzip
import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

#: A line that looks like one of Airflow's, and characters that a terminal or log obeys.
FORGED = "T\n[2026-11-26] {x.py:1} CRITICAL - forged\r\x1b[2J\u202e\u2028"

BOMB = gzip.compress(b"x" * 5_000_000)

_STATUSES = (100, 200, 201, 204, 299, 301, 302, 400, 401, 402, 403, 404, 405, 409, 422, 429, 500, 502, 503, 599)
_REASONS = ("dns", "refused", "tls", "proxy", "connect_timeout", "timeout", "reset", "too_large")


@dataclass(frozen=True)
class Reply:
    """What a server sends: an answer, or nothing and why."""

    status: int
    headers: dict[str, str]
    body: bytes
    lost: str | None = None


@dataclass(frozen=True)
class Mutation:
    """One change of one answer. The numbers choose place and value."""

    kind: str
    at: int
    place: int
    choice: int


def forms_of(token: str) -> list[str]:
    """Ways in which a server may repeat a token."""
    escaped = "".join(f"\\u{ord(character):04x}" for character in token)
    entities = "".join(f"&#{ord(character)};" for character in token)
    in_base64 = [b64encode(before + token.encode()).decode() for before in (b"", b"i", b"id")]
    return [
        token,
        quote(token, safe=""),
        "".join(f"%{ord(character):02x}" for character in token),
        escaped,
        entities,
        *in_base64,
    ]


def odd_values(token: str) -> list[Any]:
    deep: Any = 1
    for _ in range(60):
        deep = [deep]
    texts = ["", " ", "None", "0", "x" * 5_000, "complete", "archived", "active", "9999-12-31T23:59:59-23:59", FORGED]
    numbers = [0, -1, 1, 10**18, 10**400, 1.5, 1e308, float("nan"), float("-inf"), True, False]
    shapes = [None, [], {}, [[]], {"id": []}, {"data": {}}, [None], deep, {"0": {"id": 5}}, ["a", {"id": "a"}]]
    return [*texts, "half a \ud83d", "e" + "\u0301\u0323" * 5_000, *numbers, *shapes, *forms_of(token)]


def mutated(reply: Reply, mutation: Mutation, token: str, earlier: list[Reply]) -> Reply:
    """Apply a mutation to a reply."""
    change = getattr(_Mutator(reply, mutation, token, earlier), mutation.kind)
    result: Reply = change()
    return result


class _Mutator:
    def __init__(self, reply: Reply, mutation: Mutation, token: str, earlier: list[Reply]) -> None:
        self._reply, self._token, self._earlier = reply, token, earlier
        self._place, self._choice = mutation.place, mutation.choice

    def _pick(self, choices: Any) -> Any:
        return choices[self._choice % len(choices)]

    def _with(self, body: bytes, **headers: str) -> Reply:
        return Reply(self._reply.status, {**self._reply.headers, **headers}, body)

    def _edited(self, change: Any) -> Reply:
        try:
            value = json.loads(self._reply.body)
        except (ValueError, RecursionError):
            return self._reply
        paths = list(_paths(value))
        root = [copy.deepcopy(value)]
        change(root, (0, *paths[self._place % len(paths)]))
        return self._with(json.dumps(root[0] if root else None).encode())

    def replace(self) -> Reply:
        return self._edited(lambda root, path: _put(root, path, self._pick(odd_values(self._token))))

    def delete(self) -> Reply:
        return self._edited(_drop)

    def repeat(self) -> Reply:
        return self._edited(lambda root, path: _put(root, path, [_get(root, path)] * (self._choice % 3)))

    def wrap(self) -> Reply:
        name = self._pick(["data", "0", "id"])
        return self._edited(lambda root, path: _put(root, path, {name: _get(root, path)}))

    def move(self) -> Reply:
        """Replace a value with another value of the answer."""

        def change(root: list[Any], path: tuple[Any, ...]) -> None:
            others = list(_paths(root[0]))
            _put(root, path, copy.deepcopy(_get(root, (0, *self._pick(others)))))

        return self._edited(change)

    def status(self) -> Reply:
        return Reply(self._pick(_STATUSES), self._reply.headers, self._reply.body)

    def refusal(self) -> Reply:
        """Answer with an error that contains what a server may repeat."""
        text = odd_values(self._token)[self._place % len(odd_values(self._token))]
        body = {"message": text, "code": text, "errors": {str(text)[:200]: [text], "name": text}}
        return Reply(self._pick(_STATUSES[7:]), {**self._reply.headers, "x-request-id": str(text)[:500]}, _dumped(body))

    def header(self) -> Reply:
        name = self._pick(["x-request-id", "retry-after", "content-type", "location"])
        text = [*forms_of(self._token), FORGED, "nan", "1e999", "99999999", "Fri, 31 Dec 9999 23:59:59 GMT"]
        return self._with(self._reply.body, **{name: text[self._place % len(text)]})

    def cut(self) -> Reply:
        return self._with(self._reply.body[: self._place % (len(self._reply.body) + 1)])

    def flip(self) -> Reply:
        body = bytearray(self._reply.body or b"x")
        body[self._place % len(body)] ^= 1 << self._choice % 8
        return self._with(bytes(body))

    def encoding(self) -> Reply:
        """Encode the body in another character encoding, with or without a header for it."""
        text = self._reply.body.decode(errors="replace")
        return self._with(text.encode(self._pick(["utf-16", "utf-32-be", "utf-8-sig", "latin-1"]), errors="replace"))

    def body(self) -> Reply:
        nested = b'{"data": ' + b'{"a":' * 150 + b"1" + b"}" * 151
        echoes = [f'"{self._token}"'.encode(), self._token.encode("utf-16"), FORGED.encode()]
        small = [
            b"",
            b"null",
            b"[]",
            b"{}",
            b"<html>",
            b'{"data"',
            b"\xff\xfe",
            b"\0" * 9,
            b'{"data": []}',
            b'{"data": {}}',
        ]
        large = [b"[" * 100_000, b"9" * 5_000, b"x" * 3_000_000, nested]
        return self._with(self._pick([*small, *large, *echoes]))

    def bomb(self) -> Reply:
        return self._with(BOMB, **{"content-encoding": self._pick(["gzip", "gzip, gzip", "br", "deflate", FORGED])})

    def stale(self) -> Reply:
        """Repeat an earlier answer."""
        return self._pick(self._earlier) if self._earlier else self._reply

    def lose(self) -> Reply:
        return Reply(0, {}, b"", lost=self._pick(_REASONS))


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if len(path) < 12:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            yield from _paths(item, (*path, key))


def _get(root: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        root = root[key]
    return root


def _put(root: Any, path: tuple[Any, ...], value: Any) -> None:
    _get(root, path[:-1])[path[-1]] = value


def _drop(root: Any, path: tuple[Any, ...]) -> None:
    del _get(root, path[:-1])[path[-1]]


KINDS = sorted(name for name in vars(_Mutator) if not name.startswith("_"))
_NUMBERS = st.integers(0, 100_000)
_KINDS = st.sampled_from([*KINDS, "replace", "replace", "move"])
MUTATIONS = st.builds(Mutation, _KINDS, st.integers(0, 5), _NUMBERS, _NUMBERS)
#: The changes: of one answer each, or of every answer.
PLANS = st.tuples(st.lists(MUTATIONS, max_size=3), st.booleans())
