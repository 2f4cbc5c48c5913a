from __future__ import annotations

import pytest

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Answer, Call
from airflow_provider_tallyfy.api.credentials import ClientCredentials
from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.queries import RunQuery

ORGANIZATION = "f" * 32
RUN_ID = "0123456789abcdef0123456789abcdef"
CLIENT = ClientCredentials("17", "s3cret", "https://account.example/oauth/token", "ada@example.com")


def request_line(call: Call) -> str:
    return f"{call.method} {call.url('https://host/api').removeprefix('https://host/api')}"


def test_every_call_about_a_run_has_the_documented_address():
    base = f"/organizations/{ORGANIZATION}"
    run = f"{base}/runs/{RUN_ID}"
    assert request_line(calls.get_run(ORGANIZATION, RUN_ID)) == f"GET {run}"
    assert request_line(calls.archive_run(ORGANIZATION, RUN_ID)) == f"DELETE {run}"
    assert request_line(calls.activate_run(ORGANIZATION, RUN_ID)) == f"PUT {run}/activate"
    assert request_line(calls.delete_run(ORGANIZATION, RUN_ID)) == f"DELETE {run}/delete"
    assert request_line(calls.current_user(ORGANIZATION)) == f"GET {base}/me"
    assert request_line(calls.current_user(None)) == "GET /me"
    listed = f"GET {base}/runs?sort=created_at&page=3&per_page=100"
    assert request_line(calls.list_runs(ORGANIZATION, RunQuery(), 3)) == listed


def test_a_query_encodes_spaces_as_percent_20_and_every_reserved_character():
    call = calls.list_runs(ORGANIZATION, RunQuery(query="a b+c&d=é/#", tags=("a1", "b2")), 1)
    assert "q=a%20b%2Bc%26d%3D%C3%A9%2F%23&tag_ids=a1%2Cb2" in call.url("https://host")


def test_an_id_with_reserved_characters_stays_one_segment():
    call = calls.get_run(ORGANIZATION, "a?b#c;d%2F..é")
    assert call.path == f"/organizations/{ORGANIZATION}/runs/a%3Fb%23c%3Bd%252F..%C3%A9"


@pytest.mark.parametrize("make", [calls.get_run, calls.archive_run, calls.activate_run, calls.delete_run])
@pytest.mark.parametrize("bad_id", ["", " ", "..", ".", "a/b", "../x", "a\nb", "a\\b", None, "None"])
def test_no_call_is_made_for_an_id_that_could_change_the_path(make, bad_id):
    with pytest.raises(TallyfyValidationError, match=r"^run_id="):
        make(ORGANIZATION, bad_id)
    with pytest.raises(TallyfyValidationError, match=r"^organization_id="):
        make(bad_id, RUN_ID)


def test_only_calls_that_are_harmless_twice_can_be_repeated():
    assert calls.get_run(ORGANIZATION, RUN_ID).repeatable
    assert calls.archive_run(ORGANIZATION, RUN_ID).repeatable
    assert calls.activate_run(ORGANIZATION, RUN_ID).repeatable
    assert calls.application_token(CLIENT).repeatable
    assert not calls.launch_run(ORGANIZATION, {"checklist_id": "t"}).repeatable


def test_every_call_that_changes_tallyfy_is_a_write():
    assert calls.archive_run(ORGANIZATION, RUN_ID).writes
    assert calls.launch_run(ORGANIZATION, {"checklist_id": "t"}).writes
    assert not calls.get_run(ORGANIZATION, RUN_ID).writes
    assert not calls.application_token(CLIENT).writes
    assert not calls.export_run(ORGANIZATION, RUN_ID).writes


def test_a_token_request_is_form_encoded_and_has_no_bearer():
    call = calls.application_token(CLIENT)
    content, headers = call.content()
    assert call.url("https://host/api") == CLIENT.token_url == call.target
    assert content == b"grant_type=client_credentials&client_id=17&client_secret=s3cret&scope=%2A"
    assert headers == {"Content-Type": "application/x-www-form-urlencoded"}
    assert call.bearer == ""


def test_a_body_is_json_and_a_call_without_one_sends_no_content_type():
    content, headers = calls.launch_run(ORGANIZATION, {"checklist_id": "t", "name": "Ä"}).content()
    assert (content, headers["Content-Type"]) == (b'{"checklist_id": "t", "name": "\\u00c4"}', "application/json")
    assert calls.activate_run(ORGANIZATION, RUN_ID).content() == (None, {})


def test_the_repr_of_a_call_holds_no_secret():
    exchange = calls.user_token(ORGANIZATION, "ada@example.com", "application-token")
    assert "application-token" not in repr(exchange)
    assert "s3cret" not in repr(calls.application_token(CLIENT)) + repr(CLIENT)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"{'a': 1}", b"[" * 100_000])
def test_a_body_that_is_not_json_is_a_value_error(body):
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the parser says
        Answer(200, body=body).json()
