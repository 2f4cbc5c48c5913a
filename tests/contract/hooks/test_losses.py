"""Both drivers agree on why no answer came, and on whether the request may have arrived."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.errors import TallyfyTransportError, TallyfyUnknownOutcomeError
from tests.airflow_driver import eventually
from tests.contract.hooks.wire import answer, full_backlog, garble, wire

TEMPLATE_ID = "fedcba9876543210fedcba9876543210"


@pytest.fixture
def ask(tallyfy, client, monkeypatch):
    """Ask another host, by default once, for a read, a restoration or a launch."""

    def send(host: str, method: str, **extra: object) -> Any:
        connection = tallyfy.connection(**{"retry_budget": 0, "timeout": 5, **extra}) | {"host": host}
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
        organization_id = tallyfy.organization_id
        works = {
            "GET": calls.get_run(organization_id, "r1"),
            "PUT": calls.activate_run(organization_id, "r1"),
            "POST": calls.launch_run(organization_id, {"checklist_id": TEMPLATE_ID}),
        }
        return client.execute(works[method])

    return send


BOTH_METHODS = pytest.mark.parametrize("method", ["GET", "POST"])


@BOTH_METHODS
def test_a_refused_connection_is_a_transport_error(ask, method):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(TallyfyTransportError, match=rf"127\.0\.0\.1:{port} refused the connection"):
        ask(f"http://127.0.0.1:{port}", method)


@pytest.fixture
def unresolvable(monkeypatch):
    """Let no name resolve; addresses still do."""
    resolve = socket.getaddrinfo

    def unknown(host: Any, *args: Any, **kwargs: Any) -> Any:
        if (host if isinstance(host, str) else host.decode()).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", unknown)


@BOTH_METHODS
@pytest.mark.usefixtures("unresolvable")
def test_a_name_that_does_not_resolve(ask, method):
    with pytest.raises(TallyfyTransportError, match=r"tallyfy\.invalid could not be resolved \(Name or service"):
        ask("https://tallyfy.invalid/api", method)


@contextmanager
def closed_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextmanager
def nobody_accepts() -> Iterator[str]:
    with full_backlog() as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def silent_handshake() -> Iterator[str]:
    with wire(lambda connection: connection.recv(1)) as port:
        yield f"https://127.0.0.1:{port}"


@contextmanager
def refuses_to_connect() -> Iterator[str]:
    with wire(lambda connection: connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("server", "is_proxy", "words"),
    [
        (closed_port, False, "refused the connection"),
        (lambda: nullcontext("http://tallyfy.invalid"), False, "could not be resolved"),
        (nobody_accepts, False, "did not accept a connection in time"),
        (silent_handshake, False, "did not accept a connection in time"),
        (closed_port, True, "The proxy on the way"),
        (lambda: nullcontext("http://proxy.invalid:3128"), True, "The proxy on the way"),
        (nobody_accepts, True, "The proxy on the way"),
        (refuses_to_connect, True, "The proxy on the way"),
    ],
    ids=[
        "a refused connection",
        "an unknown name",
        "a connection that takes too long",
        "a handshake that takes too long",
        "a proxy that refuses the connection",
        "a proxy with an unknown name",
        "a connection to a proxy that takes too long",
        "a proxy that refuses CONNECT",
    ],
)
def test_a_launch_that_was_not_sent_has_a_known_outcome(ask, unresolvable, server, is_proxy, words):
    with server() as address:
        host = "https://tallyfy.invalid/api" if is_proxy else address
        extra = {"proxies": {"all": address}} if is_proxy else {}
        with pytest.raises(TallyfyTransportError, match=words) as caught:
            ask(host, "POST", timeout=0.3, allow_http=True, **extra)
    assert not caught.value.may_be_applied


@BOTH_METHODS
def test_a_certificate_that_nobody_trusts(ask, method, tls_server):
    with pytest.raises(TallyfyTransportError, match=r"No secure \(TLS\) connection"):
        ask(tls_server, method)


@BOTH_METHODS
def test_plain_http_where_tls_is_expected(tallyfy, ask, method):
    with pytest.raises(TallyfyTransportError, match=r"No secure \(TLS\) connection"):
        ask(tallyfy.base_url.replace("http://", "https://"), method)


def test_a_certificate_is_not_verified_if_the_connection_says_so(tallyfy, client, monkeypatch, tls_server):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ssl.get_default_verify_paths().cafile or __file__)
    connection = tallyfy.connection(verify=False) | {"host": tls_server}
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
    assert client.execute(calls.current_user(tallyfy.organization_id))["id"] == 7


@BOTH_METHODS
def test_an_end_during_the_tls_handshake_is_a_broken_connection(ask, method):
    with (
        wire(lambda connection: connection.shutdown(socket.SHUT_RDWR)) as port,
        pytest.raises(TallyfyTransportError, match="broke before the answer was complete"),
    ):
        ask(f"https://127.0.0.1:{port}", method)


@BOTH_METHODS
def test_a_tls_handshake_that_times_out_means_that_nothing_was_sent(ask, method):
    with (
        wire(lambda connection: connection.recv(1)) as port,
        pytest.raises(TallyfyTransportError, match="did not accept a connection in time"),
    ):
        ask(f"https://127.0.0.1:{port}", method, timeout=0.3)


@BOTH_METHODS
@pytest.mark.parametrize("fault", [{"kind": "hang"}, {"kind": "reset"}, {"kind": "truncated"}, {"kind": "oversized"}])
def test_the_outcome_of_a_launch_that_was_sent_is_unknown(tallyfy, ask, method, fault):
    tallyfy.add_template("Onboarding", id=TEMPLATE_ID)
    tallyfy.add_run(id="r1")
    tallyfy.faults.add(**fault, times=None)
    kind = TallyfyTransportError if method == "GET" else TallyfyUnknownOutcomeError
    timeout = 0.3 if fault["kind"] == "hang" else 30
    with pytest.raises(kind):
        ask(tallyfy.base_url, method, timeout=timeout, max_response_bytes=1024 * 1024)
    assert eventually(lambda: len(tallyfy.requests) == 1)


RUN = answer(b'{"data": {"id": "r1", "name": "Onboarding", "status": "active"}}')


@pytest.fixture(params=["before the answer", "within the answer"])
def garbling_server(request, tls):
    """Answer over TLS, but garble the answer to the first request. Return the address and the requests."""
    begun = b"" if request.param == "before the answer" else RUN[:-20]
    connections = []

    def talk(connection: socket.socket) -> None:
        connections.append(connection)
        connection.sendall(begun if len(connections) == 1 else RUN)
        if len(connections) == 1:
            garble(connection)

    with wire(talk, wrap=tls) as port:
        yield f"https://127.0.0.1:{port}", connections


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_tls_that_breaks_after_the_request_was_sent_is_a_broken_connection(ask, method, garbling_server):
    host, _ = garbling_server
    kind = TallyfyUnknownOutcomeError if method == "POST" else TallyfyTransportError
    with pytest.raises(kind, match="broke before the answer was complete") as caught:
        ask(host, method, verify=False)
    assert caught.value.may_be_applied is (method != "GET")


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_repeatable_request_is_repeated_when_tls_breaks(ask, naps, method, garbling_server):
    host, connections = garbling_server
    assert ask(host, method, verify=False, retry_budget=60)
    assert (len(connections), len(naps)) == (2, 1)


def test_a_launch_is_not_repeated_when_tls_breaks(ask, naps, garbling_server):
    host, connections = garbling_server
    with pytest.raises(TallyfyUnknownOutcomeError):
        ask(host, "POST", verify=False, retry_budget=60)
    assert (len(connections), naps) == (1, [])


@pytest.mark.parametrize("handled", [socket.gaierror(8, "no such name"), ConnectionRefusedError(111, "refused")])
def test_an_exception_that_the_caller_is_handling_does_not_affect_a_loss(tallyfy, client, handled):
    tallyfy.faults.add("reset", method="POST", applied=True)
    launch = calls.launch_run(tallyfy.organization_id, {"checklist_id": tallyfy.add_template("Onboarding")["id"]})
    try:
        raise handled
    except OSError:
        with pytest.raises(TallyfyUnknownOutcomeError):
            client.execute(launch)
    assert len(tallyfy.runs) == 1


@pytest.fixture
def early_server():
    """Sends a 1xx status before the answer."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" + RUN)

    with wire(talk) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("client", ["requests"], indirect=True)
