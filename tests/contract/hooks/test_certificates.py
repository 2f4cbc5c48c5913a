"""Both drivers trust the same CA certificates: those of the connection, or else those of the environment."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
from itertools import pairwise

import certifi
import pytest

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError, TallyfyTransportError
from airflow_provider_tallyfy.hooks import certificates
from airflow_provider_tallyfy.hooks.certificates import VARIABLES, tls_context
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from tests.contract.hooks.wire import answer, wire

EACH_VARIABLE = pytest.mark.parametrize("variable", VARIABLES)
EACH_VARIABLE_OF_A_FILE = pytest.mark.parametrize("variable", [name for name in VARIABLES if name != "SSL_CERT_DIR"])


@pytest.fixture
def environment(monkeypatch):
    """Set one variable for CA certificates and unset all others."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)

    def name(**paths: str) -> None:
        for variable, path in paths.items():
            monkeypatch.setenv(variable, path)

    return name


@pytest.fixture
def connect(tallyfy, tls_server, monkeypatch):
    """Point the connection at a server with a certificate of its own; give its address."""

    def change(host: str = tls_server, **extra: object) -> str:
        connection = tallyfy.connection(retry_budget=0, **extra) | {"host": host}
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
        return host

    return change


@pytest.fixture
def ask(tallyfy, client, environment, connect):
    def send(**settings: object) -> object:
        connect(**settings)
        return client.execute(calls.current_user(tallyfy.organization_id))["id"]

    return send


@EACH_VARIABLE_OF_A_FILE
def test_certificates_of_the_environment_are_trusted(ask, environment, certificate, variable):
    environment(**{variable: certificate})
    assert ask() == 7


@EACH_VARIABLE
@pytest.mark.skipif(shutil.which("openssl") is None, reason="only openssl can prepare such a directory")
def test_a_directory_of_certificates_is_trusted(ask, environment, certificate, tmp_path, variable):
    subprocess.run(["openssl", "x509", "-in", certificate, "-out", tmp_path / "company.pem"], check=True)
    subprocess.run(["openssl", "rehash", tmp_path], check=True)
    environment(**{variable: str(tmp_path)})
    assert ask() == 7


@pytest.mark.parametrize(("first", "second"), list(pairwise(VARIABLES)))
def test_the_first_variable_that_is_set_is_used(ask, environment, certificate, first, second):
    environment(**{first: certificate, second: certifi.where()})
    assert ask() == 7


@EACH_VARIABLE
def test_an_empty_variable_is_not_set(ask, environment, variable):
    environment(**{variable: ""})
    with pytest.raises(TallyfyTransportError, match=r"No secure \(TLS\) connection"):
        ask()


@EACH_VARIABLE
def test_the_connections_verify_wins_over_the_environment(ask, environment, certificate, variable):
    environment(**{variable: "/no/such/file"})
    assert ask(verify=certificate) == 7


@pytest.mark.parametrize("path", ["/no/such/file", __file__])
@EACH_VARIABLE
def test_the_error_names_a_variable_without_certificates(ask, environment, variable, path):
    environment(**{variable: path})
    with pytest.raises(
        TallyfyConfigurationError, match=rf"^The environment variable {variable} .*\nNothing was sent\."
    ):
        ask()


def test_the_connection_test_and_the_session_name_the_variable_too(tallyfy, environment):
    environment(CURL_CA_BUNDLE="/no/such/file")
    is_good, message = TallyfyHook().test_connection()
    assert not is_good
    assert "CURL_CA_BUNDLE" in message
    with TallyfyHook() as hook, pytest.raises(TallyfyConfigurationError, match="CURL_CA_BUNDLE"):
        hook.get_conn()


@EACH_VARIABLE_OF_A_FILE
def test_the_session_trusts_the_same(environment, connect, certificate, variable):
    environment(**{variable: certificate})
    host = connect()
    with TallyfyHook() as hook:
        assert hook.get_conn().get(host).json() == {"data": {"id": 7}}


@EACH_VARIABLE_OF_A_FILE
def test_token_requests_trust_the_same(ask, environment, tls, certificate, variable):
    environment(**{variable: certificate})
    both = answer(b'{"data": {"access_token": "t0ken", "id": 7}}')
    with wire(lambda connection: connection.sendall(both), wrap=tls) as port:
        host = f"https://127.0.0.1:{port}"
        assert ask(host=host, auth="client_credentials", token_url=f"{host}/oauth/token") == 7


def test_a_disabled_verification_is_logged_once(ask, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(certificates.log, "warning", said.append)
    assert ask(verify=False) == 7
    assert ask(verify=False) == 7
    assert said == ["The connection's extra `verify` is false: no TLS certificate is verified."]


def test_a_process_loads_certificates_once_and_again_when_they_change(certificate, tmp_path):
    path = tmp_path / "company.pem"
    shutil.copy(certificate, path)
    loaded = tls_context(str(path))
    assert tls_context(str(path)) is loaded
    os.utime(path, (0, 0))
    assert tls_context(str(path)) is not loaded
    path.write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        tls_context(str(path))
