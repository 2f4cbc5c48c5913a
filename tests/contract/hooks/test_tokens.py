"""Tokens are fetched, kept, and renewed once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.errors import (
    TallyfyAuthError,
    TallyfyConfigurationError,
    TallyfyNotFoundError,
    TallyfyPermissionError,
    TallyfyRateLimitError,
    TallyfyResponseError,
    TallyfyServerError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook
from tests.airflow_driver import eventually

TOKEN = "/oauth/token"


@pytest.fixture
def connect(tallyfy, monkeypatch):
    def change(**extra: object) -> None:
        extra = {"auth": "client_credentials", **extra}
        monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(**extra))

    return change


@pytest.fixture
def me(tallyfy):
    return calls.current_user(tallyfy.organization_id)


def paths(tallyfy) -> list[str]:
    """The requests, in short: to the token endpoint, for the user's token, or to the API."""
    short = {"token": TOKEN, "me": "/me"}
    return [
        "user token" if "/applications/" in request.path else short[request.path.rpartition("/")[2]]
        for request in tallyfy.requests
    ]


@pytest.mark.usefixtures("worlds")
def test_a_personal_token_is_never_renewed(tallyfy, client, me):
    client.execute(me)
    tallyfy.revoke_token()
    with pytest.raises(TallyfyAuthError, match="end when their user logs out"):
        client.execute(me)
    assert paths(tallyfy) == ["/me", "/me"]


def rotate(tallyfy, monkeypatch, **other) -> None:
    """Put another token into the connection, then revoke the old one."""
    old = tallyfy.token
    connection = tallyfy.connection() | {"password": tallyfy.issue_token()} | other
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
    tallyfy.revoke_token(old)


@pytest.mark.usefixtures("worlds")
def test_a_personal_token_that_was_replaced_in_its_connection_is_read_from_there(tallyfy, client, me, monkeypatch):
    client.execute(me)
    rotate(tallyfy, monkeypatch)
    client.execute(me)
    client.execute(me)
    assert paths(tallyfy) == ["/me"] * 4
    [token] = {request.headers["authorization"] for request in tallyfy.requests[2:]}
    assert token != f"Bearer {tallyfy.token}"


def test_a_replaced_token_is_not_sent_to_where_the_connection_did_not_lead_before(tallyfy, client, me, monkeypatch):
    client.execute(me)
    rotate(tallyfy, monkeypatch, host="http://127.0.0.1:9")
    with pytest.raises(TallyfyAuthError, match="end when their user logs out"):
        client.execute(me)
    assert paths(tallyfy) == ["/me", "/me"]


def test_what_tallyfy_answered_is_said_if_the_connection_cannot_be_read_again(tallyfy, client, me, monkeypatch):
    client.execute(me)
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", '{"conn_type": "tallyfy", "password": ""}')
    tallyfy.revoke_token()
    with pytest.raises(TallyfyAuthError, match="end when their user logs out"):
        client.execute(me)


def test_an_application_token_is_fetched_once_and_kept(tallyfy, client, me, connect):
    connect()
    for _ in range(3):
        client.execute(me)
    assert paths(tallyfy) == [TOKEN, "/me", "/me", "/me"]
    token_request = tallyfy.requests[0]
    assert token_request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in token_request.headers


@pytest.mark.usefixtures("worlds")
def test_an_application_token_is_exchanged_for_the_users_where_one_is_named(tallyfy, client, me, connect):
    connect(user_email=tallyfy.user_email)
    assert client.execute(me)["email"] == tallyfy.user_email
    client.execute(me)
    assert paths(tallyfy) == [TOKEN, "user token", "/me", "/me"]


@pytest.mark.parametrize("tallyfy_sandbox", ["strict"], indirect=True)
def test_an_application_without_rights_gets_a_permission_error(tallyfy, client, me, connect):
    connect()
    with pytest.raises(TallyfyPermissionError, match="name a member in the connection's extra user_email"):
        client.execute(me)


@pytest.mark.parametrize("tallyfy_sandbox", ["strict"], indirect=True)
def test_a_named_user_without_rights_is_named_in_the_error(tallyfy, client, connect):
    connect(user_email=tallyfy.user_email)
    tallyfy.user_role = "light"
    run_id = tallyfy.add_run()["id"]
    with pytest.raises(TallyfyPermissionError, match="whom the connection's extra user_email names is a member"):
        client.execute(calls.archive_run(tallyfy.organization_id, run_id))


@pytest.mark.usefixtures("worlds")
def test_an_expired_token_is_renewed_once_and_the_request_repeated(tallyfy, client, me, connect):
    connect(user_email=tallyfy.user_email)
    client.execute(me)
    tallyfy.revoke_token()
    tallyfy.clear_requests()
    client.execute(me)
    assert paths(tallyfy) == ["/me", TOKEN, "user token", "/me"]


def test_a_new_token_that_is_refused_ends_the_request(tallyfy, client, me, connect):
    connect()
    tallyfy.faults.add(status=401, path="/me", times=None)
    with pytest.raises(TallyfyAuthError, match=r"(?s)issued for the connection's client credentials.* same Tallyfy"):
        client.execute(me)
    assert paths(tallyfy) == [TOKEN, "/me", TOKEN, "/me"]


def test_a_later_call_may_renew_again(tallyfy, client, me, connect):
    connect()
    for _ in range(3):
        client.execute(me)
        tallyfy.revoke_token()
    tallyfy.clear_requests()
    client.execute(me)
    assert paths(tallyfy) == ["/me", TOKEN, "/me"]


