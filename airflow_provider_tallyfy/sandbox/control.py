"""The same control over HTTP, for demos, benchmarks and system tests: ``/_sandbox/...``, without a token."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from airflow_provider_tallyfy.sandbox.ids_and_times import Json
from airflow_provider_tallyfy.sandbox.world import World

# An IPv6 address in brackets, or a name or an IPv4 address; then the port.
_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+))(?::\d+)?")

Action = Callable[[World, Json, dict[str, str]], Any]


def state(world: World, body: Json, params: dict[str, str]) -> Json:
    """Return what the organization holds, and how to connect to it."""
    return {
        "organization_id": world.organization_id,
        "token": world.token,
        "client_id": world.client_id,
        "client_secret": world.client_secret,
        "user_email": world.user_email,
        "runs": world.runs,
        "templates": list(world.store.templates.values()),
        "tags": list(world.store.tags.values()),
        "webhooks": world.webhooks,
    } | settings(world, body, params)


def settings(world: World, body: Json, params: dict[str, str]) -> Json:
    """Return how the sandbox behaves."""
    return {
        "behavior": asdict(world.behavior),
        "rate_limit": world.rate_limit,
        "latency": world.latency,
        "faults": [fault.description() for fault in world.faults],
    }


def change_settings(world: World, body: Json, params: dict[str, str]) -> Json:
    """Change ``behavior`` (a preset's name or some fields), ``rate_limit``, ``latency``, ``advance`` the clock."""
    behavior = body.get("behavior")
    if isinstance(behavior, str):
        world.behavior = world.behavior.named(behavior)
    elif behavior:
        world.behavior = world.behavior.changed(behavior)
    if "rate_limit" in body:
        limit = body["rate_limit"]
        world.rate_limit = (limit[0], limit[1]) if limit else None
    if "latency" in body:
        world.latency = float(body["latency"])
    if "advance" in body:
        world.advance(float(body["advance"]))
    return settings(world, body, params)


def add_runs(world: World, body: Json, params: dict[str, str]) -> Json:
    """Add one run, or ``count`` runs; the other keys are those of ``Sandbox.add_run``."""
    if "count" in body:
        return {"ids": world.add_runs(body.pop("count"), **body)}
    return world.add_run(**body)


def add_fault(world: World, body: Json, params: dict[str, str]) -> Json:
    """Switch a fault on; the keys are those of ``Fault``."""
    return world.faults.add(**body).description()


def requests(world: World, body: Json, params: dict[str, str]) -> Json:
    """Return the recorded requests, and how many there were of each method."""
    recorded = list(world.requests)
    shown = [
        {"method": r.method, "path": r.path, "query": r.query, "body": r.body.decode(errors="replace")}
        for r in recorded
    ]
    return {"count": len(recorded), "by_method": Counter(r.method for r in recorded), "requests": shown}


def count_requests(world: World, body: Json, params: dict[str, str]) -> Json:
    """Return how many requests were recorded, without the requests."""
    recorded = list(world.requests)
    return {"count": len(recorded), "by_method": Counter(r.method for r in recorded)}


def connections(world: World, body: Json, params: dict[str, str]) -> Json:
    """Return how many TCP connections were opened and how many are open (this one included)."""
    return {"opened": world.connections.opened, "open": len(world.connections.open)}


_ACTIONS: list[tuple[str, str, Action]] = [
    ("GET", "/state", state),
    ("GET", "/settings", settings),
    ("PUT", "/settings", change_settings),
    ("POST", "/templates", lambda world, body, params: world.add_template(**body)),
    ("POST", "/runs", add_runs),
    ("GET", "/runs/{run}", lambda world, body, params: world.run(params["run"])),
    ("PATCH", "/runs/{run}", lambda world, body, params: world.update_run(params["run"], **body)),
    ("DELETE", "/runs/{run}", lambda world, body, params: world.delete_run(params["run"])),
    ("POST", "/runs/{run}/complete", lambda world, body, params: world.complete_run(params["run"], **body)),
    ("POST", "/runs/{run}/archive", lambda world, body, params: world.archive_run(params["run"])),
    ("POST", "/runs/{run}/restore", lambda world, body, params: world.restore_run(params["run"])),
    ("POST", "/runs/{run}/problem", lambda world, body, params: world.add_problem(params["run"], **body)),
    ("POST", "/runs/{run}/resolve", lambda world, body, params: world.resolve_problems(params["run"])),
    ("GET", "/faults", lambda world, body, params: [fault.description() for fault in world.faults]),
    ("POST", "/faults", add_fault),
    ("DELETE", "/faults", lambda world, body, params: world.faults.clear()),
    ("GET", "/requests", requests),
    ("GET", "/requests/count", count_requests),
    ("DELETE", "/requests", lambda world, body, params: world.clear_requests()),
    ("GET", "/connections", connections),
    ("DELETE", "/connections", lambda world, body, params: world.reset_connection_count()),
    ("POST", "/tokens", lambda world, body, params: {"token": world.issue_token(**body)}),
    ("DELETE", "/tokens", lambda world, body, params: world.revoke_token(**body)),
]


class ControlApp:
    """The control endpoints, for programs on this machine: web pages that people look at meanwhile are refused.

    :param any_host: Answer whatever name the request came under; otherwise only this machine's own names.
    """

    def __init__(self, world: World, *, any_host: bool = False) -> None:
        self._any_host = any_host
        self._routes = Router(
            [Route(f"/_sandbox{path}", _endpoint(world, action), methods=[method]) for method, path, action in _ACTIONS]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        refusal = self._refusal(Request(scope))
        await (refusal or self._routes)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        name = _HOST.fullmatch(host)
        if not self._any_host and not (name and is_loopback(name[1] or name[2])):
            return _error(
                403, f"Host {host!r} is not this machine. Start the sandbox with a host of its own to allow it."
            )
        has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if (has_body or request.method in _WRITING) and content_type != "application/json":
            return _error(415, "Send JSON, with the header Content-Type: application/json; {} where nothing is needed.")
        return None


# Others write as well, but web pages need permission for them, and nobody gives it.
_WRITING = frozenset({"POST", "PUT", "PATCH"})


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)


def _endpoint(world: World, action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            body = json.loads(await request.body() or b"{}")
        except (ValueError, RecursionError):
            return _error(400, "The body is not JSON.")
        if not isinstance(body, dict):
            return _error(400, "The body is not an object.")
        try:
            result = action(world, body, request.path_params)
        except KeyError as error:
            return _error(404, str(error.args[0]))
        except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
            return _error(422, str(error))
        return JSONResponse({} if result is None else result)

    return endpoint
