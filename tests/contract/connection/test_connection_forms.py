"""Every way in which Airflow stores a connection leads to Tallyfy."""

from __future__ import annotations

import asyncio
import json

import pytest
from airflow.models import Connection

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

TOKENS = ["t0ken-1234", "a+b/c==", "p%40ss%2Fword", "a:b@c?d#e&f=g", "eyJ0.eyJ1.s-_", "$'\"`\\{}|^~!*()[]<>,;"]


def as_json(connection: dict) -> str:
    return json.dumps(connection)


def as_json_with_text_extra(connection: dict) -> str:
    return json.dumps(connection | {"extra": json.dumps(connection["extra"])})


def as_uri(connection: dict) -> str:
    return Connection(conn_id="c", **connection | {"extra": json.dumps(connection["extra"])}).get_uri()


@pytest.mark.parametrize("write", [as_json, as_json_with_text_extra, as_uri])
@pytest.mark.parametrize("token", TOKENS)
def test_a_token_of_any_characters_arrives_from_every_form(tallyfy, monkeypatch, write, token):
    tallyfy.credentials.issue("personal", tallyfy.user["id"], text=token)
    run = tallyfy.add_run()
    monkeypatch.setenv("AIRFLOW_CONN_MY_TALLYFY", write(tallyfy.connection() | {"password": token}))
    with TallyfyHook("my_tallyfy") as hook:
        assert hook.get_run(run["id"])["id"] == run["id"]
    assert tallyfy.requests[0].headers["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("write", [as_json, as_uri])
@pytest.mark.parametrize("base", ["{origin}/api", "{origin}/api/", "{origin}", "{origin}/"])
def test_both_base_urls_work_with_and_without_a_slash(tallyfy, monkeypatch, write, base):
    run = tallyfy.add_run()
    connection = tallyfy.connection() | {"host": base.format(origin=tallyfy.url)}
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", write(connection))
    with TallyfyHook() as hook:
        hook.get_run(run["id"])
    below = f"/organizations/{tallyfy.organization_id}/runs/{run['id']}"
    assert tallyfy.requests[0].path == ("/api" if "/api" in base else "") + below


def test_host_scheme_and_port_can_have_fields_of_their_own(tallyfy, monkeypatch):
    connection = tallyfy.connection() | {"host": "127.0.0.1", "schema": "http", "port": tallyfy.port}
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
    with TallyfyHook() as hook:
        assert hook.list_runs() == []


@pytest.mark.parametrize("extra", ["{not json", "[]", '"text"'])
def test_an_invalid_extra_is_not_ignored(tallyfy, monkeypatch, extra):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(tallyfy.connection() | {"extra": extra}))
    with pytest.raises(Exception, match="extra") as caught:
        TallyfyHook().get_run("r1")
    assert tallyfy.token not in str(caught.value)
    assert tallyfy.requests == []


def test_a_missing_connection_says_how_to_make_it_to_both_hooks():
    with pytest.raises(TallyfyConfigurationError, match="'nowhere' is not defined") as sync:
        TallyfyHook("nowhere").get_run("r1")
    with pytest.raises(TallyfyConfigurationError) as asynchronous:
        asyncio.run(TallyfyAsyncHook.connect("nowhere"))
    assert str(sync.value) == str(asynchronous.value)


def test_without_an_organization_nothing_is_sent(tallyfy, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(organization_id=None))
    with TallyfyHook() as hook, pytest.raises(TallyfyConfigurationError, match="No Tallyfy organization is given"):
        hook.get_run("r1")
    assert tallyfy.requests == []
    run = tallyfy.add_run()
    with TallyfyHook(organization_id=tallyfy.organization_id) as hook:
        assert hook.get_run(run["id"])["id"] == run["id"]
