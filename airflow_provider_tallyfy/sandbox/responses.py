"""Answers and refusals, in the shapes the documentation gives them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_tallyfy.sandbox.ids_and_times import new_id

JSON = "application/json"
HTML = "text/html; charset=UTF-8"

NOT_FOUND_PAGE = "<!DOCTYPE html><html><head><title>Not Found</title></head><body>404 | Not Found</body></html>"


@dataclass
class Answer:
    """A response before it is put on the wire."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = JSON
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Answer:
        """Return an answer with a JSON body."""
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(status, body, headers={name.replace("_", "-"): text for name, text in headers.items()})

    @classmethod
    def data(cls, value: Any, status: int = 200) -> Answer:
        """Return an answer wrapped in ``data``."""
        return cls.json({"data": value}, status)

    @classmethod
    def empty(cls, status: int = 200) -> Answer:
        """Return an answer without a body."""
        return cls(status, content_type=None)

    @classmethod
    def html(cls, text: str, status: int = 200) -> Answer:
        """Return a page."""
        return cls(status, text.encode(), HTML)

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers as ASGI wants them, with the id Tallyfy gives every request."""
        headers = {"content-length": str(len(self.body)), "x-request-id": new_id()} | self.headers
        if self.content_type is not None:
            headers["content-type"] = self.content_type
        if self.status == 204:
            del headers["content-length"]
        return [(name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()]


class Refusal(Exception):
    """An error answer, raised from wherever the request turns out to be wrong."""

    def __init__(self, status: int, content: Any, plain: bool = False) -> None:
        super().__init__(status, content)
        self.status = status
        self.answer = (
            Answer(status, str(content).encode(), "text/plain; charset=UTF-8")
            if plain
            else Answer.json(content, status)
        )


def wrong_path() -> Refusal:
    """Refuse a path the API does not have. Source: documentation page "errors"."""
    return Refusal(404, {"error": True, "message": "API endpoint not found", "code": "ENDPOINT_NOT_FOUND"})


def wrong_method() -> Refusal:
    """Refuse a method that a path does not have. Its shape is documented nowhere; it is that of a wrong path."""
    return Refusal(405, {"error": True, "message": "Method not allowed", "code": "METHOD_NOT_ALLOWED"})


def missing() -> Refusal:
    """Refuse an id nobody has. Source: documentation page "errors"."""
    return Refusal(404, {"error": True, "message": "Resource not found", "code": "RESOURCE_NOT_FOUND"})


def invalid(errors: dict[str, list[str]]) -> Refusal:
    """Refuse values, as Laravel does. Source: documentation page "errors"."""
    return Refusal(422, {"message": "The given data was invalid.", "errors": errors})


def invalid_field(name: str, message: str) -> Refusal:
    """Refuse one value, in the other documented 422 shape, which has no message."""
    return Refusal(422, {"error": True, "errors": {name: [message]}})


def forbidden(message: str) -> Refusal:
    """Refuse for lack of permission."""
    return Refusal(403, {"error": True, "message": message, "code": "FORBIDDEN"})


def unauthorized(kind: str) -> Refusal:
    """Refuse a token, as the edge or as the application does."""
    if kind == "laravel":
        return Refusal(401, {"message": "Unauthenticated."})
    return Refusal(401, {"error": True, "message": "Permission denied. error code: apsh213."})
