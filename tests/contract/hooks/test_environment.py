"""What the machine's environment may change about a request: the way there, never the credentials."""

from __future__ import annotations

import socket
import sys

import pytest

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError, TallyfyTransportError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from tests.contract.hooks.wire import answer, wire


@pytest.fixture
def nobody() -> str:
    """The address of a proxy that is not there."""
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
    client.run(me)
    with TallyfyHook() as hook:
        hook.get_conn().get(f"{hook.settings.base_url}/me")
    assert {request.headers["authorization"] for request in tallyfy.requests} == {f"Bearer {tallyfy.token}"}


def test_a_token_endpoint_gets_no_credentials_of_netrc_either(tallyfy, client, me, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(auth="client_credentials"))
    client.run(me)
    assert "authorization" not in tallyfy.requests[0].headers


def test_a_proxy_of_the_environment_is_used_unless_no_proxy_excepts_the_host(tallyfy, client, me, monkeypatch, nobody):
    monkeypatch.setenv("HTTP_PROXY", nobody)
    monkeypatch.setenv("http_proxy", nobody)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client.run(me)
    client.close()
    assert len(tallyfy.requests) == 1


def test_a_broken_proxy_of_the_environment_is_named_as_the_cause(tallyfy, client, me, monkeypatch, nobody):
    monkeypatch.setenv("HTTP_PROXY", nobody)
    monkeypatch.setenv("http_proxy", nobody)
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    with pytest.raises(TallyfyTransportError, match=r"the proxy on the way|refused the connection"):
        client.run(me)
    assert tallyfy.requests == []


def test_the_connections_proxy_wins_over_the_environments(tallyfy, client, me, monkeypatch, nobody):
    asked = []

    def talk(connection: socket.socket) -> None:
        asked.append(connection)
        connection.sendall(answer(b'{"data": {"id": 7}}'))

    monkeypatch.setenv("HTTP_PROXY", nobody)
    monkeypatch.setenv("http_proxy", nobody)
    with wire(talk) as port:
        proxies = {"http": f"http://127.0.0.1:{port}"}
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(proxies=proxies))
        assert client.run(me)["id"] == 7
    assert (len(asked), tallyfy.requests) == (1, [])


def test_the_connections_proxy_for_everything_wins_over_the_environments_for_a_scheme(
    tallyfy, client, me, monkeypatch, nobody
):
    monkeypatch.setenv("http_proxy", nobody)
    with wire(lambda connection: connection.sendall(answer(b'{"data": {"id": 7}}'))) as port:
        extra = {"proxies": {"all": f"http://127.0.0.1:{port}"}, "retry_budget": 0}
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(**extra))
        assert client.run(me)["id"] == 7


def test_a_proxy_of_the_environment_may_be_written_without_a_scheme(tallyfy, client, me, monkeypatch):
    with wire(lambda connection: connection.sendall(answer(b'{"data": {"id": 7}}'))) as port:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{port}")
        assert client.run(me)["id"] == 7


@pytest.mark.parametrize(
    "proxy",
    ["ftp://127.0.0.1:9", "http://[proxy", "http://ada:hunter2@127.0.0.1:99999", "socks5://ada:hunter2@127.0.0.1:9"],
)
def test_a_proxy_that_cannot_be_used_is_an_error_before_anything_is_sent(tallyfy, client, me, monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy)
    for module in ("socks", "socksio"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(TallyfyConfigurationError, match=r"^Nothing was sent: the proxy .* HTTPS_PROXY") as caught:
        client.run(me)
    assert "hunter2" not in str(caught.value)
    assert tallyfy.requests == []


def test_the_connections_proxy_is_used_by_the_session_too(tallyfy, monkeypatch, nobody):
    monkeypatch.setenv("HTTP_PROXY", nobody)
    monkeypatch.setenv("http_proxy", nobody)
    with wire(lambda connection: connection.sendall(answer(b'{"data": {"id": 7}}'))) as port:
        proxies = {"http": f"http://127.0.0.1:{port}"}
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(proxies=proxies))
        with TallyfyHook() as hook:
            assert hook.get_conn().get(f"{hook.settings.base_url}/me").json() == {"data": {"id": 7}}
