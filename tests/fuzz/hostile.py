"""A Tallyfy without a socket that breaks its answers, and records them and the requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from airflow_provider_tallyfy.api.call import Answer, Call, Loss
from airflow_provider_tallyfy.connection import TallyfySettings
from airflow_provider_tallyfy.hooks.body import Body
from airflow_provider_tallyfy.hooks.driver import default_headers
from tests.fuzz.mutations import Mutation, Reply, mutated
from tests.virtual_time import VirtualTallyfy, in_virtual_time

#: No subject of these tests needs more requests.
MOST_REQUESTS = 400
_MIN_PIECE = 64 * 1024


class HostileTallyfy(VirtualTallyfy):
    """
    A sandbox whose answers are mutated on their way.

    :param behavior: of the sandbox.
    :param mutations: what happens to its answers.
    :param everywhere: whether each mutation happens to every answer, rather than to the one it names.
    """

    def __init__(self, behavior: str, mutations: list[Mutation], *, everywhere: bool) -> None:
        super().__init__(behavior)
        self.behavior = self.behavior.changed({"list_lag": 0})
        self.mutations, self.everywhere = mutations, everywhere
        self.settings = {"retry_budget": 0.0, "max_response_bytes": 2_000_000}
        self.replies: list[Reply] = []
        self.calls: list[Call[Any]] = []
        self.received: list[Answer | Loss] = []
        self.largest = 0

    def connection(self) -> str:
        extra = {"organization_id": self.organization_id, "retry_budget": 0, "max_response_bytes": 2_000_000}
        values = {"conn_type": "tallyfy", "host": "http://127.0.0.1/api", "password": self.token, "extra": extra}
        return json.dumps(values)

    def exchange(self, session: Any, settings: TallyfySettings, call: Call[Any], token: str) -> Answer | Loss:
        """Stand in for the exchange over requests."""
        return in_virtual_time(lambda: self._exchange(settings, call, token))

    async def exchange_async(self, settings: TallyfySettings, call: Call[Any], token: str) -> Answer | Loss:
        """Stand in for the exchange over httpx."""
        return await self._exchange(settings, call, token)

    async def _exchange(self, settings: TallyfySettings, call: Call[Any], token: str) -> Answer | Loss:
        number = len(self.calls)
        self.calls.append(call)
        if number >= MOST_REQUESTS:  # the test fails; the client should not take long to find its end
            return Loss("too_large", sent=True)
        reply = await self._truth(settings, call, token)
        for mutation in self.mutations:
            if self.everywhere or mutation.at == number:
                reply = mutated(reply, mutation, self.token, self.replies)
        self.replies.append(reply)
        received = self._received(reply, settings)
        self.received.append(received)
        return received

    def _received(self, reply: Reply, settings: TallyfySettings) -> Answer | Loss:
        """Read a reply as the transports do."""
        if reply.lost is not None:
            return Loss(reply.lost, sent=reply.lost in ("timeout", "reset", "too_large"))  # type: ignore[arg-type]
        body = Body({name.title(): value for name, value in reply.headers.items()}, settings)
        for start in range(0, len(reply.body), _MIN_PIECE):
            if not body.wants_more:
                break
            body.add(reply.body[start : start + _MIN_PIECE])
        outcome = body.outcome(reply.status)
        if isinstance(outcome, Answer):
            self.largest = max(self.largest, len(outcome.body))
        return outcome

    async def _truth(self, settings: TallyfySettings, call: Call[Any], token: str) -> Reply:
        content, described = call.content()
        headers = {**default_headers(), **described, "Authorization": f"Bearer {token}"}
        path, _, query = call.url("").partition("?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": call.method,
            "path": unquote(f"/api{path}"),
            "raw_path": f"/api{path}".encode(),
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
            "headers": [
                (name.lower().encode(), value.encode())
                for name, value in {
                    **headers,
                    "Authorization": f"Bearer {token}",
                    "X-Tallyfy-Client": "APIClient",
                }.items()
            ],
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": content or b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        known = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], known, b"".join(message.get("body", b"") for message in sent[1:]))

    # -- what was shown -------------------------------------------------------------------------------------

    def shown(self, item_id: str) -> Iterator[dict[str, Any]]:
        """Every object with an id that a good answer held."""
        for answer in self.received:
            if isinstance(answer, Answer) and 200 <= answer.status < 300 and not answer.unreadable:
                try:
                    yield from _objects(answer.json(), item_id)
                except ValueError:
                    continue

    def showed(self, run_id: str, *, archived: bool) -> bool:
        states = (bool(run.get("archived_at") or run.get("status") == "archived") for run in self.shown(run_id))
        return archived in states

    def showed_complete(self, run_id: str) -> bool:
        return any(run.get("completed_at") or run.get("status") == "complete" for run in self.shown(run_id))

    def sent(self, method: str, end: str) -> bool:
        return any(call.method == method and call.path.endswith(end) for call in self.calls)


def _objects(value: Any, item_id: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if value.get("id") == item_id:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _objects(item, item_id)
