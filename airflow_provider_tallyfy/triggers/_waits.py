"""Triggers: waits that cost no worker while people work."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyResponseError
from airflow_provider_tallyfy.connection_extras import DEFAULT_TIMEOUT
from airflow_provider_tallyfy.triggers._base import PUBLIC_MODULE, serialized
from airflow_provider_tallyfy.waits import RESULT_FIELDS
from airflow_provider_tallyfy.waits.approvals import ApprovalGoal
from airflow_provider_tallyfy.waits.details import FormFieldGoal, TaskGoal
from airflow_provider_tallyfy.waits.goals import Goal, RunGoal, RunsGoal
from airflow_provider_tallyfy.waits.probes import Key
from airflow_provider_tallyfy.waits.progress import WaitProgress
from airflow_provider_tallyfy.waits.results import Outcome, WaitResult
from airflow_provider_tallyfy.waits.watcher import Subscription, Watcher, watching

# A pause may begin with any answer, and nothing announces it.
_RECONSIDER = 0.5
# Airflow <= 3.3.2 fails a task whose deferral ends before the scheduler has read that its worker ended.
_EARLIEST_EVENT = 5.0


@dataclass(kw_only=True, eq=False, repr=False)
class TallyfyWaitTrigger(BaseTrigger):
    """
    Base of the triggers that wait.

    Everything a trigger needs is in its arguments, which Airflow stores as they are: ids and times, never a token. The
    deadline is a moment, not a duration, so a restarted triggerer keeps it.
    """

    organization_id: str | None
    tallyfy_conn_id: str
    poll_interval: float
    max_poll_interval: float | None = None
    deadline: float | None = None
    max_poll_failures: int | None = None
    end_task: bool = False

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, for the database."""
        return serialized(self)

    @abstractmethod
    def _goal(self) -> Goal:
        """Check the arguments, and give what is waited for."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """
        Wait, then fire one event: the result of the wait, or the end of the task.

        The event comes five seconds after the beginning at the earliest, when Airflow can take it.
        """
        loop = asyncio.get_running_loop()
        # dag.test() numbers no triggers; where no worker deferred the task there is no deadline.
        follows_a_worker = self.trigger_id is not None and self.deadline is not None
        earliest = loop.time() + (_EARLIEST_EVENT if follows_a_worker else 0.0)
        left = self._seconds_left()
        limit = asyncio.timeout(None if left is None else max(left, DEFAULT_TIMEOUT))  # it may be over already
        text = type(self).__name__
        try:
            goal = self._goal()
            text = goal.text
            async with limit, watching(self.tallyfy_conn_id, self.organization_id, self._log_line) as watcher:
                limit.reschedule(None)  # from here on the deadline is the time of a last look
                result = await self._watch(watcher, goal) or WaitResult.timed_out(text)
        except TallyfyError as error:
            result = WaitResult.of_error(error)
        except Exception as defect:
            result = WaitResult.timed_out(text)
            if not limit.expired():
                self.log.exception("The wait for %s broke off.", text)
                result = WaitResult(
                    Outcome.ERROR,
                    f"The wait for {text} broke off: {type(defect).__name__}.\nThe triggerer's log has details.",
                    error=TallyfyResponseError.__name__,
                )
        self._log_line(result.message)
        await asyncio.sleep(earliest - loop.time())
        if self.end_task and result.outcome is Outcome.REACHED:
            from airflow.triggers.base import TaskSuccessEvent

            end = TaskSuccessEvent()
            end.payload = result.to_event()  # dag.test() ends no task from a trigger: it resumes it with this
            yield end
        else:
            yield TriggerEvent(result.to_event())

    def _log_line(self, line: str) -> None:
        self.log.info("%s", line)

    async def _watch(self, watcher: Watcher, goal: Goal) -> WaitResult | None:
        """Look until the wait or its time is over; give how it ends, or ``None`` if it takes too long."""
        progress = WaitProgress(goal, watcher.organization_id, watcher.run_url, self.max_poll_failures, self._log_line)
        schedule = (self.poll_interval, self.max_poll_interval, progress.accept)
        with watcher.subscribe(progress.probes, *schedule) as subscription:
            try:
                async with asyncio.timeout(self._seconds_left()):
                    while True:
                        subscription.wants_all = progress.is_name_open
                        await subscription.updates()  # which progress has judged
                        result = progress.result()
                        if result is None and progress.may_be_misspelt:
                            result = await watcher.ask(progress.check_name(asyncio.get_running_loop().time()))
                        if result is not None:
                            return result
                        watcher.leave(subscription, progress.done)
            except TimeoutError:
                pass
            # The deadline may have passed while no triggerer ran: end with what is there now.
            until = asyncio.get_running_loop().time() + watcher.timeout
            if watcher.paused_until >= until:
                return await self._look_regardless(watcher, progress)
            absent = progress.absent
            watcher.leave(subscription, {probe.key for probe in absent})
            watcher.look_now(subscription)
            with watcher.subscribe([probe.fresh() for probe in absent], *schedule) as search:
                return await self._look_in_turn(watcher, [subscription, search], progress, until)

    async def _look_regardless(self, watcher: Watcher, progress: WaitProgress) -> WaitResult | None:
        """Look although Tallyfy asked for a pause."""
        try:
            async with asyncio.timeout(watcher.timeout):
                await watcher.ask(progress.read(is_last=True))
        except (TallyfyError, TimeoutError) as error:
            self._log_line(f"The last look failed.\n{error}")
            return None
        return progress.result()

    async def _look_in_turn(
        self, watcher: Watcher, subscriptions: list[Subscription], progress: WaitProgress, until: float
    ) -> WaitResult | None:
        for subscription in subscriptions:
            to_be_seen = {probe.key for probe in subscription.probes}
            while to_be_seen:
                updates = await _updates(watcher, subscription, until)
                if updates is None:
                    return None
                result = progress.result()
                if result is not None:
                    return result
                to_be_seen -= updates
        return None

    def _seconds_left(self) -> float | None:
        return None if self.deadline is None else max(0.0, self.deadline - time.time())


async def _updates(watcher: Watcher, subscription: Subscription, until: float) -> Set[Key] | None:
    """Wait until some moment for what is seen next; ``None`` if it is clear that no request will be sent before."""
    while True:
        try:
            async with asyncio.timeout(_RECONSIDER):  # an answer may still be on its way when a pause begins
                return (await subscription.updates()).keys()
        except TimeoutError:
            if max(asyncio.get_running_loop().time(), watcher.paused_until) >= until:
                return None


@dataclass(kw_only=True, eq=False, repr=False)
class TallyfyRunStatusTrigger(TallyfyWaitTrigger):
    """
    Waits until a run reaches a status.

    :param run_id: the run.
    :param target_status: statuses that end the wait well.
    :param failure_status: statuses that end it badly.
    :param missing: ``"fail"`` (default) if the run does not exist, or ``"wait"`` for it to appear.
    :param newer_than: the run's ``last_updated`` when the task last read it and went on waiting, as ISO text. A list
        that shows the run in another state later than this is believed, which saves a request. Default: ``None``.
    :param organization_id: the organization; ``None`` for the connection's.
    :param tallyfy_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; a tenth of it is jitter.
    :param max_poll_interval: doubles the interval after each look up to this many seconds. By default it is
        constant.
    :param deadline: when to stop waiting, in seconds since the epoch; ``None`` (default) for never.
    :param max_poll_failures: how many looks in a row may fail; ``None`` (default) for any number.
    :param end_task: on success end the task right here, without a worker and so without a result. Default: ``False``.
    """

    run_id: str
    target_status: list[str]
    failure_status: list[str]
    missing: str = "fail"
    newer_than: str | None = None

    def _goal(self) -> Goal:
        return RunGoal.checked(self.run_id, self.target_status, self.failure_status, self.missing, self.newer_than)


@dataclass(kw_only=True, eq=False, repr=False)
class TallyfyRunsStatusTrigger(TallyfyWaitTrigger):
    """
    Waits until all or any of many runs reach a status.

    :param run_ids: the runs.
    :param target_status: statuses that end the wait for a run well.
    :param failure_status: statuses that end it badly.
    :param missing: ``"fail"`` (default) if a run does not exist, or ``"wait"`` for it to appear.
    :param wait_for: ``"all"`` (default), or ``"any"`` for the first run that ends well.
    :param fail_fast: whether, waiting for all, the first bad end ends the wait. Default: ``True``.
    :param newer_than: the latest ``last_updated`` of all runs when the task last read them, as ISO text; ``None``
        (default) if it could not read one of them.
    :param fields: which facts of each run its event has: one name for a flat list, or several for dicts. Default:
        ``id``, ``name``, ``status``, ``archived_at``, ``completed_at``, ``url``, ``changed`` and ``outcome``.
    :param organization_id: the organization; ``None`` for the connection's.
    :param tallyfy_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; a tenth of it is jitter.
    :param max_poll_interval: doubles the interval after each look up to this many seconds. By default it is
        constant.
    :param deadline: when to stop waiting, in seconds since the epoch; ``None`` (default) for never.
    :param max_poll_failures: how many looks in a row may fail; ``None`` (default) for any number.
    :param end_task: on success end the task right here, without a worker and so without a result. Default: ``False``.
    """

    run_ids: list[str]
    target_status: list[str]
    failure_status: list[str]
    missing: str = "fail"
    wait_for: str = "all"
    fail_fast: bool = True
    newer_than: str | None = None
    fields: str | Sequence[str] = RESULT_FIELDS

    def __post_init__(self) -> None:
        super().__post_init__()
        self.fields = self.fields if isinstance(self.fields, str) else list(self.fields)

    def _goal(self) -> Goal:
        return RunsGoal.for_runs(
            self.run_ids,
            self.target_status,
            self.failure_status,
            self.missing,
            self.newer_than,
            wait_for=self.wait_for,
            fail_fast=self.fail_fast,
            fields=self.fields,
        )


@dataclass(kw_only=True, eq=False, repr=False)
class TallyfyTaskTrigger(TallyfyWaitTrigger):
    """
    Waits until a task of a run is done.

    :param run_id: the run.
    :param task_name: id, alias or title of the task.
    :param target: ``"done"`` (default), or ``"turn"``: all tasks before it are done.
    :param failure_status: statuses of the run that end the wait badly.
    :param missing: ``"fail"`` (default) if the run does not exist, or ``"wait"`` for it to appear.
    :param may_appear_later: wait on for a name that neither the run nor its template knows. Default: ``False``.
    :param organization_id: the organization; ``None`` for the connection's.
    :param tallyfy_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; a tenth of it is jitter.
    :param max_poll_interval: doubles the interval after each look up to this many seconds. By default it is
        constant.
    :param deadline: when to stop waiting, in seconds since the epoch; ``None`` (default) for never.
    :param max_poll_failures: how many looks in a row may fail; ``None`` (default) for any number.
    :param end_task: on success end the task right here, without a worker and so without a result. Default: ``False``.
    """

    run_id: str
    task_name: str
    failure_status: list[str]
    target: str = "done"
    missing: str = "fail"
    may_appear_later: bool = False

    def _goal(self) -> Goal:
        return TaskGoal.checked(
            self.run_id,
            self.task_name,
            self.failure_status,
            self.missing,
            target=self.target,
            may_appear_later=self.may_appear_later,
        )


@dataclass(kw_only=True, eq=False, repr=False)
class TallyfyApprovalTrigger(TallyfyWaitTrigger):
    """
    Waits until people have approved or rejected.

    :param run_id: the run.
    :param approval_task: id, alias or title of the approval; empty for a run that consists of approvals.
    :param needs_all: whether everybody must approve. Otherwise the first decision counts. Default: ``False``.
    :param least: how many approvals there are at least. Default: ``1``.
    :param skipped_means: whether an approval that a rule of the template skips is given or refused; ``None`` (default)
        for a failure.
    :param organization_id: the organization; ``None`` for the connection's.
    :param tallyfy_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; a tenth of it is jitter.
    :param max_poll_interval: doubles the interval after each look up to this many seconds. By default it is
        constant.
    :param deadline: when to stop waiting, in seconds since the epoch; ``None`` (default) for never.
    :param max_poll_failures: how many looks in a row may fail; ``None`` (default) for any number.
    :param end_task: on success end the task right here, without a worker and so without a result. Default: ``False``.
    """

    run_id: str
    approval_task: str
    needs_all: bool = False
    least: int = 1
    skipped_means: bool | None = None

    def _goal(self) -> Goal:
        return ApprovalGoal.of(
            self.run_id,
            self.approval_task,
            needs_all=self.needs_all,
            least=self.least,
            skipped_means=self.skipped_means,
        )


@dataclass(kw_only=True, eq=False, repr=False)
class TallyfyFormFieldTrigger(TallyfyWaitTrigger):
    """
    Waits until a form field of a run has a value.

    :param run_id: the run.
    :param field: id, alias or label of the field.
    :param values: values that end the wait; an empty list for any.
    :param failure_status: statuses of the run that end the wait badly.
    :param missing: ``"fail"`` (default) if the run does not exist, or ``"wait"`` for it to appear.
    :param may_appear_later: wait on for a name that neither the run nor its template knows. Default: ``False``.
    :param organization_id: the organization; ``None`` for the connection's.
    :param tallyfy_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; a tenth of it is jitter.
    :param max_poll_interval: doubles the interval after each look up to this many seconds. By default it is
        constant.
    :param deadline: when to stop waiting, in seconds since the epoch; ``None`` (default) for never.
    :param max_poll_failures: how many looks in a row may fail; ``None`` (default) for any number.
    :param end_task: on success end the task right here, without a worker and so without a result. Default: ``False``.
    """

    run_id: str
    field: str
    values: list[str]
    failure_status: list[str]
    missing: str = "fail"
    may_appear_later: bool = False

    def _goal(self) -> Goal:
        return FormFieldGoal.checked(
            self.run_id,
            self.field,
            self.values or None,
            self.failure_status,
            self.missing,
            may_appear_later=self.may_appear_later,
        )


def trigger_for(
    goal: RunGoal | TaskGoal | FormFieldGoal, newer_than: str | None, **settings: Any
) -> TallyfyWaitTrigger:
    """Make the trigger that continues a wait; ``settings`` are the arguments that all triggers take."""
    if isinstance(goal, ApprovalGoal):
        return TallyfyApprovalTrigger(
            run_id=goal.run_id,
            approval_task=goal.name,
            needs_all=goal.needs_all,
            least=goal.least,
            skipped_means=goal.skipped_means,
            **settings,
        )
    settings |= {"failure_status": list(goal.failure), "missing": goal.missing.value}
    if isinstance(goal, RunsGoal):
        return TallyfyRunsStatusTrigger(
            run_ids=list(goal.run_ids),
            target_status=list(goal.target),
            wait_for=goal.wait_for,
            fail_fast=goal.fail_fast,
            newer_than=newer_than,
            fields=goal.fields if goal.is_for_xcom else "outcome",  # for a file the runs are read once more
            **settings,
        )
    settings["run_id"] = goal.run_id
    if isinstance(goal, RunGoal):
        return TallyfyRunStatusTrigger(target_status=list(goal.target), newer_than=newer_than, **settings)
    settings["may_appear_later"] = goal.may_appear_later
    if isinstance(goal, TaskGoal):
        return TallyfyTaskTrigger(task_name=goal.name, target=goal.target, **settings)
    return TallyfyFormFieldTrigger(field=goal.name, values=list(goal.values), **settings)


for _trigger in (
    TallyfyApprovalTrigger,
    TallyfyFormFieldTrigger,
    TallyfyRunStatusTrigger,
    TallyfyRunsStatusTrigger,
    TallyfyTaskTrigger,
):
    _trigger.__module__ = PUBLIC_MODULE
