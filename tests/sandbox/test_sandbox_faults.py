from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import pytest
import requests

from airflow_provider_tallyfy.sandbox import Sandbox
from airflow_provider_tallyfy.sandbox.faults import BODIES


def raw_request(sandbox: Sandbox, method: str, path: str) -> socket.socket:
    """Send a request on a bare socket, to see how the server ends it."""
    connection = socket.create_connection((sandbox.host, sandbox.port), timeout=10)
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {sandbox.token}\r\n"
    connection.sendall(f"{head}Accept: application/json\r\nX-Tallyfy-Client: APIClient\r\n\r\n".encode())
    return connection


def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens in the server's thread."""
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends, "it never happened"
        time.sleep(0.001)


@pytest.fixture
def run_id(tallyfy_sandbox) -> str:
    return str(tallyfy_sandbox.add_run()["id"])


def test_a_fault_hits_its_method_and_path_so_many_times_after_so_many_requests(api, tallyfy_sandbox, run_id):
    fault = tallyfy_sandbox.faults.add(method="GET", path=r"/runs/[0-9a-f]+$", status=503, times=2, after=1)
    got = [api("GET", f"/runs/{run_id}").status_code for _ in range(5)]
    assert got == [200, 503, 503, 200, 200]
    assert (fault.hits, api("GET", "/runs").status_code) == (2, 200)


def test_a_fault_can_be_aimed_at_a_query(api, tallyfy_sandbox):
    tallyfy_sandbox.faults.add(path=r"archived=only", times=None)
    assert [api("GET", f"/runs?{query}").status_code for query in ("archived=only", "archived=true")] == [500, 200]
    tallyfy_sandbox.faults.clear()
    assert api("GET", "/runs?archived=only").status_code == 200


@pytest.mark.parametrize("body", sorted(BODIES))
def test_every_named_body_can_be_sent_with_any_status(api, tallyfy_sandbox, body):
    content, content_type = BODIES[body]
    for status in (200, 502):
        tallyfy_sandbox.faults.add(status=status, body=body)
        answer = api("GET", "/runs")
        assert (answer.status_code, answer.headers["content-type"]) == (status, content_type)
        assert (answer.text if isinstance(content, str) else answer.json()) == content


def test_bodies_may_be_given_literally(api, tallyfy_sandbox):
    tallyfy_sandbox.faults.add(status=401, body="Unauthorized.")
    assert api("GET", "/runs").text == "Unauthorized."
    tallyfy_sandbox.faults.add(status=200, body={"data": []}, headers={"x-strange": "yes"})
    assert api("GET", "/runs").headers["x-strange"] == "yes"
    tallyfy_sandbox.faults.add(status=200, body=b"\xff\xfe")
    assert api("GET", "/runs").content == b"\xff\xfe"


def test_statuses_bring_their_documented_bodies(api, tallyfy_sandbox):
    tallyfy_sandbox.faults.add(status=402)
    assert api("GET", "/runs").json()["code"] == "TRIAL_LIMIT_REACHED_100_U"
    tallyfy_sandbox.faults.add(status=429)
    refused = api("GET", "/runs")
    assert refused.json()["code"] == "RATE_LIMIT_EXCEEDED"
    assert "retry-after" not in refused.headers


def test_retry_after_comes_in_seconds_fractions_or_as_a_date(api, tallyfy_sandbox):
    for value, text in ((7, "7"), (0.5, "0.5"), ("soon", "soon")):
        tallyfy_sandbox.faults.add(status=429, retry_after=value)
        assert api("GET", "/runs").headers["retry-after"] == text
    tallyfy_sandbox.faults.add(status=503, retry_after=3600, retry_after_date=True)
    answer = api("GET", "/runs")
    ahead = parsedate_to_datetime(answer.headers["retry-after"]) - parsedate_to_datetime(answer.headers["date"])
    assert 3595 <= ahead.total_seconds() <= 3605


def test_an_error_may_come_after_the_write_was_applied(api, tallyfy_sandbox, run_id):
    tallyfy_sandbox.faults.add(method="DELETE", status=502, body="html", applied=True)
    assert api("DELETE", f"/runs/{run_id}").status_code == 502
    assert tallyfy_sandbox.run(run_id)["archived_at"] is not None
    tallyfy_sandbox.faults.add(method="PUT", status=502)
    assert api("PUT", f"/runs/{run_id}/activate").status_code == 502
    assert tallyfy_sandbox.run(run_id)["archived_at"] is not None


@pytest.mark.parametrize("applied", [False, True])
def test_a_reset_is_a_real_rst_before_or_after_the_write(tallyfy_sandbox, run_id, applied):
    tallyfy_sandbox.faults.add("reset", method="DELETE", applied=applied)
    path = f"/api/organizations/{tallyfy_sandbox.organization_id}/runs/{run_id}"
    with raw_request(tallyfy_sandbox, "DELETE", path) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
    assert (tallyfy_sandbox.run(run_id)["archived_at"] is not None) == applied
    assert tallyfy_sandbox.requests[-1].method == "DELETE"


def test_a_client_sees_a_reset_as_a_connection_error_and_can_go_on(api, tallyfy_sandbox, run_id):
    tallyfy_sandbox.faults.add("reset", method="PUT")
    with pytest.raises(requests.ConnectionError):
        api("PUT", f"/runs/{run_id}/activate")
    assert api("PUT", f"/runs/{run_id}/activate").ok


