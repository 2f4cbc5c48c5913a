"""When is a wait over, and how: the one answer for sensors, triggers and every mode they run in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from airflow_provider_tallyfy.api import errors
from airflow_provider_tallyfy.api.errors import (
    PermanentTallyfyError,
    TallyfyError,
    TallyfyNotFoundError,
    TallyfyResponseError,
)
from airflow_provider_tallyfy.api.inputs.checks import checked_count, checked_id, checked_status, list_in_text
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.waits.probes import RunWatch, Watch


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
class Verdict:
    """
    What a look comes to.

    :param outcome: how it leaves the wait.
    :param news: what was seen, for the log.
    :param result: what the task is to return if this ends it.
    """

    outcome: Outcome
    news: str
    result: Any = None


class Wait(Protocol):
    """What one wait is for, whatever it looks at."""

    @property
    def run_id(self) -> str:
        """The run that is looked at."""

    @property
    def goal(self) -> str:
        """What is waited for, in words."""

    def watch(self, organization_id: str, newer_than: str | None = None) -> Watch:
        """
        Make what looks.

        :param organization_id: the run's organization.
        :param newer_than: ``last_updated`` of the run when it was last read and the wait went on.
        """

    def judge(self, sight: Any, run_url: str) -> Verdict:
        """
        Judge a look.

        :param sight: what was seen.
        :param run_url: address of the run in the web app.
        """


@dataclass(frozen=True)
class RunWait:
    """
    A wait for a run to get into a status.

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
        targets = checked_statuses(target, "target_status")
        if not targets:
            raise invalid("target_status", target, "names no status to wait for")
        return cls(
            run_id=checked_id(run_id),
            target=targets,
            failure=checked_statuses(failure, "failure_status"),
            missing=checked_missing(missing),
        )

    @property
    def goal(self) -> str:
        """The statuses that end the wait well."""
        return " or ".join(self.target)

    def watch(self, organization_id: str, newer_than: str | None = None) -> RunWatch:
        """
        Make what looks at the run.

        :param organization_id: the run's organization.
        :param newer_than: ``last_updated`` of the run when it was last read and the wait went on.
        """
        return RunWatch(organization_id, self.run_id, newer_than)

    def judge(self, run: Run | None, run_url: str) -> Verdict:
        """
        Judge a look at the run and put it into words.

        :param run: the run, or ``None`` if it does not exist.
        :param run_url: its address in the web app.
        """
        outcome = self.outcome(run)
        if run is None:
            return Verdict(outcome, f"Run {self.run_id} does not exist in Tallyfy")
        progress = f" ({run.progress})" if outcome is Outcome.WAITING and str(run.progress) else ""
        return Verdict(outcome, f"Run {run.id} ({run.name!r}) is {run.status}{progress}", run.describe(run_url))

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
    :param result: what the task is to return; for a run what :meth:`Run.describe` gives.
    :param error: name of the class in ``api.errors`` that says why the wait broke.
    """

    outcome: Outcome
    message: str
    result: Any = None
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
        if self.outcome is Outcome.REACHED and self.result is None:
            raise ValueError("what was waited for is not shown")
        self._error_class()
        return self

    def _error_class(self) -> type[TallyfyError]:
        kind = getattr(errors, self.error, None) if self.error else PermanentTallyfyError
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
    :raises TallyfyValidationError: if ``max_poll_failures`` is no such number.
    """

    def __init__(self, wait: Wait, run_url: str, max_poll_failures: int | None, tell: Callable[[str], None]) -> None:
        self._wait = wait
        self._run_url = run_url
        self._max_poll_failures = checked_count(max_poll_failures, "max_poll_failures", least=0)
        self._tell = tell
        self._failures = 0
        self._last_told: object = None

    def saw(self, sight: Any) -> Ending | None:
        """
        Judge a look.

        :param sight: what was seen; for a :class:`RunWait` the run, or ``None`` if it does not exist.
        :return: how the wait ends, or ``None`` if it goes on.
        """
        self._failures = 0
        verdict = self._wait.judge(sight, self._run_url)
        if verdict.outcome is Outcome.WAITING:
            self._tell_once(verdict.news, f"{verdict.news}; waiting for {self._wait.goal}.")
            return None
        self._tell_once(verdict.news, f"{verdict.news}.")
        return Ending(
            verdict.outcome,
            f"{verdict.news}; waited for {self._wait.goal}: {self._run_url}",
            result=verdict.result,
            error=TallyfyNotFoundError.__name__ if verdict.outcome is Outcome.MISSING else None,
        )

    def stumbled(self, error: TallyfyError, grace: float = 0.0) -> Ending | None:
        """
        Judge a look that failed.

        :param error: why.
        :param grace: seconds that may pass before it ends the wait; it does not count as failed until then.
        :return: how the wait ends, or ``None`` if it goes on.
        """
        if grace:
            line = f"Cannot see run {self._wait.run_id} at the moment, still waiting. {refusal(error, grace)}"
            self._tell_once(kind_of_trouble(error), line)
            return None
        self._failures += 1
        patient = self._max_poll_failures is None or self._failures <= self._max_poll_failures
        if patient and not error.permanent:
            line = f"Cannot see run {self._wait.run_id} at the moment, still waiting. {error}"
            self._tell_once(kind_of_trouble(error), line)
            return None
        again = f" Gave up after {self._failures} failed looks in a row." if not error.permanent else ""
        return Ending(Outcome.ERROR, f"{error}{again}", error=type(error).__name__)

    def _tell_once(self, news: object, line: str) -> None:
        if news != self._last_told:
            self._last_told = news
            self._tell(line)


def kind_of_trouble(error: TallyfyError) -> object:
    """
    Tell trouble from other trouble: each answer has another request id, and may be of the same trouble.

    :param error: why a look failed.
    """
    return type(error), error.status, error.code


def refusal(error: TallyfyError, grace: float) -> str:
    """
    Say how long a wait goes on although Tallyfy refuses the credentials.

    :param error: Tallyfy's answer.
    :param grace: seconds.
    """
    return f"It fails after {grace:.0f} s; renew the token in the Airflow connection by then. {error}"


def checked_missing(missing: str) -> Missing:
    """
    Check what to do about a run that does not exist.

    :param missing: ``fail`` or ``wait``.
    :raises TallyfyValidationError: if it is neither.
    """
    if missing not in [choice.value for choice in Missing]:
        raise invalid("missing", missing, "is neither 'fail' nor 'wait'")
    return Missing(missing)


def checked_statuses(value: str | Iterable[str] | None, name: str) -> tuple[str, ...]:
    """
    Check one or several statuses.

    :param value: a status, several, or none; any text may be that of a list, as a template renders it.
    :param name: name of the parameter, for the message.
    :raises TallyfyValidationError: naming the bad one and the valid ones.
    """
    is_several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    given: Iterable[Any] = () if value is None else value if is_several else (value,)
    return tuple(dict.fromkeys(checked_status(status, name) for each in given for status in _statuses_in(each)))


def _statuses_in(given: Any) -> list[Any]:
    items = list_in_text(given) if isinstance(given, str) else None
    return [given] if items is None else items
