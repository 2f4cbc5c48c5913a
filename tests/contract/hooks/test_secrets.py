"""No secret is ever shown: neither those of a connection, nor those that were fetched with it."""

from __future__ import annotations

import html
import json
import pickle
import re
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

RUN_ID = "0123456789abcdef0123456789abcdef"
#: A token with every character that JSON, PHP's JSON or a URL encodes.
SPECIAL = 'a/b+c="d&e\\f%20g?hijklmnop'
ENCODERS = (b64encode, urlsafe_b64encode)


def everything(error: BaseException) -> str:
    """All that a log, a callback or another process could see of an error."""
    seen = []
    while error is not None:
        seen += [str(error), repr(error), repr(vars(error)), repr(pickle.dumps(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(seen)


def forms(secret: str) -> set[str]:
    """Every form in which a server may repeat a secret."""
    in_json = json.dumps(secret)[1:-1]
    in_urls = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    lower = {re.sub("%..", lambda match: match[0].lower(), form) for form in in_urls}
    codes = [ord(character) for character in secret]
    entities = {
        html.escape(secret),
        "".join(f"&#{code};" for code in codes),
        "".join(f"&#x{code:x};" for code in codes),
    }
    escaped = {"".join(f"\\u{code:04x}" for code in codes), "".join(f"\\u{code:04X}" for code in codes)}
    encoded = {encode(b"id:"[:before] + secret.encode()).decode() for before in range(4) for encode in ENCODERS}
    return {secret, in_json, in_json.replace("/", "\\/")} | in_urls | lower | entities | escaped | encoded


def assert_hidden(text: str, *secrets: str) -> None:
    for secret in secrets:
        assert not [form for form in forms(secret) if form[4:-4] in text]


@pytest.mark.parametrize("status", [302, 401, 403, 404, 422, 429, 500, 503])
def test_a_token_that_a_server_repeats_is_masked(tallyfy, client, naps, logged, status):
    tallyfy.faults.add("echo_authorization", status=status, times=None)
    with pytest.raises(TallyfyError) as caught:
        client.execute(calls.get_run(tallyfy.organization_id, RUN_ID))
    assert "Authorization: Bearer ***" in str(caught.value)
    assert_hidden(everything(caught.value) + logged(), tallyfy.token)


@pytest.mark.parametrize(
    "body",
    [
        {"message": SPECIAL},
        {"errors": {SPECIAL: [SPECIAL]}},
        {"error": SPECIAL, "code": SPECIAL},
        f"plain {SPECIAL}",
        json.dumps({"message": SPECIAL}).replace("/", "\\/"),
        f"escaped {quote(SPECIAL)} and {quote(SPECIAL, safe='')}",
    ],
)
def test_a_token_is_masked_however_the_server_encodes_it(tallyfy, client, monkeypatch, logged, body):
    connection = tallyfy.connection(retry_budget=0) | {"password": SPECIAL}
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
    tallyfy.faults.add(status=422, body=body, headers={"x-request-id": SPECIAL})
    with pytest.raises(TallyfyError) as caught:
        client.execute(calls.get_run(tallyfy.organization_id, RUN_ID))
    assert "***" in str(caught.value)
    assert caught.value.request_id == "***"
    assert_hidden(everything(caught.value) + logged(), SPECIAL)


@pytest.fixture
def special(tallyfy, monkeypatch, caplog) -> str:
    """A token that looks different in every form. The debug log of httpcore shows headers as they are."""
    connection = tallyfy.connection(retry_budget=0) | {"password": SPECIAL}
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
    caplog.set_level("INFO", "httpcore")
    return SPECIAL


@pytest.mark.parametrize("status", [200, 422])
@pytest.mark.parametrize("form", sorted(forms(SPECIAL)))
def test_a_token_is_masked_in_every_form_and_place(tallyfy, client, special, logged, form, status):  # noqa: PLR0917
    shown = {"id": RUN_ID, "status": form, "archived_at": form}
    bodies = [
        f"cut {'x' * 200} {form}",
        form.encode("utf-16"),
        json.dumps({"message": form, "code": form, "errors": {form: [form]}, "data": shown}),
        json.dumps({"message": form, "data": shown}).encode("utf-16"),
    ]
    for body in bodies:
        tallyfy.faults.add(status=status, body=body, headers={"x-request-id": form})
        with pytest.raises(TallyfyError) as caught:
            client.execute(calls.get_run(tallyfy.organization_id, RUN_ID))
        assert_hidden(everything(caught.value) + logged(), special)


def test_a_token_is_masked_in_successful_answers(tallyfy, client):
    name = f"{tallyfy.token} and {b64encode(tallyfy.token.encode()).decode()}"
    shown = {"data": {"id": RUN_ID, "status": "active", "name": name}}
    escaped = json.dumps(shown).replace(tallyfy.token, "".join(f"\\u{ord(letter):04x}" for letter in tallyfy.token))
    for body in (json.dumps(shown), escaped, json.dumps(shown).encode("utf-16")):
        tallyfy.faults.add(status=200, body=body)
        assert client.execute(calls.get_run(tallyfy.organization_id, RUN_ID)).name.startswith("*** and ***")


@pytest.mark.parametrize("path", ["/oauth/token", "/users/", f"/runs/{RUN_ID}"])
def test_client_secret_and_fetched_tokens_are_never_shown(tallyfy, client, monkeypatch, logged, path):
    extra = {"auth": "client_credentials", "user_email": tallyfy.user_email, "retry_budget": 0}
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(**extra))
    tallyfy.add_run(id=RUN_ID)
    tallyfy.faults.add("echo_authorization", path=path, times=None)
    with pytest.raises(TallyfyError) as caught:
        client.execute(calls.get_run(tallyfy.organization_id, RUN_ID))
    fetched = [token for token in tallyfy.credentials.tokens if token != tallyfy.token]
    assert len(fetched) == {"/oauth/token": 0, "/users/": 1}.get(path, 2)
    assert_hidden(everything(caught.value) + logged(), tallyfy.client_secret, *fetched)


def test_a_client_secret_that_the_token_endpoint_repeats_is_masked(tallyfy, client, monkeypatch, logged):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(auth="client_credentials"))
    tallyfy.faults.add(status=401, path="/oauth/token", body={"error": f"bad secret {tallyfy.client_secret}"})
    with pytest.raises(TallyfyError, match=r'401 "bad secret \*\*\*" to POST http') as caught:
        client.execute(calls.get_run(tallyfy.organization_id, RUN_ID))
    assert_hidden(everything(caught.value) + logged(), tallyfy.client_secret)


def test_secrets_are_masked_in_airflows_logs(tallyfy, client, monkeypatch):
    masked = []
    monkeypatch.setattr("airflow_provider_tallyfy.hooks.tallyfy.mask_secret", masked.append)

    async def mask(secret: str) -> None:
        masked.append(secret)

    monkeypatch.setattr("airflow_provider_tallyfy.hooks.tallyfy_async.mask_secret_async", mask)
    extra = {"auth": "client_credentials", "user_email": tallyfy.user_email}
    proxies = {"https": "http://ada:hunter2@127.0.0.1:1"}
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(**extra, proxies=proxies))
    client.execute(calls.current_user(tallyfy.organization_id))
    fetched = set(tallyfy.credentials.tokens) - {tallyfy.token}
    assert len(fetched) == 2
    assert set(masked) == {tallyfy.client_secret, "hunter2", *fetched}


def test_masking_reaches_airflows_own_masker(tallyfy, client):
    from airflow.providers.common.compat.sdk import redact

    client.execute(calls.current_user(tallyfy.organization_id))
    assert redact(f"token {tallyfy.token}!") == "token ***!"


def test_internals_of_a_failing_server_are_not_shown(tallyfy, client, naps, logged):
    tallyfy.faults.add(status=500, body="laravel", times=None)
    with pytest.raises(TallyfyError) as caught:
        client.execute(calls.get_run(tallyfy.organization_id, RUN_ID))
    shown = everything(caught.value) + logged()
    assert not [word for word in ("SQLSTATE", "hunter2", "vendor", "Illuminate", "RunService") if word in shown]


def test_the_repr_of_hooks_and_settings_holds_no_secret(tallyfy, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(auth="client_credentials"))
    with TallyfyHook() as hook:
        hook.get_conn()
        fetched = next(iter(set(tallyfy.credentials.tokens) - {tallyfy.token}))
        assert_hidden(repr(hook) + repr(hook.settings) + str(hook.settings), tallyfy.client_secret, fetched)
