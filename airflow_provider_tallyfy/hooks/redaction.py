"""Keeps secrets out of answers and errors, in every form in which a server may repeat them."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from urllib.parse import quote, quote_plus

from airflow_provider_tallyfy.api.call import Answer
from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.text import MASK

#: Pieces of a secret of this length are hidden, too: messages are cut, and servers break lines.
_MIN_PIECE = 12

_PERCENT = re.compile(r"%[0-9A-F]{2}")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

#: JSON in which a server escaped more than it has to (``\\u0065``), or that is not UTF-8.
_UNUSUAL_JSON = re.compile(rb"\\u00[2-7]|\0")


@contextmanager
def redacted_errors(secrets: Callable[[], Iterable[str]]) -> Iterator[None]:
    """Take secrets out of every :class:`TallyfyError` that leaves the block."""
    try:
        yield
    except TallyfyError as error:
        redact_error(error, secrets())
        raise


def redact_error(error: TallyfyError, secrets: Iterable[str]) -> None:
    """Take secrets out of a finished error."""
    known = tuple(filter(None, secrets))
    error.args = tuple(redact(part, known) if isinstance(part, str) else part for part in error.args)
    error.code = error.code and redact(error.code, known)
    error.request_id = error.request_id and redact(error.request_id, known)
    error.fields = {
        redact(name, known): [redact(text, known) for text in texts] for name, texts in error.fields.items()
    }


def redact_answer(answer: Answer, secrets: Iterable[str]) -> Answer:
    """Take secrets out of an answer before it is read; in a success, very short ones may be data and stay."""
    least = _MIN_PIECE if 200 <= answer.status < 300 else 1
    forms = _written_forms(tuple(secret for secret in secrets if len(secret) >= least))
    body = _usual_json(answer) if forms and _UNUSUAL_JSON.search(answer.body) else answer.body
    headers: Mapping[str, str] = answer.headers
    for form in forms:
        body = body.replace(form.encode(), MASK.encode())
        headers = {name: value.replace(form, MASK) for name, value in headers.items()}
    return replace(answer, headers=headers, body=body)


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """Replace every piece of a secret: as it is, or escaped for JSON, URLs, forms or HTML, or in base64."""
    pieces = _pieces(secrets)
    hidden = bytearray(len(text))
    for escape, unit, decode in _NOTATIONS:
        if escape in text:
            _mark(text, unit, decode, pieces, hidden)
    return re.sub(
        "\1+", MASK, "".join("\1" if mark else character for character, mark in zip(text, hidden, strict=True))
    )


def _mark(
    text: str, unit: re.Pattern[str], decode: Callable[[str], str], pieces: Mapping[int, set[str]], hidden: bytearray
) -> None:
    """Mark the places of a text that hold a piece of a secret in one notation."""
    decoded: list[str] = []
    places: list[tuple[int, int]] = []
    for match in unit.finditer(text):
        meant = decode(match[0])
        decoded.append(meant)
        places += [match.span()] * len(meant)
    plain = "".join(decoded)
    for length, known in pieces.items():
        for start in range(len(plain) - length + 1):
            if plain[start : start + length] in known:
                begin, end = places[start][0], places[start + length - 1][1]
                hidden[begin:end] = b"\1" * (end - begin)


@lru_cache(maxsize=64)
def _pieces(secrets: tuple[str, ...]) -> Mapping[int, set[str]]:
    """Give the pieces of secrets that are not shown, by their length."""
    pieces: dict[int, set[str]] = defaultdict(set)
    for secret in secrets:
        for form in {secret, secret.encode().decode("latin-1"), *_base64_forms(secret)}:
            length = min(len(form), _MIN_PIECE)
            pieces[length] |= {form[start : start + length] for start in range(len(form) - length + 1)}
    return pieces


@lru_cache(maxsize=64)
def _written_forms(secrets: tuple[str, ...]) -> tuple[str, ...]:
    """Write secrets as servers write text, the longest form first."""
    forms: set[str] = set()
    for secret in secrets:
        in_json = json.dumps(secret)[1:-1]
        in_urls = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
        lower = {_PERCENT.sub(lambda match: match[0].lower(), form) for form in in_urls}
        forms |= {secret, in_json, in_json.replace("/", "\\/"), html.escape(secret), *in_urls, *lower}
        forms |= set(_base64_forms(secret))
    return tuple(sorted(filter(None, forms), key=len, reverse=True))


def _base64_forms(secret: str) -> Iterator[str]:
    """Encode a secret as it looks in the middle of other text; what the neighbors share is left out."""
    content = secret.encode()
    for before in range(3):
        encoded = b64encode(b"\0" * before + content).decode()
        form = encoded[-(-before * 8 // 6) : (before + len(content)) * 8 // 6]
        if len(form) >= _MIN_PIECE:
            yield from {form, form.replace("+", "-").replace("/", "_")}


def _usual_json(answer: Answer) -> bytes:
    try:
        return json.dumps(answer.json()).encode()
    except ValueError:
        return answer.body


def _without_json_escape(unit: str) -> str:
    if len(unit) == 6:
        return chr(int(unit[2:], 16))
    return _ESCAPES.get(unit[1], unit[1]) if len(unit) == 2 else unit


def _without_percent(unit: str) -> str:
    return chr(int(unit[1:], 16)) if len(unit) == 3 else unit


def _without_form_escape(unit: str) -> str:
    return " " if unit == "+" else _without_percent(unit)


#: Ways to write text: by which character they are recognized, what they make of one character, how to read that.
_NOTATIONS: tuple[tuple[str, re.Pattern[str], Callable[[str], str]], ...] = (
    ("", re.compile(".", re.DOTALL), str),
    ("\\", re.compile(r"\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL), _without_json_escape),
    ("%", re.compile("%[0-9a-fA-F]{2}|.", re.DOTALL), _without_percent),
    ("+", re.compile("%[0-9a-fA-F]{2}|.", re.DOTALL), _without_form_escape),
    ("&", re.compile(r"&#?\w{1,10};|.", re.DOTALL), html.unescape),
)
