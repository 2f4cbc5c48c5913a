"""When is a wait for a run over, and how: the one answer for sensors, triggers and every mode they run in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from airflow_provider_tallyfy.api import calls, errors
from airflow_provider_tallyfy.api.checks import checked_id, checked_status
from airflow_provider_tallyfy.api.errors import (
    TallyfyError,
    TallyfyNotFoundError,
    TallyfyResponseError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.exchange import Flow
from airflow_provider_tallyfy.api.flows.runs import find_archived_run
from airflow_provider_tallyfy.api.models import Run


class Outcome(StrEnum):
    """How a look at a run leaves the wait; all but ``WAITING`` end it."""

    WAITING = "waiting"
    REACHED = "reached"
    FAILED = "failed"
    MISSING = "missing"
    TIMED_OUT = "timed_out"
    ERROR = "error"


class Missing(StrEnum):
    """What to do about a run that does not exist."""

    FAIL = "fail"
    WAIT = "wait"


@dataclass(frozen=True)
class RunWait:
    """
    What a wait is for.

    :param run_id: the run.
    :param target: statuses that end the wait well. They win over ``failure``.
    :param failure: statuses that end it badly.
    :param missing: whether a run that does not exist fails the wait or is waited for.
    """

    run_id: str
    target: tuple[str, ...]
    failure: tuple[str, ...] = ()
    missing: Missing = Missing.FAIL

    @classmethod
    def checked(
        cls, run_id: object, target: str | Iterable[str], failure: str | Iterable[str], missing: str
    ) -> RunWait:
        """
        Check what a user asked to wait for.

        :param run_id: the run.
        :param target: a status or several.
        :param failure: a status, several, or none.
        :param missing: ``fail`` or ``wait``.
        :raises TallyfyValidationError: naming the bad value and the valid ones.
        """
        targets = _statuses(target, "target_status")
        if not targets:
            raise TallyfyValidationError(
                "target_status names no status to wait for.", fields={"target_status": ["empty"]}
            )
        if missing not in [choice.value for choice in Missing]:
            raise TallyfyValidationError(
                f"missing={missing!r} is not known; use 'fail' or 'wait'.", fields={"missing": ["unknown"]}
            )
        return cls(
            run_id=checked_id(run_id),
            target=targets,
            failure=_statuses(failure, "failure_status"),
            missing=Missing(missing),
        )

    def outcome(self, run: Run | None) -> Outcome:
        """
        Judge a run. A status this package has never heard of keeps the wait waiting.

        :param run: the run as it is, or ``None`` if it does not exist.
        """
        if run is None:
            return Outcome.MISSING if self.missing is Missing.FAIL else Outcome.WAITING
        if any(run.has_status(status) for status in self.target):
            return Outcome.REACHED
        if any(run.has_status(status) for status in self.failure):
            return Outcome.FAILED
        return Outcome.WAITING


@dataclass(frozen=True)
class Ending:
    """
    How a wait ended. It travels from the triggerer to a worker as JSON, through Airflow's database.

    :param outcome: the kind of end.
    :param message: what happened, for the log.
    :param run: the run as :meth:`Run.describe` gives it, where it was seen.
    :param error: name of the class in ``api.errors`` that says why the wait broke.
    """

    outcome: Outcome
    message: str
    run: dict[str, Any] | None = None
    error: str | None = None

    def to_event(self) -> dict[str, Any]:
        """Reduce it to plain JSON types."""
        return {**asdict(self), "outcome": self.outcome.value}

    @classmethod
    def from_event(cls, event: object) -> Ending:
        """
        Read what a trigger sent.

        :param event: the trigger's payload.
        :raises TallyfyResponseError: if it is not one of the known endings; a wait never turns green on a guess.
        """
        try:
            ending = cls(**event)  # type: ignore[arg-type]
            return replace(ending, outcome=Outcome(ending.outcome))._checked()
        except (TypeError, ValueError):
            raise TallyfyResponseError(
                f"The wait ended with an event that this version of the provider does not know: {event!r}. "
                f"Do triggerer and workers run the same version?"
            ) from None

    def to_error(self) -> TallyfyError:
        """Make the error that ended the wait anew."""
        return self._error_class()(self.message)

    def _checked(self) -> Ending:
        if self.outcome is Outcome.WAITING or not isinstance(self.message, str):
            raise ValueError("no end of a wait")
        if self.outcome is Outcome.REACHED and not isinstance(self.run, dict):
            raise ValueError("the run that reached its status is not shown")
        self._error_class()
        return self

    def _error_class(self) -> type[TallyfyError]:
        kind = getattr(errors, self.error, None) if self.error else TallyfyError
        if not (isinstance(kind, type) and issubclass(kind, TallyfyError)):
            raise ValueError("no error of this package")
        return kind


class WaitLog:
    """
    Follows one wait: judges each look, bears with passing trouble, and tells changes, once each.

    :param wait: what it is for.
    :param run_url: address of the run in the web app.
    :param max_poll_failures: how many looks in a row may fail before the wait does; ``None`` for any number.
    :param tell: where a line for the task's log goes.
    """

    def __init__(self, wait: RunWait, run_url: str, max_poll_failures: int | None, tell: Callable[[str], None]) -> None:
        self._wait = wait
        self._run_url = run_url
        self._max_poll_failures = max_poll_failures
        self._tell = tell
        self._failures = 0
        self._last_told: object = None

    def saw(self, run: Run | None) -> Ending | None:
        """
        Judge a look at the run.

        :param run: the run, or ``None`` if it does not exist.
        :return: how the wait ends, or ``None`` if it goes on.
        """
        self._failures = 0
        outcome = self._wait.outcome(run)
        target = " or ".join(self._wait.target)
        if run is None:
            news = f"Run {self._wait.run_id} does not exist in Tallyfy"
        else:
            news = f"Run {run.id} ({run.name!r}) is {run.status}"
        self._tell_once(news, f"{news}; waiting for {target}." if outcome is Outcome.WAITING else f"{news}.")
        if outcome is Outcome.WAITING:
            return None
        return Ending(
            outcome,
            f"{news}; waited for {target}: {self._run_url}",
            run=None if run is None else run.describe(self._run_url),
            error=TallyfyNotFoundError.__name__ if outcome is Outcome.MISSING else None,
        )

    def stumbled(self, error: TallyfyError) -> Ending | None:
        """
        Judge a look that failed.

        :param error: why.
        :return: how the wait ends, or ``None`` if it goes on.
        """
        self._failures += 1
        patient = self._max_poll_failures is None or self._failures <= self._max_poll_failures
        if patient and not error.permanent:
            trouble = (type(error), error.status, error.code)  # each has another request id, and is the same trouble
            self._tell_once(trouble, f"Cannot see run {self._wait.run_id} at the moment, still waiting. {error}")
            return None
        again = f" Gave up after {self._failures} failed looks in a row." if not error.permanent else ""
        return Ending(Outcome.ERROR, f"{error}{again}", error=type(error).__name__)

    def _tell_once(self, news: object, line: str) -> None:
        if news != self._last_told:
            self._last_told = news
            self._tell(line)


class RunWatch:
    """
    Looks at one run again and again, remembering what makes the next look cheap.

    :param organization_id: the run's organization.
    :param run_id: the run.
    """

    def __init__(self, organization_id: str, run_id: str) -> None:
        self._organization_id = organization_id
        self._run_id = run_id
        self._known: Run | None = None
        self._search_archive = True

    def look(self) -> Flow[Run | None]:
        """
        Read the run, or find out that it does not exist.

        A run that was never seen is looked for among the archived ones once, not at every look: to get there,
        it would have to be live first.
        """
        try:
            run: Run | None = yield calls.get_run(self._organization_id, self._run_id)
        except TallyfyNotFoundError:
            run = None
            if self._search_archive:
                run = yield from find_archived_run(self._organization_id, self._run_id, self._known)
        self._known = run or self._known
        self._search_archive = self._known is not None
        return run


def _statuses(value: str | Iterable[str], name: str) -> tuple[str, ...]:
    given = (value,) if isinstance(value, str) else tuple(value or ())
    return tuple(dict.fromkeys(checked_status(status, name) for status in given))
