"""The ASGI application: the documented API, its faults, the control endpoints and the web app."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Message, Receive, Scope, Send

from airflow_provider_tallyfy.sandbox import auth, routes_organization, routes_runs, routes_tasks
from airflow_provider_tallyfy.sandbox.accepted_credentials import Token
from airflow_provider_tallyfy.sandbox.control import ControlApp
from airflow_provider_tallyfy.sandbox.request import Call, Handler, query_pairs
from airflow_provider_tallyfy.sandbox.responses import NOT_FOUND_PAGE, Answer, Refusal, wrong_method, wrong_path
from airflow_provider_tallyfy.sandbox.state import RecordedRequest, SandboxState
from airflow_provider_tallyfy.sandbox.web.app import WebApp
from airflow_provider_tallyfy.sandbox.wire import Exchange, apply_fault

Guard = Callable[[Call], Token | None]
Table = list[tuple[str, str, Handler]]
Endpoint = Callable[[Request], Awaitable[Response]]


class SandboxApp:
    """A Tallyfy as an ASGI application."""

    def __init__(self, state: SandboxState, *, any_host: bool = False) -> None:
        self.state = state
        self.api = api_router(state)
        self.control = ControlApp(state, any_host=any_host)
        self.web = WebApp(state, any_host=any_host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        path = scope["raw_path"].decode("ascii")
        below = path.removeprefix(self.state.prefix) if path.startswith(f"{self.state.prefix}/") else path
        # Routing the encoded path keeps an encoded slash inside its segment.
        scope = dict(scope) | {"path": below}
        if path.startswith("/_sandbox"):
            await self.control(scope, receive, send)
        elif below == "/health":
            await Response('{"status":"ok"}', media_type="application/json")(scope, receive, send)
        elif path == below and self.web.serves(scope):
            await self.web(scope, receive, send)
        elif (body := await _read(receive)) is not None:
            await self._api(Exchange(scope, body, receive, send, self.api, self._transport(scope)))

    async def _api(self, exchange: Exchange) -> None:
        state, request = self.state, record(exchange)
        due = asyncio.get_running_loop().time() + state.latency
        state.requests.append(request)
        refusal = state.limiter.refuse() if state.limiter else None
        fault = None if refusal else state.faults.match(request.method, request.path, request.raw_query)
        if fault is not None:
            await _wait_until(due)
            await apply_fault(exchange, fault, state.clock.now())
        else:
            answer = refusal or await exchange.proper_answer()
            await _wait_until(due)
            await exchange.reply(answer)

    def _transport(self, scope: Scope) -> asyncio.Transport | None:
        client = scope.get("client")
        return self.state.connections.open.get((client[0], client[1])) if client else None


async def _read(receive: Receive) -> bytes | None:
    """Return the request's body, or None if the client left before it was complete."""
    parts: list[bytes] = []
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _wait_until(moment: float) -> None:
    left = moment - asyncio.get_running_loop().time()
    if left > 0:
        await asyncio.sleep(left)


def record(exchange: Exchange) -> RecordedRequest:
    """Return a request as it is recorded."""
    scope = exchange.scope
    raw_query = scope["query_string"].decode("latin-1")
    headers = {name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]}
    path = scope["raw_path"].decode("ascii")
    return RecordedRequest(scope["method"], path, query_pairs(raw_query), raw_query, headers, exchange.body)


def api_router(state: SandboxState) -> Router:
    """Return the API's endpoints below the prefix."""
    open_to_all: Table = [
        ("POST", "/oauth/token", auth.issue_application_token),
        ("POST", "/applications/{org}/users/{email}/token", auth.issue_user_token),
    ]
    for_users: Table = [
        ("GET", "/me", routes_organization.me),
        ("GET", "/me/organizations", routes_organization.my_organizations),
    ]
    below_organization = routes_organization.ROUTES + routes_runs.ROUTES + routes_tasks.ROUTES
    for_users += [(method, f"/organizations/{{org}}{path}", handler) for method, path, handler in below_organization]
    routes = [_route(state, *entry, guard=lambda call: None) for entry in open_to_all]
    routes += [_route(state, *entry, guard=auth.check_workflow) for entry in for_users]
    return Router(routes, default=_unknown)


class _ApiRoute(Route):
    """A route that answers as the API does to a method that its path does not have."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in (self.methods or ()):
            await self.app(scope, receive, send)
        else:
            await _response(Request(scope, receive), wrong_method().answer)(scope, receive, send)


def _route(state: SandboxState, method: str, path: str, handler: Handler, guard: Guard) -> Route:
    return _ApiRoute(path, _endpoint(state, handler, guard), methods=[method])


def _endpoint(state: SandboxState, handler: Handler, guard: Guard) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        call = await _call(state, request)
        with state.lock:
            state.store.complete_due_runs()
            try:
                token = guard(call)
                call.user_id = (token and token.user_id) or state.user["id"]
                answer = handler(call)
            except Refusal as refusal:
                answer = refusal.answer
        return _response(request, answer)

    return endpoint


async def _call(state: SandboxState, request: Request) -> Call:
    params = {name: unquote(text) for name, text in request.path_params.items()}
    query = dict(query_pairs(request.scope["query_string"].decode("latin-1")))
    return Call(state, request.scope["path"], params, query, request.headers, await request.body())


def _response(request: Request, answer: Answer) -> Response:
    """Put an answer on the wire; a 404 is a web page for those who did not ask for JSON."""
    if answer.status == 404 and "application/json" not in request.headers.get("accept", ""):
        answer = Answer.html(NOT_FOUND_PAGE, 404)
    response = Response(answer.body, answer.status)
    response.raw_headers = answer.raw_headers()
    return response


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    await _response(request, wrong_path().answer)(scope, receive, send)
