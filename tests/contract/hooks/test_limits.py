"""No slow, long or broken answer blocks a task or fills its memory."""

from __future__ import annotations

import gzip
import json
import socket
import time
import tracemalloc

import pytest
import requests

from airflow_provider_tallyfy.api import calls, flows
from airflow_provider_tallyfy.api.errors import TallyfyResponseError, TallyfyTransportError, TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.queries import RunQuery
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from tests.airflow_driver import eventually
from tests.contract.hooks.wire import answer, chunked, full_backlog, wire

RUN_ID = "0123456789abcdef0123456789abcdef"
BODY = b'{"data": {"id": "%s", "name": "Onboarding", "status": "active"}}' % RUN_ID.encode()


@pytest.fixture
def connect(tallyfy, monkeypatch):
    """Return the connection further extras, or another host."""

    def change(host: str | None = None, **extra: object) -> None:
        connection = tallyfy.connection_json(retry_budget=0, **extra)
        if host is not None:
            connection = connection.replace(tallyfy.base_url, host)
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", connection)

    return change


def read_run(client, tallyfy):
    return client.execute(calls.get_run(tallyfy.organization_id, RUN_ID))


def test_a_server_that_does_not_answer_fails_at_the_timeout(tallyfy, client, connect):
    connect(timeout=0.2)
    tallyfy.faults.add("hang", times=None)
    with pytest.raises(TallyfyTransportError, match="did not answer in time"):
        read_run(client, tallyfy)


def test_a_slow_body_fails_at_the_timeout_although_each_piece_is_in_time(tallyfy, client, connect):
    tallyfy.add_run(id=RUN_ID)
    connect(timeout=0.5)
    tallyfy.faults.add("slow", seconds=2.5, times=None)  # in ten pieces
    with pytest.raises(TallyfyTransportError, match="did not answer in time"):
        read_run(client, tallyfy)
    assert eventually(lambda: tallyfy.open_connections == 0)


HEAD = answer(BODY).partition(b"\r\n\r\n")[0]
CHUNKS = chunked(BODY, end=False)
NO_CHUNK = chunked(end=False)

#: What is sent before the small pieces, one piece, and what is sent after them.
DRIPS = {
    "status": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", answer(BODY)),
    "headers": (HEAD, b"\r\nX-Drop: drop", b"\r\n\r\n" + BODY),
    "one header": (HEAD + b"\r\nX-Drops: ", b"x", b"\r\n\r\n" + BODY),
    "chunks": (NO_CHUNK, b"1\r\n \r\n", chunked(BODY).removeprefix(NO_CHUNK)),
    "size of a chunk": (CHUNKS + b"0;a=", b"x", b"\r\n\r\n"),
    "trailers": (CHUNKS + b"0\r\n", b"X-Drop: drop\r\n", b"\r\n"),
}
EACH_DRIP = pytest.mark.parametrize("part", DRIPS)


def drops(part: str, number: int, seconds: float):
    before, drop, after = DRIPS[part]

    def talk(connection: socket.socket) -> None:
        connection.sendall(before)
        for _ in range(number):
            connection.sendall(drop)
            time.sleep(seconds)
        connection.sendall(after)

    return talk


@EACH_DRIP
def test_a_slow_answer_fails_at_the_timeout(tallyfy, client, connect, part):
    with wire(drops(part, 90, 0.05)) as port:
        connect(host=f"http://127.0.0.1:{port}", timeout=0.3)
        with pytest.raises(TallyfyTransportError, match="did not answer in time"):
            read_run(client, tallyfy)


@EACH_DRIP
def test_an_answer_in_small_pieces_is_read_whole_within_the_timeout(tallyfy, client, connect, part):
    with wire(drops(part, 20, 0)) as port:
        connect(host=f"http://127.0.0.1:{port}", timeout=60)
        assert read_run(client, tallyfy).name == "Onboarding"


def test_a_session_used_directly_applies_the_timeout_to_each_piece(tallyfy, connect):
    with wire(drops("chunks", 20, 0.1)) as port, TallyfyHook() as hook:
        connect(host=f"http://127.0.0.1:{port}", timeout=1.5)
        assert hook.get_conn().get(hook.settings.base_url).json() == json.loads(BODY)


def test_a_session_used_directly_has_the_same_timeout_unless_it_is_told_otherwise(tallyfy, connect):
    connect(timeout=0.2)
    tallyfy.faults.add("hang", times=None)
    with TallyfyHook() as hook:
        with pytest.raises(requests.ReadTimeout, match=r"read timeout=0\.2"):
            hook.get_conn().get(hook.settings.base_url)
        with pytest.raises(requests.ReadTimeout, match=r"read timeout=0\.1"):
            hook.get_conn().get(hook.settings.base_url, timeout=0.1)


def test_a_server_that_accepts_no_connection_fails_at_the_timeout(tallyfy, client, connect):
    with full_backlog() as port:
        connect(host=f"http://127.0.0.1:{port}", timeout=0.2)
        with pytest.raises(TallyfyTransportError, match="did not accept a connection in time"):
            read_run(client, tallyfy)


