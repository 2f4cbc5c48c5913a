"""Both drivers carry out the decisions of the retry policy; ``tests/unit/api/test_retry.py`` has their table."""

from __future__ import annotations

import re
from typing import Any

import pytest

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Call
from airflow_provider_tallyfy.api.errors import (
    TallyfyError,
    TallyfyPermissionError,
    TallyfyRateLimitError,
    TallyfyResponseError,
    TallyfyServerError,
    TallyfyTransportError,
    TallyfyUnknownOutcomeError,
)

RUN_ID = "0123456789abcdef0123456789abcdef"
TEMPLATE_ID = "fedcba9876543210fedcba9876543210"

#: method -> a call to an organization that has the run (archived) and the template.
CALLS = {
    "GET": lambda organization_id: calls.get_run(organization_id, RUN_ID),
    "PUT": lambda organization_id: calls.activate_run(organization_id, RUN_ID),
    "DELETE": lambda organization_id: calls.archive_run(organization_id, RUN_ID),
    "POST": lambda organization_id: calls.launch_run(organization_id, {"checklist_id": TEMPLATE_ID}),
}

#: One failure of each kind that a repeat may cure: refused, failed, lost before and after it was applied, cut off.
PASSING: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "retry_after": 1},
    "503": {"status": 503, "retry_after": 2},
    "500 after it was applied": {"status": 500, "applied": True},
    "reset before it was applied": {"kind": "reset"},
    "truncated answer": {"kind": "truncated"},
}

#: One failure of each kind that no repeat cures: refused, redirected, an answer about something else.
FINAL: dict[str, tuple[dict[str, Any], type[TallyfyError]]] = {
    "403": ({"status": 403}, TallyfyPermissionError),
    "307": ({"kind": "redirect", "status": 307}, TallyfyResponseError),
    "html": ({"status": 200, "body": "html"}, TallyfyResponseError),
}

METHODS = pytest.mark.parametrize("method", CALLS)


@pytest.fixture
def call(tallyfy, method) -> Call[Any]:
    tallyfy.add_template("Onboarding", id=TEMPLATE_ID)
    tallyfy.add_run(TEMPLATE_ID, id=RUN_ID, archived=True)
    return CALLS[method](tallyfy.organization_id)


def strike(tallyfy, kind: str = "status", **settings: Any) -> Any:
    return tallyfy.faults.add(kind, **settings)


@METHODS
@pytest.mark.parametrize("trouble", PASSING)
def test_transient_failures_are_retried_unless_a_post_may_have_been_applied(tallyfy, client, naps, call, trouble):
    strike(tallyfy, **PASSING[trouble], times=2)
    runs = len(tallyfy.runs)
    if call.method == "POST" and "429" not in trouble:
        with pytest.raises(TallyfyUnknownOutcomeError, match="not repeated, because it may have been applied"):
            client.execute(call)
        assert len(tallyfy.requests) == 1
        assert (len(tallyfy.runs) > runs) is ("after" in trouble or "truncated" in trouble)
    else:
        client.execute(call)
        assert [request.method for request in tallyfy.requests] == [call.method] * 3
        assert len(naps) == 2
        assert all(nap >= PASSING[trouble].get("retry_after", 0) for nap in naps)
        assert len(tallyfy.runs) == runs + (call.method == "POST")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("refusal", FINAL)
def test_a_refusal_is_final_after_one_request(tallyfy, client, naps, call, refusal):
    fault, kind = FINAL[refusal]
    strike(tallyfy, **fault, times=None)
    with pytest.raises(kind) as caught:
        client.execute(call)
    assert (caught.value.method, caught.value.path) == (call.method, call.path)
    assert (len(tallyfy.requests), naps) == (1, [])


@pytest.mark.parametrize(
    "lasting",
    [
        ({"status": 503}, TallyfyServerError),
        ({"status": 429}, TallyfyRateLimitError),
        ({"kind": "reset"}, TallyfyTransportError),
    ],
)
@pytest.mark.parametrize("method", ["GET"])
def test_a_lasting_failure_ends_when_the_retry_budget_is_used_up(tallyfy, client, naps, call, lasting):
    fault, kind = lasting
    strike(tallyfy, **fault, times=None)
    with pytest.raises(kind, match=r"Tried \d+ times in 120 s\.$"):
        client.execute(call)
    assert len(naps) == len(tallyfy.requests) - 1
    assert 100.0 < sum(naps) <= 120.0
    tallyfy.clear_requests()
    with pytest.raises(kind):
        client.execute(call, retry_budget=0)
    assert len(tallyfy.requests) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "date"])
def test_a_retry_after_beyond_the_budget_fails_at_once_and_names_its_length(tallyfy, client, naps, call, as_date):
    strike(tallyfy, status=429, retry_after=600, retry_after_date=as_date, times=None)
    with pytest.raises(TallyfyRateLimitError) as caught:
        client.execute(call)
    assert caught.value.retry_after == pytest.approx(597.5, abs=2.5)
    assert (len(tallyfy.requests), naps) == (1, [])


@pytest.mark.parametrize("method", ["GET"])
@pytest.mark.parametrize("asked", [("7", 7), ("soon", 0)], ids=lambda asked: asked[0])
def test_a_valid_retry_after_is_the_shortest_pause(tallyfy, client, naps, call, asked):
    header, least = asked
    strike(tallyfy, status=429, retry_after=header)
    client.execute(call)
    (nap,) = naps
    assert least <= nap <= least + 0.5


@pytest.mark.parametrize("method", ["GET"])
def test_a_retry_after_date_sets_the_shortest_pause(tallyfy, client, naps, call):
    strike(tallyfy, status=503, retry_after=30, retry_after_date=True)
    client.execute(call)
    (nap,) = naps
    assert 25 <= nap <= 30.5


@pytest.mark.parametrize("method", ["GET"])
def test_a_real_rate_limit_is_waited_out(tallyfy, client, naps, call):
    tallyfy.rate_limit = (1, 10)
    client.execute(call)
    naps.listener = tallyfy.advance
    client.execute(call)
    assert [request.method for request in tallyfy.requests] == ["GET"] * 3
    assert 9 <= naps[0] <= 10.5


@pytest.mark.parametrize("method", ["GET"])
def test_each_retry_is_one_line_in_the_log_that_says_why(tallyfy, client, naps, call, logged):
    strike(tallyfy, status=503, times=2)
    client.execute(call)
    said = (
        rf"Could not read run {RUN_ID}\.\nTallyfy answered 503 [^\n]*\(request id (\w+)\)\.\n"
        r"Try again later\.\nTallyfy Support can use the request id\.\nTrying again in \d"
    )
    assert len(set(re.findall(said, logged()))) == 2
