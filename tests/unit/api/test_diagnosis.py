from __future__ import annotations

import json

import pytest

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Answer, Loss
from airflow_provider_tallyfy.api.credentials import ClientCredentials
from airflow_provider_tallyfy.api.diagnosis import (
    error_from_answer,
    error_from_loss,
    unexpected_answer,
    unknown_outcome,
)
from airflow_provider_tallyfy.api.errors import (
    TallyfyAuthError,
    TallyfyConfigurationError,
    TallyfyError,
    TallyfyNotFoundError,
    TallyfyPermissionError,
    TallyfyRateLimitError,
    TallyfyResponseError,
    TallyfyServerError,
    TallyfyTransportError,
    TallyfyUnknownOutcomeError,
    TallyfyValidationError,
)

ORGANIZATION = "f" * 32
CALL = calls.archive_run(ORGANIZATION, "r1")


TOKEN_CALL = calls.application_token(ClientCredentials("17", "secret", "https://account.example/oauth/token"))


def error_of(status: int, body: object = None, call=CALL, actor="person", **headers: str) -> TallyfyError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_from_answer(call, Answer(status, headers, content), actor)


#: status, body -> class, code, a part of the message. Source of the shapes: documentation pages "errors", "Open API".
SHAPES = [
    (401, {"error": True, "message": "Permission denied. error code: apsh213."}, TallyfyAuthError, None, "apsh213"),
    (401, {"message": "Unauthenticated."}, TallyfyAuthError, None, "Unauthenticated."),
    (401, None, TallyfyAuthError, None, "Settings > Integrations"),
    (401, {"message": "Unauthorized", "code": "UNAUTHORIZED"}, TallyfyPermissionError, "UNAUTHORIZED", "role"),
    (401, b"Unauthorized.", TallyfyPermissionError, None, "role"),
    (401, {"message": "Unauthorized action"}, TallyfyPermissionError, None, "role"),
    (401, {"message": "Saml Is Not Enabled In this Organization"}, TallyfyPermissionError, None, "Saml"),
    (402, {"message": "Trial limit reached", "code": "TRIAL_LIMIT"}, TallyfyPermissionError, "TRIAL_LIMIT", "plan"),
    (403, {"message": "You don't have permissions"}, TallyfyPermissionError, None, "Check the organization id"),
    (404, {"message": "Resource not found", "code": "RESOURCE_NOT_FOUND"}, TallyfyNotFoundError,
     "RESOURCE_NOT_FOUND", "Check the id"),
    (404, {"message": "API endpoint not found", "code": "ENDPOINT_NOT_FOUND"}, TallyfyConfigurationError,
     "ENDPOINT_NOT_FOUND", "API base URL"),
    (404, b"<!DOCTYPE html><html></html>", TallyfyConfigurationError, None, "an HTML page"),
    (409, {"error": {"code": "SEATS", "message": "No seats"}}, TallyfyValidationError, "SEATS", '"No seats"'),
    (422, {"error": True, "errors": {"name": ["Too long."]}}, TallyfyValidationError, None, "[name: Too long.]"),
    (400, {"error": "unsupported_grant_type"}, TallyfyValidationError, None, "unsupported_grant_type"),
    (429, {"message": "Slow down", "code": "RATE_LIMIT_EXCEEDED"}, TallyfyRateLimitError,
     "RATE_LIMIT_EXCEEDED", "spread"),
    (500, b"", TallyfyServerError, None, "answered 500"),
    (503, b"Service Unavailable", TallyfyServerError, None, '"Service Unavailable"'),
    (524, b"<html>cloudflare</html>", TallyfyServerError, None, '"an HTML page"'),
    (302, b"", TallyfyResponseError, None, "Redirects are not followed"),
    (404, [], TallyfyNotFoundError, None, ""),
    (422, {"message": ["a", "list"], "code": 7, "errors": "just text"}, TallyfyValidationError, None, "just text"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "code", "words"), SHAPES)
def test_an_answer_becomes_the_error_of_its_status_and_shape(status, body, kind, code, words):
    error = error_of(status, body)
    assert type(error) is kind
    assert (error.status, error.code) == (status, code)
    assert words in str(error)


@pytest.mark.parametrize(("status", "body"), [(shape[0], shape[1]) for shape in SHAPES])
def test_every_error_says_what_was_asked_of_which_run_and_what_tallyfy_answered(status, body):
    error = error_of(status, body, **{"x-request-id": "req-77"})
    assert str(error).startswith(f"Could not archive run r1.\nTallyfy answered {status}")
    assert f"to DELETE {CALL.path} (request id req-77)" in str(error)
    facts = (error.method, error.path, error.run_id, error.request_id)
    assert facts == ("DELETE", CALL.path, "r1", "req-77")


def test_a_refused_client_differs_from_a_refused_token():
    error = error_of(401, {"error": "invalid_client"}, TOKEN_CALL)
    assert isinstance(error, TallyfyAuthError)
    assert '401 "invalid_client" to POST https://account.example/oauth/token' in str(error)
    assert "login and password are not the id and the secret of a client" in str(error)
    assert "Personal tokens" not in str(error)


