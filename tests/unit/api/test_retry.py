"""The retry policy alone, as a table. ``tests/contract/hooks`` tests over a socket that both drivers obey it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Answer, Loss
from airflow_provider_tallyfy.api.errors import (
    TallyfyAuthError,
    TallyfyNotFoundError,
    TallyfyPermissionError,
    TallyfyRateLimitError,
    TallyfyResponseError,
    TallyfyServerError,
    TallyfyTransportError,
    TallyfyUnknownOutcomeError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.retry import Accept, Attempt, GiveUp, Renew, Retry, decide, retry_after_seconds

ORGANIZATION = "f" * 32
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
GET = calls.get_run(ORGANIZATION, "r1")
PUT = calls.activate_run(ORGANIZATION, "r1")
DELETE = calls.archive_run(ORGANIZATION, "r1")
POST = calls.launch_run(ORGANIZATION, {"checklist_id": "t1"})
REFUSALS = {
    301: TallyfyResponseError,
    302: TallyfyResponseError,
    307: TallyfyResponseError,
    401: TallyfyAuthError,
    402: TallyfyPermissionError,
    403: TallyfyPermissionError,
    404: TallyfyNotFoundError,
}
METHODS = pytest.mark.parametrize("call", [GET, PUT, DELETE, POST], ids=lambda call: call.method)


def attempt(**facts: Any) -> Attempt:
    return Attempt(**{"number": 1, "elapsed": 0.0, "budget": 120.0, "now": NOW, "chance": 0.5, **facts})


def answer(status: int, body: object = None, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body).encode())


@METHODS
def test_a_rate_limited_request_is_repeated_whatever_its_method(call):
    decision = decide(call, answer(429, retry_after="7"), attempt())
    assert isinstance(decision, Retry)
    assert 7.0 <= decision.after <= 7.5
    assert isinstance(decision.error, TallyfyRateLimitError)


@METHODS
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_retried_only_where_a_repeat_is_harmless(call, status):
    decision = decide(call, answer(status), attempt())
    if call is POST:
        assert isinstance(decision, GiveUp)
        assert isinstance(decision.error, TallyfyUnknownOutcomeError)
        assert "Look in Tallyfy first" in str(decision.error)
    else:
        assert isinstance(decision, Retry)
        assert isinstance(decision.error, TallyfyServerError)


@METHODS
@pytest.mark.parametrize("reason", ["timeout", "reset"])
def test_a_lost_answer_is_retried_only_where_a_repeat_is_harmless(call, reason):
    decision = decide(call, Loss(reason, sent=True), attempt())
    assert isinstance(decision, GiveUp if call is POST else Retry)
    assert isinstance(decision.error, TallyfyUnknownOutcomeError if call is POST else TallyfyTransportError)


@METHODS
@pytest.mark.parametrize("reason", ["dns", "refused", "proxy", "connect_timeout"])
def test_a_request_that_was_not_sent_is_retried_whatever_the_method(call, reason):
    assert isinstance(decide(call, Loss(reason, sent=False), attempt()), Retry)


@pytest.mark.parametrize("reason", ["tls", "too_large"])
def test_a_lasting_failure_is_not_retried(reason):
    decision = decide(GET, Loss(reason, sent=False), attempt())
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.error, TallyfyTransportError)


@METHODS
@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 402, 403, 404, 409, 422])
def test_a_refusal_is_final(call, status):
    decision = decide(call, answer(status, retry_after="1"), attempt())
    assert isinstance(decision, GiveUp)
    assert type(decision.error) is REFUSALS.get(status, TallyfyValidationError)
    assert (decision.error.method, decision.error.path) == (call.method, call.path)


@pytest.mark.parametrize("status", [429, 503])
def test_a_retry_after_beyond_the_budget_ends_the_call_at_once_and_is_named(status):
    decision = decide(GET, answer(status, retry_after="121"), attempt())
    assert isinstance(decision, GiveUp)
    assert decision.error.retry_after == 121.0
    assert isinstance(decide(GET, answer(status, retry_after="120"), attempt()), Retry)


def test_a_used_up_budget_ends_the_call_and_says_how_often_it_was_tried():
    decision = decide(GET, answer(503), attempt(number=9, elapsed=120.0))
    assert isinstance(decision, GiveUp)
    assert str(decision.error).endswith("Tried 9 times in 120 s.")


def test_without_a_budget_nothing_is_repeated():
    assert isinstance(decide(GET, answer(503), attempt(budget=0.0)), GiveUp)
    assert isinstance(decide(GET, answer(429), attempt(budget=0.0)), GiveUp)


def test_pauses_double_with_full_jitter_up_to_half_a_minute():
    longest = [decide(GET, answer(503), attempt(number=number, chance=1.0)).after for number in range(1, 10)]
    assert longest == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert decide(GET, answer(503), attempt(number=9, chance=0.0)).after == 0.0
    assert decide(GET, answer(503), attempt(number=3, chance=0.25)).after == 0.5
    assert decide(GET, answer(503), attempt(number=5000, chance=1.0)).after == 30.0


@given(
    floor=st.floats(0, 200) | st.none(),
    number=st.integers(1, 40),
    elapsed=st.floats(0, 130),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_a_pause_is_at_least_retry_after_and_at_most_the_budget(floor, number, elapsed, chance):
    headers = {} if floor is None else {"retry_after": str(floor)}
    decision = decide(GET, answer(429, **headers), attempt(number=number, elapsed=elapsed, chance=chance))
    if isinstance(decision, Retry):
        assert (floor or 0.0) <= decision.after <= 120.0 - elapsed
    else:
        assert elapsed >= 120.0 or (floor or 0.0) > 120.0 - elapsed


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("Thu, 01 Jan 2026 12:01:30 GMT", 90.0),
        ("Thu, 01 Jan 2026 12:01:30 -0000", 90.0),
        ("Thu, 01 Jan 2026 13:01:30 +0100", 90.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("901", 900.0),
        ("604800", 900.0),
        ("Fri, 02 Jan 2026 12:00:00 GMT", 900.0),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e999", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Thu, 01 Jan 99999 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_anything_else_is_ignored(header, seconds):
    assert retry_after_seconds(header, NOW) == seconds


@given(st.text(alphabet="0123456789 :+-.,eETJanGMTu", max_size=40) | st.text(max_size=20))
def test_no_retry_after_header_breaks_the_reader(header):
    seconds = retry_after_seconds(header, NOW)
    assert seconds is None or 0 <= seconds <= 900


def test_an_expired_token_is_renewed_where_it_can_be():
    assert isinstance(decide(GET, answer(401), attempt(renewable=True)), Renew)
    assert isinstance(decide(POST, answer(401), attempt(renewable=True)), Renew)
    decision = decide(GET, answer(401), attempt(renewable=False))
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.error, TallyfyAuthError)


@pytest.mark.parametrize("body", [{"message": "Unauthorized", "code": "UNAUTHORIZED"}, {"message": "Unauthorized."}])
def test_a_401_that_is_not_about_the_token_renews_nothing(body):
    decision = decide(GET, answer(401, body), attempt(renewable=True))
    assert isinstance(decision, GiveUp)
    assert isinstance(decision.error, TallyfyPermissionError)


def test_a_good_answer_is_accepted_with_its_parsed_value():
    decision = decide(GET, answer(200, {"data": {"id": "r1", "status": "active"}}), attempt())
    assert isinstance(decision, Accept)
    assert decision.value.id == "r1"


@METHODS
@pytest.mark.parametrize("body", [None, {"data": None}, [], {"data": {"id": "r2", "status": "active"}}, b"<html>"])
def test_an_unexpected_2xx_is_an_error_and_not_repeated(call, body):
    shown = Answer(200, {}, body) if isinstance(body, bytes) else answer(200, body)
    decision = decide(call, shown, attempt())
    if call is POST and isinstance(body, dict) and body["data"]:
        assert isinstance(decision, Accept), "any run may be the launched one"
    else:
        assert isinstance(decision, GiveUp)
        assert isinstance(decision.error, TallyfyResponseError)
