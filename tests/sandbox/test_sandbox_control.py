from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
import requests

from airflow_provider_tallyfy.sandbox import Behaviour, Sandbox
from airflow_provider_tallyfy.sandbox.seeds import DEFAULT


@pytest.fixture
def control(tallyfy_sandbox):
    def send(method: str, path: str, body: object = None) -> requests.Response:
        return requests.request(method, f"{tallyfy_sandbox.url}/_sandbox{path}", json=body, timeout=10)

    return send


def test_other_processes_can_add_and_change_runs(control, tallyfy_sandbox):
    run = control("POST", "/runs", {"name": "Far", "complete_after": 100}).json()
    path = f"/runs/{run['id']}"
    assert len(control("POST", "/runs", {"count": 3, "archived": True}).json()["ids"]) == 3
    control("POST", f"{path}/archive")
    assert tallyfy_sandbox.run(run["id"])["archived_at"]
    control("POST", f"{path}/restore")
    control("POST", f"{path}/problem", {"on_run": True})
    assert control("GET", path).json()["status"] == "issue"
    control("POST", f"{path}/resolve")
    control("POST", f"{path}/complete")
    assert control("GET", path).json()["status"] == "complete"
    control("PATCH", path, {"status": "brand-new"})
    state = control("GET", "/state").json()
    assert [run["status"] for run in state["runs"]] == ["brand-new", "active", "active", "active"]
    assert state["token"] == tallyfy_sandbox.token
    control("DELETE", path)
    assert control("GET", path).status_code == 404
    assert control("POST", "/runs", {"nonsense": 1}).status_code == 422


def test_other_processes_can_change_how_the_sandbox_behaves(control, api, tallyfy_sandbox):
    control("PUT", "/settings", {"behaviour": "strict", "rate_limit": [5, 60], "latency": 0.001})
    assert tallyfy_sandbox.behaviour == Behaviour.strict()
    assert (tallyfy_sandbox.rate_limit, tallyfy_sandbox.latency) == ((5, 60), 0.001)
    settings = control("PUT", "/settings", {"behaviour": {"repeat_archive": 200}, "rate_limit": None}).json()
    assert (settings["behaviour"]["repeat_archive"], settings["rate_limit"]) == (200, None)
    assert control("PUT", "/settings", {"behaviour": {"mood": "bad"}}).status_code == 422
    assert control("PUT", "/settings", {"behaviour": {"repeat_archive": 500}}).status_code == 422
    control("POST", "/faults", {"status": 418, "times": None})
    assert api("GET", "/me").status_code == 418
    assert control("GET", "/faults").json()[0]["hits"] == 1
    control("DELETE", "/faults")
    assert api("GET", "/me").status_code == 200


def test_other_processes_can_see_what_was_asked(control, api, tallyfy_sandbox):
    api("GET", "/me")
    api("PUT", "/runs/x/activate")
    counts = control("GET", "/requests/count").json()
    assert counts == {"count": 2, "by_method": {"GET": 1, "PUT": 1}}
    assert control("GET", "/requests").json()["requests"][1]["path"].endswith("/runs/x/activate")
    assert control("GET", "/connections").json()["opened"] >= 2
    control("DELETE", "/requests")
    assert control("GET", "/requests/count").json()["count"] == 0


def test_other_processes_can_revoke_and_issue_tokens(control, api):
    control("DELETE", "/tokens")
    assert api("GET", "/me").status_code == 401
    token = control("POST", "/tokens").json()["token"]
    assert api("GET", "/me", headers={"Authorization": f"Bearer {token}"}).ok


def test_the_fixture_is_fresh_and_sets_the_default_connection(tallyfy_sandbox):
    assert tallyfy_sandbox.runs == []
    assert tallyfy_sandbox.behaviour == Behaviour.lenient()
    connection = json.loads(os.environ["AIRFLOW_CONN_TALLYFY_DEFAULT"])
    assert connection == tallyfy_sandbox.connection()
    assert connection["host"] == tallyfy_sandbox.base_url
    assert connection["extra"]["organization_id"] == tallyfy_sandbox.organization_id
    assert tallyfy_sandbox.connection(timeout=3)["extra"]["timeout"] == 3


@pytest.mark.tallyfy_sandbox("strict", seed=DEFAULT)
def test_the_marker_chooses_behaviour_and_seed(tallyfy_sandbox):
    assert tallyfy_sandbox.behaviour == Behaviour.strict()
    names = [run["name"] for run in tallyfy_sandbox.runs]
    assert len(names) == 11
    assert any("\ufeff" in name for name in names)


def test_two_sandboxes_live_side_by_side():
    with Sandbox() as one, Sandbox("strict") as two:
        assert one.base_url != two.base_url
        assert one.organization_id != two.organization_id


def test_the_command_line_serves_until_it_is_told_to_stop(tmp_path):
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps({"runs": [{"name": "From the file", "created_at": "3 days ago"}]}))
    command = [sys.executable, "-m", "airflow_provider_tallyfy.sandbox", "--port", "0", "--token", "secret"]
    process = subprocess.Popen([*command, "--seed", str(seed)], stdout=subprocess.PIPE, text=True)
    with process:
        try:
            lines = dict(line.split(None, 1) for line in (process.stdout.readline() for _ in range(3)))
            connection = json.loads([process.stdout.readline() for _ in range(3)][-1].split("=", 1)[1].strip(" '\n"))
        finally:
            url = lines["base"].split()[-1].removesuffix("/api")
            state = requests.get(f"{url}/_sandbox/state", timeout=10).json()
            process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert [run["name"] for run in state["runs"]] == ["From the file"]
    assert (connection["password"], connection["extra"]["organization_id"]) == ("secret", state["organization_id"])


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("airflow_provider_tallyfy.sandbox", ["starlette", "uvicorn", "airflow", "requests", "httpx"]),
        ("airflow_provider_tallyfy.sandbox.server", ["airflow", "requests", "httpx", "airflow_provider_tallyfy.api"]),
        ("airflow_provider_tallyfy.sandbox.pytest_plugin", ["airflow", "airflow_provider_tallyfy.hooks"]),
    ],
)
def test_importing_the_sandbox_loads_nothing_of_the_client(module, forbidden):
    code = f"import sys, {module}; print([name for name in {forbidden!r} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
