from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys

import pytest
import requests

from airflow_provider_tallyfy.sandbox import Behavior, Sandbox
from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from benchmarks.sandbox_process import SandboxProcess


@pytest.fixture
def control(tallyfy_sandbox):
    def send(method: str, path: str, body: object = None) -> requests.Response:
        body = {} if body is None and method != "GET" else body
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
    control("PUT", "/settings", {"behavior": "strict", "rate_limit": [5, 60], "latency": 0.001})
    assert tallyfy_sandbox.behavior == Behavior.strict()
    assert (tallyfy_sandbox.rate_limit, tallyfy_sandbox.latency) == ((5, 60), 0.001)
    settings = control("PUT", "/settings", {"behavior": {"repeat_archive": 200}, "rate_limit": None}).json()
    assert (settings["behavior"]["repeat_archive"], settings["rate_limit"]) == (200, None)
    assert control("PUT", "/settings", {"behavior": {"mood": "bad"}}).status_code == 422
    assert control("PUT", "/settings", {"behavior": {"repeat_archive": 500}}).status_code == 422
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


SAFE = {"Content-Type": "application/json"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", None])
def test_a_request_that_a_web_page_can_send_changes_nothing(tallyfy_sandbox, method, content_type):
    headers = {} if content_type is None else {"Content-Type": content_type}
    path = {"POST": "/templates", "PUT": "/settings"}.get(method, f"/runs/{tallyfy_sandbox.add_run()['id']}")
    before = (tallyfy_sandbox.runs, list(tallyfy_sandbox.store.templates), tallyfy_sandbox.latency)

    answer = requests.request(
        method, f"{tallyfy_sandbox.url}/_sandbox{path}", data='{"title": "x"}', headers=headers, timeout=10
    )

    assert answer.status_code == 415
    assert (tallyfy_sandbox.runs, list(tallyfy_sandbox.store.templates), tallyfy_sandbox.latency) == before


def test_a_post_without_a_body_needs_the_header_too(tallyfy_sandbox):
    run = tallyfy_sandbox.add_run()
    url = f"{tallyfy_sandbox.url}/_sandbox/runs/{run['id']}/archive"

    assert requests.post(url, timeout=10).status_code == 415
    assert requests.post(url, timeout=10, headers=SAFE | {"Content-Type": "Application/JSON; charset=utf-8"}).ok


@pytest.mark.parametrize("body", ["{not json", "[" * 100_000, "\xff", "[]", "5", "null"])
def test_a_body_other_than_a_json_object_is_a_bad_request(tallyfy_sandbox, body):
    url = f"{tallyfy_sandbox.url}/_sandbox/runs"

    answer = requests.post(url, data=body.encode("latin-1"), headers=SAFE, timeout=10)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("The body is not")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/settings", {"rate_limit": [1]}),
        ("PUT", "/settings", {"latency": "soon"}),
        ("POST", "/runs", {"count": "many"}),
        ("POST", "/templates", {"title": "x", "steps": 5}),
    ],
)
def test_invalid_values_are_reported(control, method, path, body):
    assert control(method, path, body).status_code == 422


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:1", 200), ("localhost", 200), ("LOCALHOST:8765", 200), ("[::1]:8765", 200), ("127.8.8.8", 200),
        ("evil.example", 403), ("localhost.evil.example", 403), ("127.0.0.1.evil.example:80", 403), ("10.0.0.1", 403),
        ("", 403), ("[", 403), ("evil@127.0.0.1", 403),
    ],
)  # fmt: skip
def test_only_this_machines_names_lead_to_the_control_endpoints(tallyfy_sandbox, host, status):
    """A web page whose name leads to this machine (DNS rebinding) sends its own host."""
    answer = requests.get(f"{tallyfy_sandbox.url}/_sandbox/state", headers={"Host": host}, timeout=10)

    assert answer.status_code == status
    assert (tallyfy_sandbox.token in answer.text) is (status == 200)


OTHERS_REACH_IT = "where other machines may reach it"


def test_a_sandbox_for_other_machines_answers_under_any_name_and_warns(capfd):
    with Sandbox(host="0.0.0.0") as sandbox:
        url = f"http://127.0.0.1:{sandbox.port}/_sandbox/state"
        assert requests.get(url, headers={"Host": "tallyfy:8765"}, timeout=10).ok

    warning = capfd.readouterr().err
    assert f"listens on 0.0.0.0, {OTHERS_REACH_IT}" in warning
    assert sandbox.token not in warning


@pytest.mark.parametrize("host", [None, "127.0.0.1"])
def test_a_sandbox_for_this_machine_does_not_warn(capfd, host):
    with Sandbox(host=host):
        pass

    assert OTHERS_REACH_IT not in capfd.readouterr().err


def test_the_fixture_is_empty_and_sets_the_default_connection(tallyfy_sandbox):
    assert tallyfy_sandbox.runs == []
    assert tallyfy_sandbox.behavior == Behavior.lenient()
    connection = json.loads(os.environ["AIRFLOW_CONN_TALLYFY_DEFAULT"])
    assert connection == tallyfy_sandbox.connection()
    assert connection["host"] == tallyfy_sandbox.base_url
    assert connection["extra"]["organization_id"] == tallyfy_sandbox.organization_id
    assert tallyfy_sandbox.connection(timeout=3)["extra"]["timeout"] == 3


@pytest.mark.tallyfy_sandbox("strict", seed=DEFAULT)
def test_the_marker_chooses_behavior_and_seed(tallyfy_sandbox):
    assert tallyfy_sandbox.behavior == Behavior.strict()
    names = [run["name"] for run in tallyfy_sandbox.runs]
    assert len(names) == 11
    assert any("\ufeff" in name for name in names)


def test_two_sandboxes_run_side_by_side():
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
            printed = [process.stdout.readline().strip() for _ in range(10)]
            *command, connection = shlex.split(printed[-1])
        finally:
            url = printed[0].removeprefix("web app").strip().rstrip("/")
            state = requests.get(f"{url}/_sandbox/state", timeout=10).json()
            process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert [run["name"] for run in state["runs"]] == ["From the file"]
    assert command == ["airflow", "connections", "add", "tallyfy_default", "--conn-json"]
    connection = json.loads(connection)
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


def test_the_benchmarks_understand_what_the_sandbox_prints():
    with SandboxProcess() as sandbox:
        [run_id] = sandbox.add_archived_runs(1)
        assert sandbox.control("GET", f"/runs/{run_id}")["archived_at"]
        connection = json.loads(sandbox.connection)
    assert (connection["host"], connection["password"]) == (sandbox.base_url, sandbox.token)
