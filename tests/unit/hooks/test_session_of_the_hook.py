"""What the hook's session sends, and to which hosts. requests-mock replaces the network."""

from __future__ import annotations

import json

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_tallyfy import __version__
from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError, TallyfyResponseError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

API = "https://go.tallyfy.com/api"
RUNS = f"{API}/organizations/acme/runs"
RUN = {"data": {"id": "r1", "name": "Onboarding", "status": "active"}}
TOKEN = "t0ken"
BEARER = f"Bearer {TOKEN}"
HEADERS = {
    "Accept": "application/json",
    "X-Tallyfy-Client": "APIClient",
    "User-Agent": f"airflow-provider-tallyfy/{__version__} apache-airflow/{airflow_version}",
    "Authorization": BEARER,
}
#: Addresses that only look like the connection's.
ELSEWHERE = [
    "https://hooks.example/services/T0/B0",
    "https://api.tallyfy.com/organizations/acme/runs?page=2",
    "https://go.tallyfy.com.example/api/me",
    "https://go.tallyfy.com@example.com/api/me",
    "https://sub.go.tallyfy.com/api/me",
    "https://go.tallyfy.com:8443/api/me",
    "http://go.tallyfy.com/api/me",
    "//example.com/api/me",
]
SAME_ORIGIN = [f"{API}/me", "https://go.tallyfy.com:443/api/me", "https://GO.tallyfy.com/api/me", f"{RUNS}?page=2"]


@pytest.fixture
def connect(monkeypatch):
    def define(**fields: object) -> None:
        extra = {"organization_id": "acme", "retry_budget": 0, **fields.pop("extra", {})}
        connection = {"conn_type": "tallyfy", "password": TOKEN, **fields, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))

    define()
    return define


@pytest.fixture
def hook(connect):
    with TallyfyHook() as hook:
        yield hook


def tokens(requests_mock) -> list[str | None]:
    return [request.headers.get("Authorization") for request in requests_mock.request_history]


@pytest.mark.parametrize("ask", ["method", "session"])
def test_every_request_carries_the_token_and_the_headers_of_tallyfy(hook, requests_mock, ask):
    requests_mock.get(f"{RUNS}/r1", json=RUN)
    if ask == "method":
        assert hook.get_run("r1")["name"] == "Onboarding"
    else:
        assert hook.get_conn().get(f"{RUNS}/r1").json() == RUN
    [request] = requests_mock.request_history
    assert {name: request.headers[name] for name in HEADERS} == HEADERS
    assert "Content-Type" not in request.headers


def test_a_body_is_sent_as_json(hook, requests_mock):
    requests_mock.post(RUNS, json=RUN)
    assert hook.execute(calls.launch_run("acme", {"checklist_id": "c1"})).id == "r1"
    [request] = requests_mock.request_history
    assert {name: request.headers[name] for name in HEADERS} == HEADERS
    assert request.headers["Content-Type"] == "application/json"
    assert request.json() == {"checklist_id": "c1"}


def test_client_credentials_are_sent_to_the_token_url_and_their_token_to_the_api(connect, requests_mock):
    connect(login="17", password="s3cret", extra={"auth": "client_credentials"})
    granted = {"access_token": "fetched", "token_type": "Bearer", "expires_in": 3600}
    requests_mock.post("https://account.tallyfy.com/oauth/token", json=granted)
    requests_mock.get(f"{RUNS}/r1", json=RUN)
    with TallyfyHook() as hook:
        hook.get_run("r1")
        hook.get_conn().get(f"{RUNS}/r1")
    assert tokens(requests_mock) == [None, "Bearer fetched", "Bearer fetched"]
    assert "s3cret" in requests_mock.request_history[0].text
    assert "s3cret" not in str([(r.url, r.text, r.headers) for r in requests_mock.request_history[1:]])


@pytest.mark.parametrize("address", SAME_ORIGIN)
def test_the_session_sends_the_token_to_the_host_of_the_connection(hook, requests_mock, address):
    requests_mock.get(address, json={})
    hook.get_conn().get(address)
    assert tokens(requests_mock) == [BEARER]


@pytest.mark.parametrize("host", ["https://b\u00fccher.example/api", "HTTPS://GO.Tallyfy.com/api/"])
def test_the_spelling_of_the_host_does_not_matter(connect, requests_mock, host):
    connect(host=host)
    requests_mock.get("/api/me", json={})
    with TallyfyHook() as hook:
        hook.get_conn().get(f"{host.rstrip('/')}/me")
    assert tokens(requests_mock) == [BEARER]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("address", [url for url in ELSEWHERE if not url.startswith("//")])
def test_the_session_sends_no_token_to_an_address_elsewhere(hook, requests_mock, address, method):
    """A webhook, for example, or an absolute link of an answer."""
    requests_mock.request(method, address, json={})
    hook.get_conn().request(method, address, json={"text": "done"} if method == "POST" else None)
    assert tokens(requests_mock) == [None]


@pytest.mark.parametrize("address", ELSEWHERE)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_session_follows_a_redirect_elsewhere_without_the_token(hook, requests_mock, address, status):
    requests_mock.get(f"{API}/me", status_code=status, headers={"Location": address})
    requests_mock.get(f"https:{address}" if address.startswith("//") else address, json={"followed": True})
    assert hook.get_conn().get(f"{API}/me").json() == {"followed": True}
    assert tokens(requests_mock) == [BEARER, None]


@pytest.mark.parametrize("address", [*ELSEWHERE, *SAME_ORIGIN])
def test_a_method_of_the_hook_follows_no_redirect(hook, requests_mock, address):
    requests_mock.get(f"{RUNS}/r1", status_code=302, headers={"Location": address})
    with pytest.raises(TallyfyResponseError, match="302"):
        hook.get_run("r1")
    assert [request.url for request in requests_mock.request_history] == [f"{RUNS}/r1"]


def test_a_list_is_read_by_page_numbers_and_not_by_the_links_of_an_answer(hook, requests_mock):
    def page(number: int, count: int) -> dict:
        links = {"next": f"https://elsewhere.example/runs?page={number + 1}"}
        pagination = {"total": 101, "count": count, "per_page": 100, "current_page": number, "total_pages": 2}
        rows = [{"id": f"r{number}-{row}", "name": "Run", "status": "active"} for row in range(count)]
        return {"data": rows, "meta": {"pagination": {**pagination, "links": links}}}

    requests_mock.get(f"{RUNS}?page=1", json=page(1, 100))
    requests_mock.get(f"{RUNS}?page=2", json=page(2, 1))
    assert len(hook.list_runs()) == 101
    assert {request.hostname for request in requests_mock.request_history} == {"go.tallyfy.com"}


@pytest.mark.parametrize("address", [f"{RUNS}/r1", "https://hooks.example/services/T0/B0"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "delete"])
def test_the_session_of_a_read_only_connection_sends_no_write(connect, requests_mock, address, method):
    connect(extra={"read_only": True})
    with TallyfyHook() as hook, pytest.raises(TallyfyConfigurationError, match=rf"\n{method.upper()} \S* was not"):
        hook.get_conn().request(method, address)
    assert requests_mock.request_history == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_the_session_of_a_read_only_connection_reads(connect, requests_mock, method):
    connect(extra={"read_only": True})
    requests_mock.request(method, f"{RUNS}/r1", json=RUN)
    with TallyfyHook() as hook:
        assert hook.get_conn().request(method, f"{RUNS}/r1").ok
    assert tokens(requests_mock) == [BEARER]