@pytest.mark.parametrize("status", [404, 405])
@pytest.mark.parametrize("body", [b"<html></html>", {"message": "Not Found"}, {"code": "ENDPOINT_NOT_FOUND"}])
def test_the_error_names_a_token_url_that_does_not_exist(status, body):
    error = error_of(status, body, TOKEN_CALL)
    assert type(error) is TallyfyConfigurationError
    assert "The connection's extra token_url is probably not the token endpoint" in str(error)
    assert "host" not in str(error)


def test_every_error_of_the_token_endpoint_names_token_url_and_not_the_host():
    errors = [
        error_of(302, b"", TOKEN_CALL),
        error_of(403, b"<html></html>", TOKEN_CALL),
        error_from_loss(TOKEN_CALL, Loss("refused", sent=False), "account.example"),
        unexpected_answer(TOKEN_CALL, Answer(200), "got an HTML page"),
    ]
    for error in errors:
        assert "extra token_url" in str(error)
        assert "connection's host" not in str(error)
        assert "organization" not in str(error)


@pytest.mark.parametrize(
    ("status", "body", "actor", "words"),
    [
        (401, {"message": "Unauthenticated."}, "person", "Personal tokens last six months"),
        (401, {"message": "Unauthenticated."}, "application", "its extra token_url belong to the same Tallyfy"),
        (401, {"message": "Unauthenticated."}, "user", "its extra token_url belong to the same Tallyfy"),
        (403, {"message": "Forbidden"}, "person", "the token's user is a member with a role"),
        (403, {"message": "Forbidden"}, "application", "name a member in the connection's extra user_email"),
        (403, {"message": "Forbidden"}, "user", "extra user_email names is a member with a role"),
        (401, b"Unauthorized.", "application", "name a member in the connection's extra user_email"),
    ],
)
def test_what_to_do_about_a_refusal_depends_on_the_credentials(status, body, actor, words):
    error = error_of(status, body, actor=actor)
    assert words in str(error)
    assert ("Personal tokens" in str(error)) is (status == 401 and actor == "person")


LEAKS = [
    "SQLSTATE[42S22]: Column not found (SQL: select * from `runs`)",
    "Illuminate\\Database\\QueryException",
    "in /var/www/api-v2/app/Run.php on line 7",
    "#0 {main} Stack trace: hunter2",
]


@pytest.mark.parametrize("text", LEAKS)
def test_stack_traces_and_sql_of_the_server_are_not_shown(text):
    for body in ({"message": text, "exception": text}, {"errors": {"x": [text]}}, text.encode()):
        error = error_of(500, body)
        assert text not in str(error)
        assert text not in str(error.fields)
        assert "(internals of the server, not shown)" in str(error)


def test_a_long_message_is_cut_and_becomes_one_line():
    error = error_of(422, {"message": "a\nb" * 500, "errors": {f"f{n}": ["x" * 40] for n in range(100)}})
    assert len(str(error).splitlines()) == 3
    assert len(str(error)) < 2000
    assert len(error.fields) == 100


def test_nested_problems_are_named_by_their_path():
    error = error_of(422, {"errors": {"prerun": {"f1": ["is required", {"why": "empty"}]}, "name": "bad"}})
    assert error.fields == {"prerun.f1": ["is required"], "prerun.f1.why": ["empty"], "name": ["bad"]}


def test_deeply_nested_problems_are_still_an_error():
    error = error_of(422, b'{"errors": ' + b'{"a": [' * 40 + b"]}" * 40 + b"}")
    assert list(error.fields.values()) == [["(nested too deeply)"]]


def test_a_request_id_of_any_length_fits_into_the_message():
    assert len(str(error_of(500, None, **{"x-request-id": "9" * 10_000}))) < 600


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("dns", "The name api.example could not be resolved"),
        ("refused", "api.example refused the connection"),
        ("tls", "No secure (TLS) connection to api.example"),
        ("proxy", "The proxy on the way to api.example failed"),
        ("connect_timeout", "api.example did not accept a connection in time"),
        ("timeout", "api.example did not answer in time"),
        ("reset", "The connection to api.example broke before the answer was complete"),
        ("too_large", "The answer of api.example was refused because it is too large"),
    ],
)
def test_a_missing_answer_is_a_transport_error_that_says_why(reason, words):
    error = error_from_loss(CALL, Loss(reason, sent=True, detail="in detail"), "api.example")
    assert type(error) is TallyfyTransportError
    assert f"Could not archive run r1.\n{words}" in str(error)
    assert f"(in detail) on DELETE {CALL.path}." in str(error)
    assert error.status is None


def test_a_2xx_that_is_not_as_documented_names_the_base_url():
    error = unexpected_answer(CALL, Answer(200, {"x-request-id": "req-77"}), "got an HTML page")
    assert type(error) is TallyfyResponseError
    assert "https://go.tallyfy.com/api or https://api.tallyfy.com" in str(error)
    assert (error.status, error.request_id, error.run_id) == (200, "req-77", "r1")


def test_an_unknown_outcome_keeps_the_known_facts():
    cause = error_of(503, {"code": "DOWN"}, **{"x-request-id": "req-77"})
    error = unknown_outcome(cause)
    assert type(error) is TallyfyUnknownOutcomeError
    assert (error.status, error.code, error.request_id, error.method) == (503, "DOWN", "req-77", "DELETE")
    assert str(error).startswith(str(cause))
