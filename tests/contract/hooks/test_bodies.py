"""Both drivers decompress a body once and within the limit, the body of a redirect included."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests_mock

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.errors import (
    TallyfyAuthError,
    TallyfyError,
    TallyfyResponseError,
    TallyfyTransportError,
    TallyfyUnknownOutcomeError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from tests.contract.hooks.wire import answer, wire

RUN = b'{"data": {"id": "r1", "name": "Onboarding", "status": "active"}}'
CAP = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def with_status(status: int, sent: bytes) -> bytes:
    return sent.replace(b"200 OK", b"%d Whatever" % status, 1)


@pytest.fixture
def works(tallyfy):
    organization_id = tallyfy.organization_id
    return {
        "GET": calls.get_run(organization_id, "r1"),
        "PUT": calls.activate_run(organization_id, "r1"),
        "DELETE": calls.delete_run(organization_id, "r1"),
        "POST": calls.launch_run(organization_id, {"checklist_id": "c1"}),
    }


@pytest.fixture
def ask(tallyfy, client, works, monkeypatch):
    """Send one request to a server that answers with given bytes."""

    def send(sent: bytes | Callable[[socket.socket], None], method: str = "GET", **extra: object):
        talk = sent if callable(sent) else lambda connection: connection.sendall(sent)
        with wire(talk) as port:
            extra = {"retry_budget": 0, "timeout": 5, "max_response_bytes": CAP, **extra}
            connection = tallyfy.connection(**extra) | {"host": f"http://127.0.0.1:{port}"}
            monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
            return client.execute(works[method])

    return send


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * CAP


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(RUN, mtime=0)),
        ("GZip", gzip.compress(RUN, mtime=0)),
        ("x-gzip", gzip.compress(RUN, mtime=0)),
        ("deflate", zlib.compress(RUN)),
        ("deflate", raw_deflate(RUN)),
        ("gzip", gzip.compress(RUN, mtime=0) + b"\x00\x00"),
        ("identity", RUN),
        ("", RUN),
    ],
)
def test_one_encoding_is_decompressed(ask, encoding, body):
    assert ask(answer(body, f"Content-Encoding: {encoding}")).name == "Onboarding"


ZEROS = b" " * 64 * CAP
BOMBS = {
    "gzip": gzip.compress(ZEROS, mtime=0),
    "deflate": zlib.compress(ZEROS),
    "gzip, gzip": gzip.compress(gzip.compress(ZEROS, mtime=0)),
}
REFUSED = ["gzip, gzip", "br", "zstd", "identity, gzip", "compress"]


@pytest.mark.parametrize("status", [200, 302, 500])
@pytest.mark.parametrize("encoding", BOMBS)
def test_no_answer_takes_more_memory_than_the_cap(ask, encoding, status):
    sent = with_status(status, answer(BOMBS[encoding], f"Content-Encoding: {encoding}", "Location: https://x.invalid/"))
    refused = "the encoding 'gzip, gzip'" if status == 200 else f"answered {status}"
    reason = refused if encoding == "gzip, gzip" else "too large"
    with little_memory(), pytest.raises(TallyfyError, match=reason):
        ask(sent)


def test_compressed_bytes_that_decompress_to_zero_bytes_are_limited_as_well(ask):
    head = answer(b"", "Content-Encoding: gzip", length=64 * CAP)
    header = gzip.compress(b"", mtime=0)[:10]
    empty_blocks = b"\x00\x00\x00\xff\xff" * (2 * CAP // 5)
    with pytest.raises(TallyfyTransportError, match="too large"):
        ask(head + header + empty_blocks)


@pytest.mark.parametrize("encoding", REFUSED)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_another_encoding_is_refused_and_the_write_may_have_been_applied(ask, method, encoding):
    with pytest.raises(TallyfyResponseError, match=f"answered 200, .*the encoding '{encoding}'") as caught:
        ask(answer(RUN, f"Content-Encoding: {encoding}"), method)
    assert caught.value.may_be_applied is (method != "GET")


def test_encodings_in_headers_of_their_own_count_together(ask):
    with pytest.raises(TallyfyResponseError, match="the encoding 'gzip, gzip'"):
        ask(answer(gzip.compress(RUN, mtime=0), "Content-Encoding: gzip", "Content-Encoding: gzip"))


def test_the_status_decides_although_the_body_is_refused(ask):
    with pytest.raises(TallyfyAuthError):
        ask(with_status(401, answer(RUN, "Content-Encoding: br")))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", RUN),
        ("deflate", RUN),
        ("gzip", gzip.compress(RUN, mtime=0)[:-4]),
        ("deflate", zlib.compress(RUN)[:-4]),
        ("deflate", raw_deflate(RUN)[:-4]),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_invalid_or_incomplete_compressed_data_is_not_accepted(ask, method, encoding, body):
    kind = TallyfyTransportError if method == "GET" else TallyfyUnknownOutcomeError
    with pytest.raises(kind, match=f"broke before the answer was complete .its {encoding} data is invalid"):
        ask(answer(body, f"Content-Encoding: {encoding}"), method)


LOCATIONS = [
    b"http://[::1",
    b"http://a:b:c/",
    b"http://localhost:99999999/",
    b"http://\xff\xfe/",
    "http://a℀b/".encode(),
    b"/\x80",
    b"",
]


@pytest.mark.parametrize("location", LOCATIONS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_target_of_a_redirect_is_not_requested(ask, method, location):
    sent = with_status(302, answer(b"", "Location: PLACE")).replace(b"PLACE", location)
    with pytest.raises(TallyfyResponseError, match="Redirects are not followed"):
        ask(sent, method)


def test_a_slow_body_of_a_redirect_ends_at_the_timeout(ask):
    gone = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(with_status(302, answer(b"", "Location: /", length=CAP)))
        for _ in itertools.takewhile(lambda _: not gone.wait(0.05), range(200)):
            connection.sendall(b"x")

    with pytest.raises(TallyfyTransportError, match="did not answer in time"):
        ask(drip, timeout=0.3)
    gone.set()


def test_requests_mock_can_replace_tallyfy(tallyfy, works):
    with requests_mock.Mocker() as mocked, TallyfyHook() as hook:
        mocked.get(requests_mock.ANY, content=gzip.compress(RUN, mtime=0), headers={"Content-Encoding": "gzip"})
        assert hook.execute(works["GET"]).name == "Onboarding"
        mocked.get(requests_mock.ANY, json=json.loads(RUN))
        assert hook.execute(works["GET"]).name == "Onboarding"