def test_the_outcome_of_a_launch_with_only_a_1xx_answer_is_unknown(ask, early_server):
    with pytest.raises(TallyfyUnknownOutcomeError, match="only status 103 arrived"):
        ask(early_server, "POST")


@pytest.mark.parametrize("client", ["requests"], indirect=True)
def test_a_request_with_only_a_1xx_answer_is_repeated_on_a_new_connection(ask, naps):
    connections = []

    def talk(connection: socket.socket) -> None:
        connections.append(connection)
        early = b"HTTP/1.1 103 Early Hints\r\n\r\n" if len(connections) == 1 else b""
        connection.sendall(early + RUN)
        connection.recv(1)

    with wire(talk) as port:
        assert ask(f"http://127.0.0.1:{port}", "GET", retry_budget=60)
    assert len(connections) == 2


@pytest.mark.parametrize("client", ["httpx"], indirect=True)
def test_coroutines_wait_for_the_final_answer_after_a_1xx(ask, early_server):
    assert ask(early_server, "GET").name == "Onboarding"


@BOTH_METHODS
def test_a_switch_of_protocols_counts_as_no_answer(ask, method):
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"
    kind = TallyfyTransportError if method == "GET" else TallyfyUnknownOutcomeError
    with wire(lambda connection: connection.sendall(switching)) as port, pytest.raises(kind, match="broke"):
        ask(f"http://127.0.0.1:{port}", method)
