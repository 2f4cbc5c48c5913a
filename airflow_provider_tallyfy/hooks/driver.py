"""What the two drivers share."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import Generic
from urllib.parse import urlsplit

from airflow_provider_tallyfy import __version__
from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Answer, Call, Loss, T
from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError, TallyfyError, TallyfyValidationError
from airflow_provider_tallyfy.api.retry import Attempt, Decision, GiveUp, Renew, Retry, decide
from airflow_provider_tallyfy.compat import airflow_version
from airflow_provider_tallyfy.connection import TallyfySettings
from airflow_provider_tallyfy.hooks.redaction import redact_answer, redact_error

_MAX_URL = 60_000  # httpx takes 65,536 characters; servers mostly take fewer, and say so


def default_headers() -> dict[str, str]:
    """Return Tallyfy's required headers and a ``User-Agent`` that names this package and Airflow."""
    user_agent = f"airflow-provider-tallyfy/{__version__} apache-airflow/{airflow_version}"
    return {**calls.HEADERS, "User-Agent": user_agent}


class Attempts(Generic[T]):
    """Counts the attempts of one call, asks the retry policy what to do, and refuses what a connection forbids."""

    def __init__(self, call: Call[T], settings: TallyfySettings, budget: float | None) -> None:
        if call.writes and settings.read_only:
            raise TallyfyConfigurationError(
                f"Could not {call.action}.\nThe Airflow connection is read-only (extra read_only is true).\n"
                f"{call.method} {call.path} was not sent.",
                method=call.method,
                path=call.path,
                run_id=call.run_id,
            )
        if (length := len(call.url(settings.base_url))) > _MAX_URL:
            raise TallyfyValidationError(
                f"Could not {call.action}.\nThe address of the request has {length} characters.\n"
                f"It can have at most {_MAX_URL}.\nNothing was sent.\nShorten the filters.",
                method=call.method,
                run_id=call.run_id,
            )
        self._call = call
        self._secrets = settings.secrets
        self._asks_for_token = call.form is not None or call.bearer is not None
        self._host = urlsplit(call.base_url or settings.base_url).netloc
        self._budget = next(x for x in (call.retry_budget, budget, settings.retry_budget) if x is not None)
        self._actor = settings.actor
        self._token_renewable = call.bearer is None
        self._started = time.monotonic()
        self._number = 0
        self._may_be_applied = False

    def judge(self, outcome: Answer | Loss, token: str) -> Decision[T]:
        """Decide what follows from the latest attempt; its result holds no secret, unless a token is the value."""
        secrets = (*self._secrets, token)
        if isinstance(outcome, Answer) and not (self._asks_for_token and 200 <= outcome.status < 300):
            outcome = redact_answer(outcome, secrets)
        decision = decide(self._call, outcome, self._latest())
        if isinstance(decision, Retry | Renew | GiveUp):
            redact_error(decision.error, secrets)
        return decision

    def _latest(self) -> Attempt:
        self._number += 1
        return Attempt(
            number=self._number,
            elapsed=time.monotonic() - self._started,
            budget=self._budget,
            now=datetime.now(UTC),
            chance=random.random(),  # noqa: S311 - jitter, not cryptography
            renewable=self._token_renewable,
            actor=self._actor,
            host=self._host,
            earlier_may_be_applied=self._may_be_applied,
        )

    def failed(self, error: TallyfyError) -> None:
        """Remember what a failed attempt, which is followed by another, may have done."""
        self._may_be_applied |= error.may_be_applied

    def queued(self, seconds: float) -> None:
        """Leave the time that the call waited for others out of its budget."""
        self._started += seconds

    def token_was_renewed(self) -> None:
        """Remember that the token is new: if Tallyfy refuses this one too, its age is not the reason."""
        self._token_renewable = False