def test_an_answer_over_the_limit_is_refused_while_it_is_read(tallyfy, client, connect):
    connect(max_response_bytes=1024 * 1024)
    tallyfy.add_run(id=RUN_ID)
    assert read_run(client, tallyfy).id == RUN_ID
    tallyfy.faults.add("oversized", size=256 * 1024 * 1024, times=None)
    tracemalloc.start()
    with pytest.raises(TallyfyTransportError, match=r"(?s)too large \(over 1048576 bytes\).*max_response_bytes"):
        read_run(client, tallyfy)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * 1024 * 1024


def test_an_answer_that_unpacks_to_more_than_the_cap_is_refused(tallyfy, client, connect):
    bomb = gzip.compress(b'{"data": "' + b"x" * 64 * 1024 * 1024 + b'"}')
    with wire(lambda connection: connection.sendall(answer(bomb, "Content-Encoding: gzip"))) as port:
        connect(host=f"http://127.0.0.1:{port}", max_response_bytes=1024 * 1024)
        with pytest.raises(TallyfyTransportError, match="too large"):
            read_run(client, tallyfy)


def drip(data: bytes):
    def talk(connection: socket.socket) -> None:
        head, _, body = data.partition(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        for byte in body:
            connection.sendall(bytes([byte]))
            time.sleep(0.0005)

    return talk


@pytest.mark.parametrize(
    "sent",
    [
        answer(BODY),
        answer(gzip.compress(BODY), "Content-Encoding: gzip"),
        chunked(BODY[:10], BODY[10:]),
    ],
    ids=["plain", "gzip", "chunked"],
)
def test_a_body_that_arrives_byte_by_byte_is_read_whole(tallyfy, client, connect, sent):
    with wire(drip(sent)) as port:
        connect(host=f"http://127.0.0.1:{port}")
        assert read_run(client, tallyfy).name == "Onboarding"


@pytest.mark.parametrize(
    "sent",
    [
        answer(BODY, length=len(BODY) + 1),
        answer(b"", length=10),
        chunked(BODY, end=False),
        answer(gzip.compress(BODY)[:-12], "Content-Encoding: gzip", length=len(gzip.compress(BODY))),
        answer(BODY, "Content-Encoding: gzip"),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"",
    ],
    ids=["one byte short", "no body", "no last chunk", "half a gzip", "no gzip", "no http", "nothing"],
)
def test_an_incomplete_answer_is_not_accepted(tallyfy, client, connect, sent):
    with wire(lambda connection: connection.sendall(sent)) as port:
        connect(host=f"http://127.0.0.1:{port}")
        with pytest.raises(TallyfyTransportError, match="broke before the answer was complete"):
            read_run(client, tallyfy)


def test_the_content_type_of_good_json_does_not_matter(tallyfy, client):
    tallyfy.add_run(id=RUN_ID)
    tallyfy.faults.add("content_type", content_type="text/html; charset=UTF-8")
    assert read_run(client, tallyfy).id == RUN_ID


@pytest.mark.parametrize(
    "body", ["html", "null", "list", "empty", "not_json", "plain", b"\xff\xfe\x00", b"[" * 100_000]
)
def test_a_2xx_that_is_not_the_documented_json_is_an_error_that_names_the_base_url(tallyfy, client, body):
    tallyfy.faults.add(status=200, body=body)
    with pytest.raises(TallyfyResponseError, match=r"(?s)not with the documented JSON.*https://go\.tallyfy\.com/api"):
        read_run(client, tallyfy)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_the_token_to_another_host(tallyfy, client, connect, status):
    seen = []
    with wire(seen.append) as port:
        tallyfy.faults.add("redirect", status=status, location=f"http://localhost:{port}/elsewhere", times=None)
        with pytest.raises(TallyfyResponseError, match=r"Redirects are not followed, so that the token goes nowhere"):
            read_run(client, tallyfy)
    assert (len(tallyfy.requests), seen) == (1, [])


def test_a_session_used_directly_follows_a_redirect_without_the_token(tallyfy):
    received = []

    def talk(connection: socket.socket) -> None:
        connection.sendall(answer(BODY))

    def record(raw: socket.socket) -> socket.socket:
        received.append(raw.recv(65536, socket.MSG_PEEK))
        return raw

    with wire(talk, wrap=record) as port, TallyfyHook() as hook:
        tallyfy.faults.add("redirect", location=f"http://localhost:{port}/elsewhere", times=None)
        assert hook.get_conn().get(hook.settings.base_url).ok
    (request,) = received
    assert b"GET /elsewhere" in request
    assert tallyfy.token.encode() not in request
    assert b"uthorization" not in request


def test_an_address_that_is_too_long_to_be_sent_is_an_error_of_the_request(tallyfy, client):
    listing = flows.run_pager(tallyfy.organization_id, RunQuery(query="x" * 70_000), whole=True).next_call()
    with pytest.raises(TallyfyValidationError, match=r"The address of the request has 7\d+ characters"):
        client.execute(listing)
    assert tallyfy.requests == []
