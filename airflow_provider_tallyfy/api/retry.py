"""The one retry policy: accept what came back, try again after a pause, renew the token, or give up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Generic, TypeAlias

from airflow_provider_tallyfy.api.call import Answer, Call, Loss, T
from airflow_provider_tallyfy.api.credentials import Actor
from airflow_provider_tallyfy.api.diagnosis import (
    after_attempts,
    error_from_answer,
    error_from_loss,
    unexpected_answer,
    unknown_outcome,
)
from airflow_provider_tallyfy.api.errors import TallyfyAuthError, TallyfyError
from airflow_provider_tallyfy.api.parsing import parsed

_RETRIED_STATUS = frozenset({500, 502, 503, 504})
_RETRIED_LOSSES = frozenset({"dns", "refused", "proxy", "connect_timeout", "timeout", "reset"})
_FIRST_DELAY = 0.5
_MAX_DELAY = 30.0
_MAX_DOUBLINGS = 8


@dataclass(frozen=True)
class Attempt:
    """
    What the decision needs besides the answer; clocks and random numbers are the driver's.

    :param number: how often the call was sent, from 1.
    :param elapsed: seconds since it was first sent.
    :param budget: seconds after which it is not sent again.
    :param chance: random number in [0, 1), the jitter.
    :param renewable: whether there may be another token.
    :param actor: who the connection acts as, for messages.
    :param earlier_may_be_applied: whether an attempt before may have been applied although it failed.
    """

    number: int
    elapsed: float
    budget: float
    now: datetime
    chance: float
    renewable: bool = False
    actor: Actor = "person"
    host: str = "Tallyfy"
    earlier_may_be_applied: bool = False


@dataclass(frozen=True)
class Accept(Generic[T]):
    """The answer is good; ``value`` is what it means."""

    value: T


@dataclass(frozen=True)
class Retry:
    """Send it again after so many seconds; ``error`` says why."""

    after: float
    error: TallyfyError


@dataclass(frozen=True)
class Renew:
    """Get another token and send it again. If that is not possible, raise ``error``."""

    error: TallyfyError


@dataclass(frozen=True)
class GiveUp:
    """Raise ``error``."""

    error: TallyfyError


Decision: TypeAlias = Accept[T] | Retry | Renew | GiveUp


def decide(call: Call[T], outcome: Answer | Loss, attempt: Attempt) -> Decision[T]:
    """
    Judge what came back for a call.

    429 is retried for every method (it was declined, so not applied); 500, 502, 503, 504 and broken connections
    only where a repeat is harmless; a connection that was never made is always retried. ``Retry-After`` is the
    floor of the wait, and a wait that does not fit the budget ends the call at once.
    """
    if isinstance(outcome, Answer) and 200 <= outcome.status < 300:
        return _read(call, outcome)
    error = _error(call, outcome, attempt)
    error.may_be_applied = call.writes and (attempt.earlier_may_be_applied or _maybe_applied(outcome))
    if isinstance(error, TallyfyAuthError) and attempt.renewable:
        return Renew(after_attempts(error, attempt.number, attempt.elapsed))
    if _maybe_applied(outcome) and not call.repeatable:
        return GiveUp(unknown_outcome(error))
    if _passing(call, outcome):
        delay = _delay(error.retry_after or 0.0, attempt)
        if delay is not None:
            return Retry(delay, error)
    return GiveUp(after_attempts(error, attempt.number, attempt.elapsed))


#: The longest pause that a ``Retry-After`` header can ask for, in seconds; one wrong header must not silence a week.
MAX_RETRY_AFTER = 900.0


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Read a ``Retry-After`` header, seconds or an HTTP date, as seconds; ``None`` if there is no readable one."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(max(0.0, seconds), MAX_RETRY_AFTER) if math.isfinite(seconds) else None


def _read(call: Call[T], answer: Answer) -> Accept[T] | GiveUp:
    try:
        if answer.unreadable:
            raise unexpected_answer(call, answer, answer.unreadable)
        return Accept(parsed(call.parse, answer, partial(unexpected_answer, call, answer)))
    except TallyfyError as error:
        error.may_be_applied = call.writes
        return GiveUp(error)


def _error(call: Call[Any], outcome: Answer | Loss, attempt: Attempt) -> TallyfyError:
    if isinstance(outcome, Loss):
        return error_from_loss(call, outcome, attempt.host)
    error = error_from_answer(call, outcome, attempt.actor)
    error.retry_after = retry_after_seconds(outcome.headers.get("retry-after"), attempt.now)
    return error


def _maybe_applied(outcome: Answer | Loss) -> bool:
    return outcome.sent if isinstance(outcome, Loss) else outcome.status >= 500


def _passing(call: Call[Any], outcome: Answer | Loss) -> bool:
    if isinstance(outcome, Loss):
        return outcome.reason in _RETRIED_LOSSES
    if outcome.status in call.non_retryable:
        return False
    return outcome.status == 429 or outcome.status in _RETRIED_STATUS


def _delay(floor: float, attempt: Attempt) -> float | None:
    """Full jitter above the floor that Tallyfy asked for, cut to what is left of the budget."""
    left = attempt.budget - attempt.elapsed
    if left <= 0 or floor > left:
        return None
    doublings = min(attempt.number - 1, _MAX_DOUBLINGS)
    jitter = attempt.chance * min(_MAX_DELAY, _FIRST_DELAY * 2.0**doublings)
    return min(floor + jitter, left)
