"""Control of the sandbox over HTTP, for demos, benchmarks and system tests: ``/_sandbox/...``, without a token."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from airflow_provider_tallyfy.sandbox.guards import foreign_host
from airflow_provider_tallyfy.sandbox.ids_and_times import Json
from airflow_provider_tallyfy.sandbox.state import SandboxState

Action = Callable[[SandboxState, Json, dict[str, str]], Any]


def show_state(state: SandboxState, body: Json, params: dict[str, str]) -> Json:
    """Return what the organization holds, and how to connect to it."""
    return {
        "organization_id": state.organization_id,
        "token": state.token,
        "client_id": state.client_id,
        "client_secret": state.client_secret,
        "user_email": state.user_email,
        "runs": state.runs,
        "templates": list(state.store.templates.values()),
        "tags": list(state.store.tags.values()),
        "webhooks": state.webhooks,
    } | settings(state, body, params)


def settings(state: SandboxState, body: Json, params: dict[str, str]) -> Json:
    """Return how the sandbox behaves."""
    return {
        "behavior": asdict(state.behavior),
        "rate_limit": state.rate_limit,
        "latency": state.latency,
        "faults": [fault.description() for fault in state.faults],
    }


def change_settings(state: SandboxState, body: Json, params: dict[str, str]) -> Json:
    """Change ``behavior`` (a preset's name or some fields), ``rate_limit``, ``latency``, ``advance`` the clock."""
    behavior = body.get("behavior")
    if isinstance(behavior, str):
        state.behavior = state.behavior.named(behavior)
    elif behavior:
        state.behavior = state.behavior.changed(behavior)
    if "rate_limit" in body:
        limit = body["rate_limit"]
        state.rate_limit = (limit[0], limit[1]) if limit else None
    if "latency" in body:
        state.latency = float(body["latency"])
    if "advance" in body:
        state.advance(float(body["advance"]))
    return settings(state, body, params)


def add_runs(state: SandboxState, body: Json, params: dict[str, str]) -> Json:
    """Add one run, or ``count`` runs; the other keys are those of ``Sandbox.add_run``."""
    if "count" in body:
        return {"ids": state.add_runs(body.pop("count"), **body)}
    return state.add_run(**body)


def add_fault(state: SandboxState, body: Json, params: dict[str, str]) -> Json:
    """Switch a fault on; the keys are those of ``Fault``."""
    return state.faults.add(**body).description()


def requests(state: SandboxState, body: Json, params: dict[str, str]) -> Json:
    """Return the recorded requests, and how many there were of each method."""
    recorded = list(state.requests)
    shown = [
        {"method": r.method, "path": r.path, "query": r.query, "body": r.body.decode(errors="replace")}
        for r in recorded
    ]
    return {"count": len(recorded), "by_method": Counter(r.method for r in recorded), "requests": shown}


def count_requests(state: SandboxState, body: Json, params: dict[str, str]) -> Json:
    """Return how many requests were recorded, without the requests."""
    recorded = list(state.requests)
    return {"count": len(recorded), "by_method": Counter(r.method for r in recorded)}


def connections(state: SandboxState, body: Json, params: dict[str, str]) -> Json:
    """Return how many TCP connections were opened and how many are open (this one included)."""
    return {"opened": state.connections.opened, "open": len(state.connections.open)}


_ACTIONS: list[tuple[str, str, Action]] = [
    ("GET", "/state", show_state),
    ("GET", "/settings", settings),
    ("PUT", "/settings", change_settings),
    ("POST", "/templates", lambda state, body, params: state.add_template(**body)),
    ("POST", "/runs", add_runs),
    ("GET", "/runs/{run}", lambda state, body, params: state.run(params["run"])),
    ("PATCH", "/runs/{run}", lambda state, body, params: state.update_run(params["run"], **body)),
    ("DELETE", "/runs/{run}", lambda state, body, params: state.delete_run(params["run"])),
    ("POST", "/runs/{run}/complete", lambda state, body, params: state.complete_run(params["run"], **body)),
    ("POST", "/runs/{run}/archive", lambda state, body, params: state.archive_run(params["run"])),
    ("POST", "/runs/{run}/restore", lambda state, body, params: state.restore_run(params["run"])),
    ("POST", "/runs/{run}/problem", lambda state, body, params: state.add_problem(params["run"], **body)),
    ("POST", "/runs/{run}/resolve", lambda state, body, params: state.resolve_problems(params["run"])),
    ("GET", "/faults", lambda state, body, params: [fault.description() for fault in state.faults]),
    ("POST", "/faults", add_fault),
    ("DELETE", "/faults", lambda state, body, params: state.faults.clear()),
    ("GET", "/requests", requests),
    ("GET", "/requests/count", count_requests),
    ("DELETE", "/requests", lambda state, body, params: state.clear_requests()),
    ("GET", "/connections", connections),
    ("DELETE", "/connections", lambda state, body, params: state.reset_connection_count()),
    ("POST", "/tokens", lambda state, body, params: {"token": state.issue_token(**body)}),
    ("DELETE", "/tokens", lambda state, body, params: state.revoke_token(**body)),
]


class ControlApp:
    """The control endpoints, for programs on this machine; web pages in a browser are refused.

    With ``any_host``, they answer under every host name, not only under this machine's own.
    """

    def __init__(self, state: SandboxState, *, any_host: bool = False) -> None:
        self._any_host = any_host
        self._routes = Router(
            [Route(f"/_sandbox{path}", _endpoint(state, action), methods=[method]) for method, path, action in _ACTIONS]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        refusal = self._refusal(Request(scope))
        await (refusal or self._routes)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        if not self._any_host and (problem := foreign_host(request)):
            return _error(403, problem)
        has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if (has_body or request.method in _WRITING) and content_type != "application/json":
            return _error(415, "Send JSON, with the header Content-Type: application/json; {} where nothing is needed.")
        return None


# DELETE is not here: browsers ask for permission before they send it, and the sandbox gives none.
_WRITING = frozenset({"POST", "PUT", "PATCH"})


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)


def _endpoint(state: SandboxState, action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            body = json.loads(await request.body() or b"{}")
        except (ValueError, RecursionError):
            return _error(400, "The body is not JSON.")
        if not isinstance(body, dict):
            return _error(400, "The body is not an object.")
        try:
            result = action(state, body, request.path_params)
        except KeyError as error:
            return _error(404, str(error.args[0]))
        except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            return _error(422, str(error))
        return JSONResponse({} if result is None else result)

    return endpoint
