"""A bulk job from the checkpoint of earlier tries to the XComs and the error at the end: the door to this room."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from itertools import chain
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.api.call import Call
from airflow_provider_tallyfy.bulk.action import BulkAction
from airflow_provider_tallyfy.bulk.executor import BulkExecutor
from airflow_provider_tallyfy.bulk.loop_thread import LoopThread
from airflow_provider_tallyfy.bulk.outcomes import Outcome, State
from airflow_provider_tallyfy.bulk.summary import Progress, check_size, error_of, result_of
from airflow_provider_tallyfy.files.checkpoint import Checkpoint
from airflow_provider_tallyfy.files.report import Report

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

_SECONDS_BETWEEN_LINES = 5.0
_TICK = 0.2
# Airflow >= 3 kills a task's process five seconds after it asked it to end.
GRACE_SECONDS = 3.0
# The result of a dry run has the requests of this many runs; the log has all of them.
_MAX_PLANNED = 20


class BulkJob:
    """
    Carries out an action on many runs, in one try of a task, or for a command.

    :param purpose: what tells this job from others of the same task, in plain JSON types.
    :param max_failures: how many runs may fail, and whether that is a share of all in percent; ``None`` for any number.
    :param describe_plan: makes the result of a dry run, of its requests and of how many of them it may show; ``None``
        if it is no dry run.
    :param on_outcome: called with what became of each run, as a line of the report, when it is known.
    """

    def __init__(
        self,
        action: BulkAction[Any],
        hook: TallyfyHook,
        *,
        purpose: Any,
        concurrency: int,
        max_failures: tuple[int, bool] | None,
        fail_on_errors: bool,
        report_path: str | None,
        max_xcom_bytes: int,
        push_xcoms: bool,
        describe_plan: Callable[[Sequence[Call[Any]], int], dict[str, Any]] | None,
        log: Any,
        on_outcome: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self._action = action
        self._hook = hook
        self._purpose = purpose
        self._concurrency = concurrency
        self._max_failures = max_failures
        self._fail_on_errors = fail_on_errors
        self._earlier_report_path = report_path
        # A dry run would replace the report of what was really done.
        self._report_path = None if describe_plan else report_path
        self._max_xcom_bytes = max_xcom_bytes
        self._push_xcoms = push_xcoms
        self._describe_plan = describe_plan
        self.log = log
        self._on_outcome = on_outcome
        self._executor: BulkExecutor[Any] | None = None
        self._killed_by = ""

    def kill(self, reason: str = "the task was killed") -> None:
        """Begin no further run; :meth:`run` ends in good order. May be called at any time, by signal handlers too."""
        self._killed_by = reason
        if self._executor is not None:
            self._executor.kill(reason)

    @property
    def counts(self) -> dict[str, int]:
        """How many runs there are by what became of them, and in total; nothing before the first is begun."""
        return self._executor.tally.describe() if self._executor else {}

    def run(self, context: Any) -> dict[str, Any]:
        """Do it to all runs, and push and return the result; ``context`` is ``None`` outside of a task."""
        checkpoint = Checkpoint(
            context,
            self._purpose,
            self._earlier_report_path,
            changed_states=(State.CHANGED, State.UNKNOWN),
            failed_states=(State.FAILED,),
        )
        previous = checkpoint.load()
        with LoopThread(self._hook) as loop:
            self._action.load(loop, previous, self._concurrency)
            if self._push_xcoms:
                check_size(self._action, self._earlier_report_path, self._max_xcom_bytes)
            if not self._describe_plan:
                checkpoint.save(previous.intended.union(self._action.intended))
            self._executor = executor = BulkExecutor(
                self._action,
                loop.hook,
                concurrency=self._concurrency,
                max_failures=self._most_failures(),
                is_dry_run=self._describe_plan is not None,
            )
            if self._killed_by:
                self.kill(self._killed_by)
            return self._execute(context, loop, executor, checkpoint)

    def _execute(
        self, context: Any, loop: LoopThread, executor: BulkExecutor[Any], checkpoint: Checkpoint
    ) -> dict[str, Any]:
        progress = Progress(self._action, executor)
        logged = time.monotonic()

        def log_progress() -> None:
            nonlocal logged
            if time.monotonic() - logged >= _SECONDS_BETWEEN_LINES:
                logged = time.monotonic()
                self.log.info("%s", progress.line())

        def write(outcome: Outcome) -> None:
            name = self._action.names.get(outcome.run_id or "")
            line = outcome.describe(self._run_url) | ({"name": name} if name else {})
            report.write(line)
            if self._on_outcome:
                self._on_outcome(line)

        if self._describe_plan and self._earlier_report_path:
            self.log.info("Dry run, no report is written: %s stays as it is.", self._earlier_report_path)
        try:
            with Report(self._report_path, checkpoint.job, is_complete=lambda: executor.is_complete) as report:
                _supervise(loop, executor, write, log_progress)
        except BaseException:
            self._hand_on_if_possible(context, executor, checkpoint)
            raise
        self.log.info("%s", progress.line())
        result = self._hand_on(context, executor, checkpoint)
        error = error_of(self._action, executor, self._report_path)
        if error is not None:
            self.log.error("%s", error)
            if executor.stopped or self._fail_on_errors:
                raise executor.error or error
        return result

    def _hand_on(self, context: Any, executor: BulkExecutor[Any], checkpoint: Checkpoint) -> dict[str, Any]:
        """Save what was changed, and push and return the result."""
        tally = executor.tally
        if executor.ended.is_set() and not self._describe_plan:
            if tally.counts[State.UNKNOWN] or executor.is_unverified:
                checkpoint.add({*tally.changed, *tally.unknown})
            else:
                checkpoint.save(tally.changed)  # instead of what it set out to change
        result = result_of(tally, self._report_path, self._max_xcom_bytes)
        if self._describe_plan:
            shown = sum(map(len, executor.planned[:_MAX_PLANNED]))
            result |= self._describe_plan(list(chain.from_iterable(executor.planned)), shown)
        if self._push_xcoms:
            further = self._action.further_results(tally, self._report_path, self._max_xcom_bytes)
            for key, value in (result | further).items():
                context["ti"].xcom_push(key=key, value=value)
        return result

    def _hand_on_if_possible(self, context: Any, executor: BulkExecutor[Any], checkpoint: Checkpoint) -> None:
        """Do the same while the task is being ended, when Airflow may not listen any more."""
        try:
            self._hand_on(context, executor, checkpoint)
        except Exception:
            self.log.warning("The result could not be handed on to Airflow any more.", exc_info=True)

    def _most_failures(self) -> int | None:
        if self._max_failures is None:
            return None
        number, is_share = self._max_failures
        return number * self._action.total // 100 if is_share else number

    def _run_url(self, run_id: str) -> str:
        return self._hook.settings.run_url(self._action.organization_id, run_id)


def _supervise(
    loop: LoopThread, executor: BulkExecutor[Any], on_outcome: Callable[[Outcome], None], on_tick: Callable[[], None]
) -> None:
    """Run an executor to its end, whatever is raised in this thread meanwhile, as signals and timeouts are."""
    future = loop.submit(executor.run())
    try:
        _attend(executor, future, on_outcome, on_tick)
    except BaseException as interruption:
        executor.kill(f"the task was ended by {type(interruption).__name__}")
        _attend(executor, future, on_outcome, on_tick)
        raise


def _attend(
    executor: BulkExecutor[Any],
    future: Future[None],
    on_outcome: Callable[[Outcome], None],
    on_tick: Callable[[], None],
) -> None:
    """Pass on outcomes to the last. Once the job is killed, requests on their way have a moment before they end."""
    deadline = math.inf
    has_ended = False  # outcomes from before the first request are passed on without a wait for more
    while True:
        while not executor.outcomes.empty():
            on_outcome(executor.outcomes.get())
        on_tick()
        if has_ended:
            return
        if executor.is_killed:
            deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
        if time.monotonic() > deadline:
            future.cancel()
        has_ended = executor.ended.wait(_TICK)
