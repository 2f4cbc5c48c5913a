"""What a look means for a wait; an end travels from the triggerer to a worker."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.airflow_errors import AirflowFailException
from airflow_provider_tallyfy.api import errors
from airflow_provider_tallyfy.api.errors import PermanentTallyfyError, TallyfyError, TallyfyResponseError

if TYPE_CHECKING:
    from airflow_provider_tallyfy.waits.deadline import Deadline


class Outcome(StrEnum):
    """What a look means for the wait; all but ``WAITING`` end it."""

    WAITING = "waiting"
    REACHED = "reached"
    FAILED = "failed"
    MISSING = "missing"
    TIMED_OUT = "timed_out"
    ERROR = "error"


@dataclass(frozen=True)
class WaitResult:
    """
    How a wait ended, or stands. An end travels from the triggerer to a worker as JSON, through Airflow's database.

    :param message: what happened, for the log.
    :param result: what the task is to return; for a run what :meth:`Run.describe` gives.
    :param error: name of the class in ``api.errors`` that says why the wait ended.
    """

    outcome: Outcome
    message: str
    result: Any = None
    error: str | None = None

    @classmethod
    def of_error(cls, error: TallyfyError, more: str = "") -> WaitResult:
        """Give the end of a wait by an error."""
        return cls(Outcome.ERROR, f"{error}{more}", error=type(error).__name__)

    @classmethod
    def timed_out(cls, goal: str) -> WaitResult:
        """Give the end of a wait that took too long."""
        return cls(Outcome.TIMED_OUT, f"Timed out waiting for {goal}.")

    @classmethod
    def from_event(cls, event: object) -> WaitResult:
        """Read what a trigger sent; an unknown event is an error, because a wait never turns green on a guess."""
        try:
            result = cls(**event)  # type: ignore[arg-type]
            return replace(result, outcome=Outcome(result.outcome))._checked()
        except (TypeError, ValueError):
            raise TallyfyResponseError(
                f"The wait ended with an event that this version of the provider does not know: {event!r}.\n"
                f"Do triggerer and workers run the same version?"
            ) from None

    def to_event(self) -> dict[str, Any]:
        """Reduce it to plain JSON types."""
        return {**asdict(self), "outcome": self.outcome.value}

    def to_error(self) -> TallyfyError:
        """Give the error that ended the wait."""
        return self._error_class()(self.message)

    def finish(self, deadline: Deadline) -> Any:
        """End the task as the wait ended, in every mode alike: give the result, or raise."""
        if self.outcome is Outcome.REACHED:
            return self.result
        if self.outcome is Outcome.FAILED:
            raise AirflowFailException(self.message)
        if self.outcome is Outcome.TIMED_OUT:
            deadline.expire(self.message)
        raise self.to_error()

    def _checked(self) -> WaitResult:
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
