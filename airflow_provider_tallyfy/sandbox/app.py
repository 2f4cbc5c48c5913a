"""The ASGI application: the documented API, its faults, the control endpoints and the web app."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.routing import compile_path
from starlette.types import Message, Receive, Scope, Send

from airflow_provider_tallyfy.sandbox import auth, routes_organization, routes_runs, routes_tasks
from airflow_provider_tallyfy.sandbox.control import ControlApp
from airflow_provider_tallyfy.sandbox.request import Call, Handler, query_pairs
from airflow_provider_tallyfy.sandbox.responses import NOT_FOUND_PAGE, Answer, Refusal, wrong_method, wrong_path
from airflow_provider_tallyfy.sandbox.state import RecordedRequest, SandboxState
from airflow_provider_tallyfy.sandbox.web.pages import WebApp
from airflow_provider_tallyfy.sandbox.wire import Exchange, apply_fault


class SandboxApp:
    """A Tallyfy as an ASGI application."""

    def __init__(self, state: SandboxState, *, any_host: bool = False) -> None:
        self.state = state
        self.api = Api(state)
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
        elif path == below and self.web.serves(scope):
            await self.web(scope, receive, send)
        elif (body := await _read(receive)) is not None:
            await self._api(Exchange(scope, body, receive, send, self.api.answer, self._transport(scope)))

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
            answer = refusal or exchange.proper_answer()
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


class _Route:
    """An endpoint; one that is open checks by itself who asks."""

    def __init__(self, method: str, path: str, handler: Handler, *, is_open: bool = False) -> None:
        self.method = method
        self.pattern = compile_path(path)[0]
        self.handler = handler
        self.is_open = is_open


class Api:
    """The documented endpoints."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        below_organization = routes_organization.ROUTES + routes_runs.ROUTES + routes_tasks.ROUTES
        self._routes = [
            _Route("POST", "/oauth/token", auth.issue_application_token, is_open=True),
            _Route("POST", "/applications/{org}/users/{email}/token", auth.issue_user_token, is_open=True),
            _Route("GET", "/me", routes_organization.me),
            *(_Route(method, f"/organizations/{{org}}{path}", handler) for method, path, handler in below_organization),
        ]

    def answer(self, scope: Scope, body: bytes) -> Answer:
        """Let a request take effect, and return the answer; a 404 is a web page for those who did not ask for JSON."""
        headers = Headers(scope=scope)
        try:
            answer = self._answer(scope, headers, body)
        except Refusal as refusal:
            answer = refusal.answer
        if answer.status == 404 and "application/json" not in headers.get("accept", ""):
            return Answer.html(NOT_FOUND_PAGE, 404)
        return answer

    def _answer(self, scope: Scope, headers: Headers, body: bytes) -> Answer:
        route, params = self._route(scope["path"], "GET" if scope["method"] == "HEAD" else scope["method"])
        query = dict(query_pairs(scope["query_string"].decode("latin-1")))
        state = self._state
        call = Call(state, scope["path"], params, query, headers, body)
        with state.lock:
            state.store.complete_due_runs()
            token = None if route.is_open else auth.check_workflow(call)
            call.user_id = (token and token.user_id) or state.user["id"]
            return route.handler(call)

    def _route(self, path: str, method: str) -> tuple[_Route, dict[str, str]]:
        """Find the endpoint, and what its path names."""
        found = [(route, match) for route in self._routes if (match := route.pattern.match(path))]
        if not found:
            raise wrong_path()
        for route, match in found:
            if route.method == method:
                return route, {name: unquote(text) for name, text in match.groupdict().items()}
        raise wrong_method()