def test_a_launch_refused_for_an_expired_token_is_repeated_with_the_new_one(tallyfy, client, connect):
    connect()
    template = tallyfy.add_template("Onboarding")
    client.execute(calls.current_user(tallyfy.organization_id))
    tallyfy.revoke_token()
    client.execute(calls.launch_run(tallyfy.organization_id, {"checklist_id": template["id"]}))
    assert len(tallyfy.runs) == 1


def test_a_wrong_secret_is_an_error_of_its_own_and_not_repeated(tallyfy, client, me, connect):
    connect()
    tallyfy.credentials.client_secret = "another"
    with pytest.raises(TallyfyAuthError, match=r'(?s)401 "invalid_client".*not the id and the secret of a client'):
        client.execute(me)
    assert paths(tallyfy) == [TOKEN]


def test_the_token_exchange_reports_an_unknown_user(tallyfy, client, me, connect):
    connect(user_email="nobody@sandbox.example")
    with pytest.raises(TallyfyNotFoundError, match="exchange the application token for one of user nobody@sandbox"):
        client.execute(me)


def test_a_users_token_is_not_requested_without_an_organization(tallyfy, client, me, connect):
    connect(user_email=tallyfy.user_email, organization_id=None)
    with pytest.raises(TallyfyConfigurationError, match="No Tallyfy organization is given"):
        client.execute(me)
    assert tallyfy.requests == []


@pytest.mark.parametrize("of_connection", [None, "ab" * 16])
def test_a_users_token_is_for_the_organization_that_the_task_names(tallyfy, connect, of_connection):
    connect(user_email=tallyfy.user_email, organization_id=of_connection)
    run_id = tallyfy.add_run()["id"]
    with TallyfyHook(organization_id=tallyfy.organization_id) as hook:
        assert hook.get_run(run_id)["id"] == run_id
    assert hook.settings.organization_id == tallyfy.organization_id


def test_coroutines_can_name_the_organization_too(tallyfy, me, connect):
    async def ask() -> str:
        async with await TallyfyAsyncHook.connect("tallyfy_default", tallyfy.organization_id) as hook:
            assert hook.organization_id(None) == tallyfy.organization_id
            return (await hook.execute(me))["email"]

    connect(user_email=tallyfy.user_email, organization_id=None)
    assert asyncio.run(ask()) == tallyfy.user_email


def test_requests_to_the_token_endpoint_are_retried_like_any_other(tallyfy, client, me, connect, naps):
    connect()
    tallyfy.faults.add(status=503, path=TOKEN, times=2)
    client.execute(me)
    assert paths(tallyfy) == [TOKEN, TOKEN, TOKEN, "/me"]


def test_getting_a_token_stays_within_the_retry_budget_of_its_call(tallyfy, client, me, connect, naps):
    connect()
    tallyfy.faults.add(status=429, path=TOKEN, retry_after=1, times=None)
    with pytest.raises(TallyfyRateLimitError):
        client.execute(me, retry_budget=0)
    assert (paths(tallyfy), naps) == ([TOKEN], [])


@pytest.mark.parametrize("body", ["html", "null", {"access_token": None}, {"access_token": "two words"}, {}])
def test_a_token_endpoint_that_answers_with_something_else_is_an_error(tallyfy, client, me, connect, body):
    connect()
    tallyfy.faults.add(status=200, path=TOKEN, body=body)
    with pytest.raises(TallyfyResponseError, match=r"(?s)get an application token .* to POST http://127\.0\.0\.1"):
        client.execute(me)


def test_a_session_used_directly_has_a_fetched_token(tallyfy, connect):
    connect(user_email=tallyfy.user_email)
    with TallyfyHook() as hook:
        answer = hook.get_conn().get(f"{hook.settings.base_url}/me")
    assert answer.json()["data"]["email"] == tallyfy.user_email


def test_a_session_for_which_no_token_is_granted_is_refused_as_an_airflow_error(tallyfy, connect):
    from airflow.providers.common.compat.sdk import AirflowFailException

    connect()
    tallyfy.credentials.client_secret = "another"
    with TallyfyHook() as hook, pytest.raises(AirflowFailException, match="invalid_client"):
        hook.get_conn()


@pytest.fixture
def together(me):
    """Let coroutines of one hook send requests at once, and cancel some. Return the outcome of each."""

    async def ask(number: int, *, cancelled: int, after: Callable[[], bool]) -> list[Any]:
        async with await TallyfyAsyncHook.connect("tallyfy_default") as hook:
            tasks = [asyncio.create_task(hook.execute(me)) for _ in range(number)]
            assert await asyncio.to_thread(eventually, after)
            for task in tasks[:cancelled]:
                task.cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

    def run(number: int, cancelled: int = 0, after: Callable[[], bool] = lambda: True) -> list[Any]:
        return asyncio.run(ask(number, cancelled=cancelled, after=after))

    return run


def test_coroutines_that_wait_for_a_token_share_the_failure_to_get_it(tallyfy, together, connect):
    connect(retry_budget=0)
    tallyfy.faults.add(status=503, path=TOKEN, times=None)
    errors = together(8)
    assert [type(error) for error in errors] == [TallyfyServerError] * 8
    assert len({str(error) for error in errors}) == 1
    assert paths(tallyfy) == [TOKEN]


def test_coroutines_that_wait_for_a_token_share_it(tallyfy, together, connect):
    connect()
    together(8)
    assert sorted(paths(tallyfy)) == ["/me"] * 8 + [TOKEN]


def test_a_coroutine_cancelled_while_it_gets_a_token_leaves_that_to_the_others(tallyfy, together, connect):
    connect()
    hang = tallyfy.faults.add("hang", path=TOKEN)
    cancelled, *answered = together(4, cancelled=1, after=lambda: hang.hits == 1)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert {user["email"] for user in answered} == {tallyfy.user_email}
    assert sorted(paths(tallyfy)) == ["/me"] * 3 + [TOKEN] * 2
