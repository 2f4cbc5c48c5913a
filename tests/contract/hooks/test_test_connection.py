"""The "Test" button says quickly what is wrong, without a secret."""

from __future__ import annotations

import json
import re
import socket

import pytest
from airflow.models import Connection

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behavior


def by_airflow(monkeypatch, extra: dict, **fields: object) -> tuple[bool, str]:
    """Do what Airflow's API server does: put the connection into the environment as a URI, then test it."""
    connection = Connection(conn_id="fresh", extra=json.dumps(extra), **fields)
    monkeypatch.setenv("AIRFLOW_CONN_FRESH", connection.get_uri())
    return connection.test_connection()


def without_request_id(result: tuple[bool, str]) -> tuple[bool, str]:
    return result[0], re.sub(r"request id \w+", "request id", result[1])


@pytest.fixture
def check(tallyfy, monkeypatch):
    """Test a changed connection, through the hook and through Airflow."""
    monkeypatch.setenv("AIRFLOW__CORE__TEST_CONNECTION", "Enabled")

    def test(extra: dict | None = None, **fields: object) -> tuple[bool, str]:
        connection = tallyfy.connection(**(extra or {})) | fields
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
        result = without_request_id(TallyfyHook().test_connection())
        assert without_request_id(by_airflow(monkeypatch, **connection)) == result
        for secret in (tallyfy.token, tallyfy.client_secret):
            assert secret not in result[1]
        return result

    return test


@pytest.mark.usefixtures("worlds")
def test_a_good_connection_says_who_and_where(tallyfy, check):
    assert check() == (True, f"Connected to organization {tallyfy.organization_id} as user {tallyfy.user['id']}.")
    assert {request.path for request in tallyfy.requests} == {f"/api/organizations/{tallyfy.organization_id}/me"}


def test_without_an_organization_it_proves_the_token_and_says_so(tallyfy, check):
    good, message = check({"organization_id": None})
    assert good
    assert message.splitlines() == [
        f"The token is accepted, as that of user {tallyfy.user['id']}. But the connection names no organization.",
        "Every task that does not name one itself will fail. Set organization_id in the extra.",
    ]
    assert {request.path for request in tallyfy.requests} == {"/api/me"}


def test_client_credentials_are_tested_by_getting_a_token(tallyfy, check):
    assert check({"auth": "client_credentials"})[0]
    good, message = check({"auth": "client_credentials"}, password="wrong")
    assert not good
    assert '401 "invalid_client"' in message


def test_a_wrong_address_of_the_token_endpoint(tallyfy, check):
    good, message = check({"auth": "client_credentials", "token_url": f"{tallyfy.url}/oauth/tokens"})
    assert not good
    assert "The connection's extra token_url is probably not the token endpoint" in message


@pytest.mark.usefixtures("worlds")
def test_a_bad_token(tallyfy, check):
    good, message = check(password="another-token")
    assert not good
    assert "Tallyfy answered 401" in message
    assert "Settings > Integrations > REST API" in message
    assert "another-token" not in message


@pytest.mark.usefixtures("worlds")
def test_another_organization(tallyfy, check):
    good, message = check({"organization_id": "ab" * 16})
    assert not good
    assert "Tallyfy answered 403" in message
    assert "Check the organization id" in message


def test_an_invalid_organization_id(tallyfy, check):
    good, message = check({"organization_id": "my organization"})
    assert not good
    assert message.startswith("organization_id='my organization' contains white space")


def test_a_wrong_path_of_the_base_url(tallyfy, check):
    good, message = check(host=f"{tallyfy.base_url}/v2")
    assert not good
    assert "404 ENDPOINT_NOT_FOUND" in message
    assert "The connection's host is probably not the API base URL (https://go.tallyfy.com/api or" in message


@pytest.mark.parametrize("tallyfy_sandbox", [Behavior.strict()], indirect=True)
@pytest.mark.parametrize("status", [200, 404])
def test_a_web_page_instead_of_the_api_is_reported(tallyfy, check, status):
    tallyfy.faults.add(status=status, body="html", times=None)
    good, message = check()
    assert not good
    assert "an HTML page" in message
    assert "https://go.tallyfy.com/api or https://api.tallyfy.com" in message


def test_a_refused_connection_is_reported(tallyfy, check):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    good, message = check(host=f"http://127.0.0.1:{port}")
    assert not good
    assert f"127.0.0.1:{port} refused the connection (Connection refused)" in message
    assert "Check the connection's host, DNS, proxy and firewall" in message


def test_a_name_that_does_not_resolve(tallyfy, check, monkeypatch):
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    good, message = check(host="https://tallyfy.invalid/api")
    assert not good
    assert "The name tallyfy.invalid could not be resolved (Name or service not known)" in message


def test_a_server_that_does_not_answer(tallyfy, check):
    tallyfy.faults.add("hang", times=None)
    good, message = check({"timeout": 0.2})
    assert not good
    assert "did not answer in time" in message
    assert "extra `timeout` sets the limit" in message


def test_a_certificate_that_nobody_trusts(tallyfy, check, tls_server):
    good, message = check(host=tls_server)
    assert not good
    assert "No secure (TLS) connection" in message
    assert "extra `verify` if a company proxy signs it" in message


def test_a_certificate_of_another_name(tallyfy, check, tls_server, certificate):
    good, message = check({"verify": certificate}, host=tls_server.replace("127.0.0.1", "localhost"))
    assert not good
    assert "No secure (TLS) connection" in message


def test_a_certificate_is_not_verified_if_the_connection_says_so(tallyfy, check, tls_server, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    assert check({"verify": False}, host=tls_server) == (
        True,
        f"Connected to organization {tallyfy.organization_id} as user 7.",
    )


def test_plain_http_where_tls_is_expected(tallyfy, check):
    good, message = check(host=tallyfy.base_url.replace("http://", "https://"))
    assert not good
    assert "No secure (TLS) connection" in message


@pytest.mark.parametrize(
    ("extra", "fields", "words"),
    [
        ({}, {"password": ""}, "its password is empty"),
        ({"tiemout": 1}, {}, "unknown keys: tiemout"),
        ({"timeout": "soon"}, {}, "its extra timeout is not a number"),
        ({}, {"host": "http://tallyfy.example"}, "would send the token unencrypted"),
    ],
)
def test_a_connection_that_cannot_be_used_says_what_is_wrong_with_it(tallyfy, check, extra, fields, words):
    good, message = check(extra, **fields)
    assert not good
    assert words in message
    assert tallyfy.requests == []


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429, "retry_after": 1}, {"kind": "reset"}])
def test_the_connection_test_does_not_retry(tallyfy, check, fault):
    tallyfy.faults.add(**fault, times=None)
    assert not check()[0]
    assert len(tallyfy.requests) == 2  # once each way of testing


def test_a_missing_connection_says_how_to_make_it(tallyfy):
    good, message = TallyfyHook("no_such_connection").test_connection()
    assert not good
    assert message.startswith("The Airflow connection 'no_such_connection' is not defined.\nCreate one of type tallyfy")


def test_the_connection_test_leaves_no_connection_open(tallyfy):
    hook = TallyfyHook()
    hook.test_connection()
    assert hook._session is None
