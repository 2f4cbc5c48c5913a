"""What is waited for, and when it is reached: the one judge for every mode that sensors and operators wait in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from airflow_provider_tallyfy.api.inputs.checks import checked_id, checked_ids, checked_status, parse_list
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.api.outputs import RUN_FACTS, Fields, checked_fields
from airflow_provider_tallyfy.waits import RESULT_FIELDS
from airflow_provider_tallyfy.waits.probes import Probe, RunProbe
from airflow_provider_tallyfy.waits.results import Outcome

#: The facts of each run that a wait for many can hand on.
KNOWN_FIELDS = (*RUN_FACTS, "changed", "outcome")


class Missing(StrEnum):
    """What to do about a run that does not exist."""

    FAIL = "fail"
    WAIT = "wait"


@dataclass(frozen=True)
class Verdict:
    """What a look comes to: how it leaves the wait, what was seen, and the task's result if this ends it."""

    outcome: Outcome
    description: str
    result: Any = None


@dataclass(frozen=True, kw_only=True)
class Goal(ABC):
    """
    What is to become of one run, or of something that belongs to it.

    :param failure: statuses of the run that end the wait badly.
    :param missing: whether a run that does not exist fails the wait or is waited for.
    """

    run_id: str
    failure: tuple[str, ...] = ()
    missing: Missing = Missing.FAIL

    @property
    @abstractmethod
    def text(self) -> str:
        """What is waited for, in words that follow "waiting for"."""

    @abstractmethod
    def probe(self, organization_id: str, newer_than: str | None = None) -> Probe:
        """Make what reads the run; ``newer_than`` is its ``last_updated`` when the wait last went on."""

    @abstractmethod
    def judge(self, seen: Any, run_url: str) -> Verdict:
        """Judge what a look showed, which is ``None`` if the run does not exist."""

    def _absence(self) -> Verdict:
        outcome = Outcome.MISSING if self.missing is Missing.FAIL else Outcome.WAITING
        return Verdict(outcome, f"Run {self.run_id} does not exist in Tallyfy")


@dataclass(frozen=True, kw_only=True)
class RunGoal(Goal):
    """
    A run is to get into a status.

    :param target: statuses that end the wait well. They win over ``failure``.
    """

    target: tuple[str, ...]

    @classmethod
    def checked(
        cls, run_id: object, target: str | Iterable[str], failure: str | Iterable[str], missing: str
    ) -> RunGoal:
        """
        Check what a user asked to wait for.

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
    def text(self) -> str:
        """The run and its statuses."""
        return f"run {self.run_id} to be {self.state}"

    @property
    def state(self) -> str:
        """The statuses that end the wait well."""
        return " or ".join(self.target)

    def probe(self, organization_id: str, newer_than: str | None = None) -> RunProbe:
        """Make what reads the run."""
        return RunProbe(organization_id, self.run_id, newer_than)

    def judge(self, seen: Run | None, run_url: str) -> Verdict:
        """Judge the run. A status that this package does not know keeps the wait waiting."""
        if seen is None:
            return self._absence()
        outcome = Outcome.WAITING
        if any(map(seen.has_status, self.target)):
            outcome = Outcome.REACHED
        elif any(map(seen.has_status, self.failure)):
            outcome = Outcome.FAILED
        progress = f" ({seen.progress})" if outcome is Outcome.WAITING and str(seen.progress) else ""
        description = f"Run {seen.id} ({seen.name!r}) is {seen.status}{progress}"
        return Verdict(outcome, description, seen.describe(run_url))


@dataclass(frozen=True)
class Wait:
    """
    What a task waits for: one goal, or the same goal for many runs.

    :param goals: for one run each; one by default.
    :param state: for many runs: the statuses that end the wait for a run well.
    :param wait_for: ``one``, or of many ``all``, or ``any`` for the first of them.
    :param fail_fast: whether, waiting for all, the first bad end ends the wait.
    :param fields: which facts of many runs are the result.
    :param is_for_xcom: whether that result has to be small, so that long names are cut.
    """

    goals: tuple[Goal, ...]
    state: str = ""
    wait_for: str = "one"
    fail_fast: bool = True
    fields: Fields = RESULT_FIELDS
    is_for_xcom: bool = True

    @classmethod
    def for_runs(
        cls,
        run_ids: object,
        target: str | Iterable[str],
        failure: str | Iterable[str],
        missing: str,
        *,
        wait_for: str,
        fail_fast: bool,
        fields: object = RESULT_FIELDS,
        is_for_xcom: bool = True,
    ) -> Wait:
        """
        Check what a user asked to wait for.

        :param run_ids: ids, or dicts with an ``id``, or text of such a list; for ``all`` there may be no run.
        :raises TallyfyValidationError: naming the bad value and the valid ones.
        """
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
        pattern = RunGoal.checked("any", target, failure, missing)
        goals = tuple(replace(pattern, run_id=run_id) for run_id in ids)
        return cls(goals, pattern.state, wait_for, fail_fast, checked_fields(fields, KNOWN_FIELDS), is_for_xcom)

    @property
    def is_for_one(self) -> bool:
        """Whether the result is that of its one goal, not a list."""
        return self.wait_for == "one"

    @property
    def text(self) -> str:
        """What is waited for, in words that follow "waiting for"."""
        if self.is_for_one:
            return self.goals[0].text
        return f"{self.wait_for} of {len(self.goals)} runs to be {self.state}"


def checked_missing(missing: str) -> Missing:
    """
    Check what to do about a run that does not exist.

    :raises TallyfyValidationError: if it is neither ``fail`` nor ``wait``.
    """
    if missing not in [choice.value for choice in Missing]:
        raise invalid("missing", missing, "is neither 'fail' nor 'wait'")
    return Missing(missing)


def checked_statuses(value: str | Iterable[str] | None, name: str) -> tuple[str, ...]:
    """
    Check one or several statuses; any text may be that of a list, as a template renders it.

    :raises TallyfyValidationError: naming the bad one and the valid ones.
    """
    is_several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    given: Iterable[Any] = () if value is None else value if is_several else (value,)
    return tuple(dict.fromkeys(checked_status(status, name) for each in given for status in _statuses_in(each)))


def _statuses_in(given: Any) -> list[Any]:
    items = parse_list(given) if isinstance(given, str) else None
    return [given] if items is None else items
