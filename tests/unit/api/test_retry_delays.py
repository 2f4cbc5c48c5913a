from __future__ import annotations

from datetime import UTC, datetime

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Answer
from airflow_provider_tallyfy.api.retry import Attempt, Retry, decide


def test_the_delay_stays_finite_however_often_a_call_was_repeated():
    attempt = Attempt(number=5000, elapsed=80_000, budget=90_000, now=datetime.now(UTC), chance=0.999)
    decision = decide(calls.get_run("f" * 32, "e" * 32), Answer(503), attempt)
    assert isinstance(decision, Retry)
    assert 29 < decision.after <= 30