def test_a_hang_outlasts_the_client_timeout_and_applies_nothing(api, tallyfy_sandbox, run_id):
    hang = tallyfy_sandbox.faults.add("hang", method="DELETE")
    with pytest.raises(requests.ReadTimeout):
        api("DELETE", f"/runs/{run_id}", timeout=0.1)
    until(lambda: hang.hits)
    tallyfy_sandbox.drop_connections()
    tallyfy_sandbox.faults.clear()
    assert api("GET", f"/runs/{run_id}").json()["data"]["archived_at"] is None


def test_a_hang_may_apply_the_write_first_and_ends_when_it_is_cleared(api, tallyfy_sandbox, run_id):
    answers = []
    fault = tallyfy_sandbox.faults.add("hang", method="DELETE", applied=True)
    asking = threading.Thread(target=lambda: answers.append(api("DELETE", f"/runs/{run_id}", timeout=30)))
    asking.start()
    until(lambda: tallyfy_sandbox.run(run_id)["archived_at"])
    assert answers == []
    tallyfy_sandbox.faults.remove(fault)
    asking.join()
    assert [answer.status_code for answer in answers] == [200]


def test_a_hang_ends_when_its_time_is_over(api, tallyfy_sandbox):
    tallyfy_sandbox.faults.add("hang", seconds=0.01)
    assert api("GET", "/runs").status_code == 200


def test_a_write_takes_effect_before_the_latency_of_its_answer_is_over(tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run(archived=True)["id"]
    tallyfy_sandbox.latency = 60
    path = f"/api/organizations/{tallyfy_sandbox.organization_id}/runs/{run_id}/activate"
    with raw_request(tallyfy_sandbox, "PUT", path) as connection:
        until(lambda: tallyfy_sandbox.run(run_id)["archived_at"] is None)
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)


def test_a_hanging_request_does_not_delay_the_stop_of_the_sandbox():
    with Sandbox() as sandbox:
        fault = sandbox.faults.add("hang")
        connection = raw_request(sandbox, "GET", "/api/me")
        until(lambda: fault.hits)
    with connection, contextlib.suppress(ConnectionResetError):
        assert connection.recv(1) == b""


def test_a_slow_body_arrives_in_pieces_and_whole(api, tallyfy_sandbox):
    tallyfy_sandbox.add_runs(3)
    proper = api("GET", "/runs").json()
    tallyfy_sandbox.faults.add("slow", seconds=0.1)
    answer = api("GET", "/runs", stream=True)
    pieces = list(answer.raw.stream(1_000_000))
    assert len(b"".join(pieces)) == int(answer.headers["content-length"])
    tallyfy_sandbox.faults.add("slow", seconds=0.1)
    assert api("GET", "/runs").json() == proper


def test_a_truncated_body_breaks_off(api, tallyfy_sandbox, run_id):
    tallyfy_sandbox.faults.add("truncated")
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        api("DELETE", f"/runs/{run_id}")
    assert tallyfy_sandbox.run(run_id)["archived_at"] is not None


def test_an_answer_can_have_another_content_type(api, tallyfy_sandbox):
    tallyfy_sandbox.faults.add("content_type", content_type="text/plain")
    answer = api("GET", "/me")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.json()["data"]["email"] == tallyfy_sandbox.user_email


def test_an_oversized_body_is_valid_json_of_the_size_asked_for(api, tallyfy_sandbox):
    tallyfy_sandbox.faults.add("oversized", size=3_000_000)
    answer = api("GET", "/runs")
    assert (answer.status_code, len(answer.content)) == (200, 3_000_000)
    assert set(answer.json()) == {"data"}


def test_a_redirect_leads_to_another_address(api, tallyfy_sandbox):
    tallyfy_sandbox.faults.add("redirect", location="http://127.0.0.2:9/x", status=307)
    answer = api("GET", "/runs", allow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "http://127.0.0.2:9/x")


def test_an_error_may_repeat_the_token(api, tallyfy_sandbox):
    tallyfy_sandbox.faults.add("echo_authorization", status=500)
    assert tallyfy_sandbox.token in api("GET", "/runs").json()["message"]


def test_a_kind_that_does_not_exist_is_refused(tallyfy_sandbox):
    with pytest.raises(ValueError, match="choose one of"):
        tallyfy_sandbox.faults.add("explode")


def test_the_rate_limit_answers_429_and_when_to_come_back(api, tallyfy_sandbox):
    tallyfy_sandbox.rate_limit = (3, 60.0)
    assert [api("GET", "/me").status_code for _ in range(3)] == [200] * 3
    refused = api("GET", "/me")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-remaining"] == "0"
    tallyfy_sandbox.advance(60)
    assert api("GET", "/me").status_code == 200
    tallyfy_sandbox.rate_limit = None
    assert [api("GET", "/me").status_code for _ in range(9)] == [200] * 9


def test_faults_reach_the_token_endpoint_as_well(api, tallyfy_sandbox):
    tallyfy_sandbox.faults.add(path="/oauth/token", status=503)
    assert api.send("POST", tallyfy_sandbox.token_url, data={}).status_code == 503
