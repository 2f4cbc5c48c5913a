"""The environment of the machine can choose the proxy of a request, but never its credentials."""

from __future__ import annotations

import base64
import json
import socket
import sys
from typing import Any

import pytest
import requests

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError, TallyfyTransportError
from airflow_provider_tallyfy.hooks import httpx_transport
from airflow_provider_tallyfy.hooks.proxy import proxy_for
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from tests.contract.clients import AsyncClient
from tests.contract.hooks.wire import answer, full_backlog, wire


@pytest.fixture
def closed_port() -> str:
    """The address of a proxy that does not exist."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return f"http://127.0.0.1:{gone.getsockname()[1]}"


@pytest.fixture
def me(tallyfy):
    return calls.current_user(tallyfy.organization_id)


@pytest.fixture(autouse=True)
def _only_our_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_credentials_of_netrc_are_not_sent(tallyfy, client, me, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    client.execute(me)
    with TallyfyHook() as hook:
        hook.get_conn().get(f"{hook.settings.base_url}/me")
    assert {request.headers["authorization"] for request in tallyfy.requests} == {f"Bearer {tallyfy.token}"}


def test_the_token_endpoint_gets_no_credentials_of_netrc_either(tallyfy, client, me, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(auth="client_credentials"))
    client.execute(me)
    assert "authorization" not in tallyfy.requests[0].headers


@pytest.fixture
def elsewhere(tallyfy, monkeypatch):
    """Connect to another host, which only a proxy would reach."""
    connection = tallyfy.connection(retry_budget=0, allow_http=True, timeout=5) | {"host": "http://tallyfy.invalid/api"}
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))


@pytest.fixture
def proxies_of_the_environment(monkeypatch):
    def name(url: str) -> None:
        for variable in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(variable, url)
            monkeypatch.setenv(variable.upper(), url)

    return name


@pytest.mark.usefixtures("elsewhere")
def test_a_proxy_of_the_environment_is_used(client, me, proxies_of_the_environment):
    with wire(lambda connection: connection.sendall(answer(b'{"data": {"id": 7}}'))) as port:
        proxies_of_the_environment(f"http://127.0.0.1:{port}")
        assert client.execute(me)["id"] == 7


@pytest.mark.usefixtures("elsewhere")
def test_a_host_that_no_proxy_names_uses_no_proxy_of_the_environment(
    client, me, monkeypatch, closed_port, proxies_of_the_environment
):
    proxies_of_the_environment(closed_port)
    monkeypatch.setenv("NO_PROXY", "tallyfy.invalid")
    with pytest.raises(TallyfyTransportError, match=r"tallyfy\.invalid could not be resolved"):
        client.execute(me)


@pytest.mark.usefixtures("elsewhere")
def test_a_broken_proxy_of_the_environment_is_named_as_the_cause(client, me, closed_port, proxies_of_the_environment):
    proxies_of_the_environment(closed_port)
    with pytest.raises(TallyfyTransportError, match="The proxy on the way"):
        client.execute(me)


def test_requests_to_this_machine_never_use_a_proxy_of_the_environment(
    tallyfy, client, me, closed_port, proxies_of_the_environment
):
    proxies_of_the_environment(closed_port)
    client.execute(me)
    with TallyfyHook() as hook:
        session = hook.get_conn()
        session.get(f"{hook.settings.base_url}/me")
        session.send(session.prepare_request(requests.Request("GET", f"{hook.settings.base_url}/me")))
    assert len(tallyfy.requests) == 3


@pytest.mark.parametrize("host", ["localhost", "api.localhost", "127.0.0.9", "[::1]", "LOCALHOST"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_name_of_this_machine_is_recognized(scheme, host, closed_port, proxies_of_the_environment):
    proxies_of_the_environment(closed_port)
    assert proxy_for(f"{scheme}://{host}:8765/api", {}, socks_module="socks") is None
    assert proxy_for(f"{scheme}://{host}:8765/api", {"all": closed_port}, socks_module="socks") == closed_port


@pytest.fixture
def ask_by_proxy(tallyfy, client, me, monkeypatch):
    """Send a request through a proxy to a host that does not exist."""

    def ask(proxy: str, host: str = "https://tallyfy.invalid/api", **extra: object) -> Any:
        extra = {"proxies": {"all": proxy}, "allow_http": True, "retry_budget": 0, "timeout": 0.5, **extra}
        connection = tallyfy.connection(**extra) | {"host": host}
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
        return client.execute(me)

    return ask


@pytest.mark.parametrize("host", ["https://tallyfy.invalid/api", "http://tallyfy.invalid/api"])
def test_an_unreachable_proxy_is_named_as_the_cause(ask_by_proxy, closed_port, host):
    with pytest.raises(TallyfyTransportError, match=r"The proxy on the way .*\(.+\)") as caught:
        ask_by_proxy(closed_port, host)
    assert not caught.value.may_be_applied


def test_a_proxy_whose_name_does_not_resolve_is_named_as_the_cause(ask_by_proxy, monkeypatch):
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(TallyfyTransportError, match="The proxy on the way"):
        ask_by_proxy("http://proxy.invalid:3128")


def test_a_tls_error_behind_a_working_proxy_is_not_blamed_on_the_proxy(ask_by_proxy):
    def establish(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        connection.recv(65536)
        connection.sendall(b"this is no TLS")

    with (
        wire(establish) as port,
        pytest.raises(TallyfyTransportError, match=r"No secure \(TLS\) connection"),
    ):
        ask_by_proxy(f"http://127.0.0.1:{port}")


def test_the_connections_proxy_wins_over_the_environments(tallyfy, client, me, monkeypatch, closed_port):
    asked = []

    def talk(connection: socket.socket) -> None:
        asked.append(connection)
        connection.sendall(answer(b'{"data": {"id": 7}}'))

    monkeypatch.setenv("HTTP_PROXY", closed_port)
    monkeypatch.setenv("http_proxy", closed_port)
    with wire(talk) as port:
        proxies = {"http": f"http://127.0.0.1:{port}"}
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(proxies=proxies))
        assert client.execute(me)["id"] == 7
    assert (len(asked), tallyfy.requests) == (1, [])


def test_the_connections_proxy_wins_over_the_environments_for_a_scheme(tallyfy, client, me, monkeypatch, closed_port):
    monkeypatch.setenv("http_proxy", closed_port)
    with wire(lambda connection: connection.sendall(answer(b'{"data": {"id": 7}}'))) as port:
        extra = {"proxies": {"all": f"http://127.0.0.1:{port}"}, "retry_budget": 0}
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(**extra))
        assert client.execute(me)["id"] == 7


@pytest.mark.usefixtures("elsewhere")
def test_a_proxy_of_the_environment_may_be_written_without_a_scheme(client, me, monkeypatch):
    with wire(lambda connection: connection.sendall(answer(b'{"data": {"id": 7}}'))) as port:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{port}")
        assert client.execute(me)["id"] == 7


@pytest.mark.parametrize(
    "proxy",
    ["ftp://127.0.0.1:9", "http://[proxy", "http://ada:hunter2@127.0.0.1:99999", "socks5://ada:hunter2@127.0.0.1:9"],
)
@pytest.mark.usefixtures("elsewhere")
def test_a_proxy_that_cannot_be_used_is_an_error_before_anything_is_sent(client, me, monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy)
    for module in ("socks", "socksio"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(TallyfyConfigurationError, match=r"(?s)^The proxy .*Nothing was sent\..* HTTPS_PROXY") as caught:
        client.execute(me)
    assert "hunter2" not in str(caught.value)


def test_the_connections_proxy_is_used_by_the_session_too(tallyfy, monkeypatch, closed_port):
    monkeypatch.setenv("HTTP_PROXY", closed_port)
    monkeypatch.setenv("http_proxy", closed_port)
    with wire(lambda connection: connection.sendall(answer(b'{"data": {"id": 7}}'))) as port:
        proxies = {"http": f"http://127.0.0.1:{port}"}
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(proxies=proxies))
        with TallyfyHook() as hook:
            assert hook.get_conn().get(f"{hook.settings.base_url}/me").json() == {"data": {"id": 7}}


@pytest.mark.parametrize("client", ["httpx"], indirect=True)
def test_a_proxy_that_speaks_tls_is_refused_if_httpx_would_not_verify_it(ask_by_proxy, closed_port, monkeypatch):
    monkeypatch.setattr(httpx_transport, "_VERIFIES_PROXIES", False)
    with pytest.raises(TallyfyConfigurationError, match=r"httpx \S+ does not verify it\.\nNothing was sent"):
        ask_by_proxy(closed_port.replace("http:", "https:"))


@pytest.mark.parametrize("verified", [True, False])
def test_the_connections_verify_is_for_a_proxy_that_speaks_tls_too(ask_by_proxy, client, certificate, tls, verified):
    if isinstance(client, AsyncClient) and not httpx_transport._VERIFIES_PROXIES:
        pytest.skip("httpx < 0.28 is given no such proxy")
    with wire(lambda connection: connection.sendall(answer(b'{"data": {"id": 7}}')), wrap=tls) as port:
        proxy = f"https://127.0.0.1:{port}"
        found = ask_by_proxy(proxy, "http://tallyfy.invalid/api", verify=certificate if verified else False, timeout=5)
        assert found["id"] == 7


def test_a_proxy_that_accepts_no_connection_is_named_as_the_cause(ask_by_proxy):
    with full_backlog() as port, pytest.raises(TallyfyTransportError, match="The proxy on the way"):
        ask_by_proxy(f"http://127.0.0.1:{port}", timeout=0.2)


def test_no_cookie_is_kept(tallyfy, client, me, monkeypatch):
    received = []

    def record(raw: socket.socket) -> socket.socket:
        received.append(raw.recv(65536, socket.MSG_PEEK).lower())
        return raw

    user = answer(b'{"data": {"id": 7}}', "Set-Cookie: session=s3cret; Path=/")
    with wire(lambda connection: connection.sendall(user), wrap=record) as port:
        connection = tallyfy.connection() | {"host": f"http://127.0.0.1:{port}"}
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
        client.execute(me)
        client.execute(me)
    assert len(received) == 2
    assert b"cookie" not in b"".join(received)


@pytest.fixture
def seen_by_proxy(ask_by_proxy):
    """Return what a proxy receives if its address is written in a given way."""

    def ask(credentials: str) -> bytes:
        received = []

        def record(raw: socket.socket) -> socket.socket:
            received.append(raw.recv(65536, socket.MSG_PEEK))
            return raw

        with wire(lambda connection: connection.sendall(answer(b'{"data": {"id": 7}}')), wrap=record) as port:
            ask_by_proxy(f"http://{credentials}@127.0.0.1:{port}", "http://tallyfy.invalid/api", timeout=5)
        return received[0]

    return ask


@pytest.mark.parametrize("credentials", ["ada", "ada:", "a%64a", "ada:hunter%32"])
def test_a_proxy_gets_its_user_with_or_without_a_password(seen_by_proxy, credentials):
    password = b"hunter2" if "hunter" in credentials else b""
    wanted = b"proxy-authorization: Basic " + base64.b64encode(b"ada:" + password)
    assert wanted.lower() in seen_by_proxy(credentials).lower()


@pytest.mark.parametrize("credentials", ["ada:hünter", "ada:h%C3%BCnter", "%D0%BF:hunter", "ada:h%FCnter"])
def test_credentials_of_a_proxy_that_a_header_cannot_carry_are_refused(ask_by_proxy, credentials):
    with pytest.raises(
        TallyfyConfigurationError, match=r"^The user or the password of the proxy .* not ASCII\.\nNothing was sent\."
    ) as caught:
        ask_by_proxy(f"http://{credentials}@127.0.0.1:9", "http://tallyfy.invalid/api")
    assert "nter" not in str(caught.value)


def test_requests_to_the_fixtures_sandbox_never_use_a_proxy_of_the_environment(tallyfy, client, me, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")

    assert client.execute(me)["id"]

    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(auth="client_credentials"))
    with TallyfyHook() as hook:
        assert hook.execute(me)["id"]
        assert hook.get_conn().get(f"{hook.settings.base_url}/me").ok
