"""What is waited for, and when it is reached: the one judge for every mode that sensors and operators wait in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from airflow_provider_tallyfy.api.errors import TallyfyNotFoundError
from airflow_provider_tallyfy.api.inputs.checks import checked_id, checked_ids, checked_status, parse_list
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.api.outputs import RUN_FACTS, Fields, checked_fields, run_result, select_fields, shortened
from airflow_provider_tallyfy.waits import RESULT_FIELDS
from airflow_provider_tallyfy.waits.probes import Probe, RunProbe
from airflow_provider_tallyfy.waits.results import Outcome, WaitResult

#: The facts of each run that a wait for many can hand on.
KNOWN_FIELDS = (*RUN_FACTS, "changed", "outcome")


class Missing(StrEnum):
    """What to do about a run that does not exist."""

    FAIL = "fail"
    WAIT = "wait"


@dataclass(frozen=True, kw_only=True)
class Goal(ABC):
    """
    What is to become of a run, or of something that belongs to it.

    :param run_ids: the run; several in a :class:`RunsGoal` only.
    :param failure: statuses of a run that end the wait badly.
    :param missing: whether a run that does not exist fails the wait or is waited for.
    """

    run_ids: tuple[str, ...]
    failure: tuple[str, ...] = ()
    missing: Missing = Missing.FAIL

    @property
    def run_id(self) -> str:
        """The one run."""
        return self.run_ids[0]

    @property
    @abstractmethod
    def text(self) -> str:
        """What is waited for, in words that follow "waiting for"."""

    @abstractmethod
    def probe(self, organization_id: str, run_id: str) -> Probe:
        """Make what reads a run."""

    @abstractmethod
    def judge(self, seen: Any, run_url: str) -> WaitResult:
        """Judge what a look at a run showed, and put it into words."""

    def judge_absence(self, run_id: str) -> WaitResult:
        """Judge that a run does not exist."""
        message = f"Run {run_id} does not exist in Tallyfy"
        if self.missing is Missing.WAIT:
            return WaitResult(Outcome.WAITING, message)
        return WaitResult(Outcome.MISSING, message, error=TallyfyNotFoundError.__name__)


@dataclass(frozen=True, kw_only=True)
class RunGoal(Goal):
    """
    A run is to get into a status.

    :param target: statuses that end the wait well. They win over ``failure``.
    :param newer_than: ``last_updated`` of the run when the task last read it and went on waiting, as ISO text.
    """

    target: tuple[str, ...]
    newer_than: str | None = None

    @classmethod
    def checked(
        cls,
        run_id: object,
        target: str | Iterable[str],
        failure: str | Iterable[str],
        missing: str,
        newer_than: str | None = None,
    ) -> RunGoal:
        """Check what a user asked to wait for."""
        return RunGoal(
            run_ids=(checked_id(run_id),),
            target=_checked_target(target),
            failure=checked_statuses(failure, "failure_status"),
            missing=checked_missing(missing),
            newer_than=newer_than,
        )

    @property
    def text(self) -> str:
        """The run and its statuses."""
        return f"run {self.run_id} to be {self.state}"

    @property
    def state(self) -> str:
        """The statuses that end the wait well."""
        return " or ".join(self.target)

    def probe(self, organization_id: str, run_id: str) -> RunProbe:
        """Make what reads the run."""
        return RunProbe(organization_id, run_id, self.newer_than)

    def judge(self, seen: Run, run_url: str) -> WaitResult:
        """Judge the run. A status that this package does not know keeps the wait waiting."""
        outcome = Outcome.WAITING
        if any(map(seen.has_status, self.target)):
            outcome = Outcome.REACHED
        elif any(map(seen.has_status, self.failure)):
            outcome = Outcome.FAILED
        return WaitResult(outcome, state_of(seen, outcome), seen.describe(run_url))


@dataclass(frozen=True, kw_only=True)
class RunsGoal(RunGoal):
    """
    Many runs are to get into a status.

    :param wait_for: ``all``, or ``any`` for the first of them.
    :param fail_fast: whether, waiting for all, the first bad end ends the wait.
    :param fields: which facts of the runs are the result.
    :param is_for_xcom: whether that result has to be small, so that long names are cut.
    """

    wait_for: str
    fail_fast: bool
    fields: Fields
    is_for_xcom: bool

    @classmethod
    def for_runs(
        cls,
        run_ids: object,
        target: str | Iterable[str],
        failure: str | Iterable[str],
        missing: str,
        newer_than: str | None = None,
        *,
        wait_for: str,
        fail_fast: bool,
        fields: object = RESULT_FIELDS,
        is_for_xcom: bool = True,
    ) -> RunsGoal:
        """Check what a user asked to wait for: ids, or dicts with an ``id``, or text of such a list."""
        if isinstance(run_ids, str):
            given = parse_list(run_ids)
            run_ids = run_ids if given is None else given
        if isinstance(run_ids, str | bytes | Mapping) or not isinstance(run_ids, Iterable):
            raise invalid("run_ids", run_ids, "is not a list of ids")
        if wait_for not in ("all", "any"):
            raise invalid("wait_for", wait_for, "is neither 'all' nor 'any'")
        ids = checked_ids(run_ids)
        if not ids and wait_for == "any":
            raise invalid("run_ids", run_ids, "is empty", "A wait for any of no runs would never end.")
        return cls(
            run_ids=tuple(ids),
            target=_checked_target(target),
            failure=checked_statuses(failure, "failure_status"),
            missing=checked_missing(missing),
            newer_than=newer_than,
            wait_for=wait_for,
            fail_fast=fail_fast,
            fields=checked_fields(fields, KNOWN_FIELDS),
            is_for_xcom=is_for_xcom,
        )

    @property
    def text(self) -> str:
        """How many of how many runs, and their statuses."""
        return f"{self.wait_for} of {len(self.run_ids)} runs to be {self.state}"

    def facts(self, run_id: str, run: Run | None, run_url: str, outcome: str) -> Any:
        """Give what the result says of a run, as it was seen last, if it was."""
        facts: dict[str, Any] = {"id": run_id, "url": run_url, "changed": False}
        if run is not None:
            facts = dict(run_result(run, run_url))
            if self.is_for_xcom:
                facts["name"] = shortened(run.name)
        return select_fields(facts | {"outcome": str(outcome)}, self.fields)


def state_of(run: Run, outcome: Outcome) -> str:
    """Say what became of a run; while it is waited for, also how far it is."""
    progress = str(run.progress) if outcome is Outcome.WAITING else ""
    return f"Run {run.id} ({run.name!r}) is {run.status}" + (progress and f".\nProgress: {progress}")


def checked_missing(missing: str) -> Missing:
    """Check what to do about a run that does not exist."""
    if missing not in [choice.value for choice in Missing]:
        raise invalid("missing", missing, "is neither 'fail' nor 'wait'")
    return Missing(missing)


def _checked_target(target: str | Iterable[str]) -> tuple[str, ...]:
    targets = checked_statuses(target, "target_status")
    if not targets:
        raise invalid("target_status", target, "names no status to wait for")
    return targets


def checked_statuses(value: str | Iterable[str] | None, name: str) -> tuple[str, ...]:
    """Check one or several statuses; any text may be that of a list, as a template renders it."""
    is_several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    given: Iterable[Any] = () if value is None else value if is_several else (value,)
    return tuple(dict.fromkeys(checked_status(status, name) for each in given for status in _statuses_in(each)))


def _statuses_in(given: Any) -> list[Any]:
    items = parse_list(given) if isinstance(given, str) else None
    return [given] if items is None else items
