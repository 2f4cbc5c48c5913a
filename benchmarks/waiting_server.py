"""The sandbox in a process of its own, which also answers like the services that other providers wait for."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

from airflow_provider_tallyfy.sandbox import Sandbox, server
from airflow_provider_tallyfy.sandbox.app import SandboxApp

ACTIVE_RUNS = 1500
REQUESTS_PER_MINUTE = 600


class PeerApp(SandboxApp):
    """
    Serves a run as the peers ask for theirs, under the same rate limit, and counted alike.

    ``/done/{run}`` is 404 until the run is complete, as ``HttpSensor`` wants it; ``/api/2.x/jobs/runs/get?run_id=N`` is
    the N-th run as a Databricks job run.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if path.startswith("/done/"):
            status, run = await self._read(scope, path.rpartition("/")[2])
            done = status == 200 and run["data"]["status"] == "complete"
            await _answer(send, 200 if done else 404 if status == 200 else status, run)
        elif path.endswith("/jobs/runs/get"):
            number = await _run_number(scope, receive)
            status, run = await self._read(scope, list(self.state.store.runs)[number])
            await _answer(send, status, _as_job_run(run) if status == 200 else run)
        else:
            await super().__call__(scope, receive, send)

    async def _read(self, scope: Any, run_id: str) -> tuple[int, Any]:
        sent: list[dict[str, Any]] = []

        async def keep(message: Any) -> None:
            sent.append(message)

        async def no_body() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        path = f"/api/organizations/{self.state.organization_id}/runs/{run_id}"
        headers = {
            "authorization": f"Bearer {self.state.token}",
            "accept": "application/json",
            "x-tallyfy-client": "APIClient",
        }
        asked = dict(scope) | {
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        await super().__call__(asked, no_body, keep)
        return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


async def _run_number(scope: Any, receive: Any) -> int:
    """Find the run id where the provider's version puts it: in the query, or in the body."""
    query = scope["query_string"].decode().partition("run_id=")[2].partition("&")[0]
    return int(query or json.loads((await receive())["body"])["run_id"])


def _as_job_run(run: Any) -> dict[str, Any]:
    done = run["data"]["status"] == "complete"
    state = {"life_cycle_state": "TERMINATED", "result_state": "SUCCESS"} if done else {"life_cycle_state": "RUNNING"}
    return {"run_id": 1, "state": {"state_message": "", **state}, "tasks": []}


async def _answer(send: Any, status: int, body: Any) -> None:
    headers = [(b"content-type", b"application/json"), (b"retry-after", b"5")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def main() -> None:
    """Serve so many runs, and so many requests a minute, until standard input is closed."""
    server.SandboxApp = PeerApp  # type: ignore[attr-defined]  # the sandbox, and the endpoints of the peers
    runs, *limits = map(int, sys.argv[1:])
    with Sandbox() as sandbox:
        run_ids = sandbox.add_runs(runs)
        sandbox.rate_limit = (limits[0] if limits else REQUESTS_PER_MINUTE, 60.0)
        known = {"port": sandbox.port, "runs": run_ids, "connection": sandbox.connection(), "url": sandbox.url}
        print(json.dumps(known), flush=True)
        stop = threading.Event()

        def stop_at_the_end_of_input() -> None:
            sys.stdin.read()
            stop.set()

        threading.Thread(target=stop_at_the_end_of_input, daemon=True).start()
        stop.wait()


if __name__ == "__main__":
    main()
