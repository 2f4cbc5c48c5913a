"""Waiting for people who approve or reject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_tallyfy.api.errors import TallyfyResponseError
from airflow_provider_tallyfy.api.inputs.checks import checked_id
from airflow_provider_tallyfy.api.models.records import Task
from airflow_provider_tallyfy.api.models.run import NEVER, RunStatus, format_time
from airflow_provider_tallyfy.waits.details import TaskGoal
from airflow_provider_tallyfy.waits.probes import ApprovalProbe, RunTasks
from airflow_provider_tallyfy.waits.results import Outcome, WaitResult


@dataclass(frozen=True, kw_only=True)
class ApprovalGoal(TaskGoal):
    """
    People are to approve or reject.

    :param name: what the approval is called; empty for a run that consists of approvals, one for each assignee.
    :param needs_all: whether everybody must approve, so that any rejection decides; otherwise the first one decides.
    :param least: how many approvals there are at least.
    :param skipped_means: whether an approval that a rule of the template skips is given or refused; ``None`` for a
        failure.
    """

    kind = "approval"

    needs_all: bool = False
    least: int = 1
    skipped_means: bool | None = None

    @classmethod
    def of(cls, run_id: object, name: str, **how: Any) -> ApprovalGoal:
        """Make the goal for a run."""
        return cls(
            run_ids=(checked_id(run_id),),
            name=name,
            failure=(RunStatus.ARCHIVED,),
            may_appear_later=not name,
            **how,
        )

    @property
    def text(self) -> str:
        """The run, and the approval if it is one of several tasks."""
        place = f"at {self.name!r} of" if self.name else "on"
        return f"the decision {place} run {self.run_id}"

    def probe(self, organization_id: str, run_id: str) -> ApprovalProbe:
        """Make what reads the decisions."""
        return ApprovalProbe(organization_id, run_id)

    def judge(self, seen: RunTasks, run_url: str) -> WaitResult:
        """Judge the decisions; the first one counts, or the last approval of all, so that every try judges alike."""
        tasks, run = self._approvals(seen.tasks), seen.run
        meant = {task.id: self.skipped_means if task.is_skipped else task.decision for task in tasks}
        if unclear := [task for task in tasks if task.is_undecided]:
            problem = "is done, but Tallyfy does not say whether it was approved or rejected"
            message = f"Task {unclear[0].title!r} of run {run.id} ({run.name!r}) {problem}"
            return WaitResult(Outcome.ERROR, message, error=TallyfyResponseError.__name__)
        skipped = [task for task in tasks if task.is_done and meant[task.id] is None]
        decided = [task for task in tasks if meant[task.id] is not None]
        decided.sort(key=lambda task: (task.completed_at or NEVER, meant[task.id], task.id))
        open_tasks = [task for task in tasks if not task.is_done]
        is_all_done = not open_tasks and len(tasks) >= self.least
        counted = decided[0] if decided else None
        if self.needs_all:
            approval = decided[-1] if decided and is_all_done and not skipped else None
            counted = next((task for task in decided if not meant[task.id]), approval)
        if counted is None:
            if skipped and (self.needs_all or is_all_done):
                problem = "was skipped by a rule of the template, so nobody decided"
                hint = "Give on_skipped if the DAG is to decide then"
                return WaitResult(Outcome.FAILED, f"Task {skipped[0].title!r} of run {run.id} {problem}.\n{hint}")
            return self._not_yet(run, f"There are {len(decided)} of {max(len(tasks), self.least)} decisions")
        is_approved = bool(meant[counted.id])
        result = {
            "approved": is_approved,
            "responded_at": format_time(counted.completed_at),
            "responder": counted.completer,
            "is_open": bool(open_tasks),
            "run_id": run.id,
            "url": run_url,
        }
        message = f"Run {run.id} ({run.name!r}) is {'approved' if is_approved else 'rejected'}"
        return WaitResult(Outcome.REACHED, message, result)

    def _approvals(self, tasks: Sequence[Task]) -> list[Task]:
        """Give the tasks that people decide at."""
        if not self.name:
            return [task for task in tasks if task.is_approval]
        named = self._only(tasks)
        return [named] if named else []
