"""What the bulk operators have in common."""

from __future__ import annotations

import os
import re
import time
from abc import abstractmethod
from collections.abc import Sequence
from itertools import chain
from typing import Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.api.inputs.checks import checked_count, checked_flag
from airflow_provider_tallyfy.api.inputs.numbers import text_of
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.bulk.action import Work
from airflow_provider_tallyfy.bulk.executor import Job
from airflow_provider_tallyfy.bulk.loop_thread import Crew
from airflow_provider_tallyfy.bulk.results import State
from airflow_provider_tallyfy.bulk.summary import Progress, check_size, error_of, result_of
from airflow_provider_tallyfy.defaults import MOST_XCOM_BYTES
from airflow_provider_tallyfy.files.checkpoint import Checkpoint, PreviousAttempts
from airflow_provider_tallyfy.files.report import Report
from airflow_provider_tallyfy.files.storage import (
    checked_path_if_given,
    checked_xcom_bytes,
    is_same_file,
)
from airflow_provider_tallyfy.operators._base import TallyfyWriteOperator

_SECONDS_BETWEEN_LINES = 5.0
_MOST_CONCURRENT = 32
# So many runs' requests a dry run hands on; the log has all of them.
_MOST_PLANNED = 20
_KILLED = "the task was killed"


class TallyfyBulkOperator(TallyfyWriteOperator):
    """
    Base of the operators that do the same to many runs.

    The result is ``{"counts", "changed", "failures"}``, with ``report_path`` if it is given. Each is an XCom as well,
    pushed even if the task fails. ``changed`` holds the ids of the runs that the task changed, in all of its tries, so
    ``run_ids=restore.output["changed"]`` undoes a restore.

    A task succeeds if every run is in the requested state. Otherwise it goes on to the last run and fails: with
    ``TallyfyBulkError``, so that a retry continues with the runs that are left, or with ``TallyfyBulkRejectedError``
    and no retry, if a retry could not succeed. A problem that is not a single run's (credentials, plan, an outage)
    stops the task at once.

    The report has one JSON line per run: ``id``, ``state`` (``changed``, ``unchanged``, ``failed``, ``unknown``,
    ``skipped``), ``reason``, ``url``, and ``job``, which tells jobs apart. A local report is written to a file beside
    it, whose name ends with ``.partial``, and replaces an earlier report when the task ends. A killed try leaves the
    ``.partial`` file for its retry.
    """

    template_fields: Sequence[str] = ("max_failures", "report_path", *TallyfyWriteOperator.template_fields)

    def __init__(
        self,
        *,
        max_concurrency: int = 8,
        max_failures: int | str | None = None,
        fail_on_errors: bool = True,
        report_path: str | os.PathLike[str] | None = None,
        max_xcom_bytes: int = MOST_XCOM_BYTES,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_concurrency = max_concurrency
        self.max_failures = max_failures
        self.fail_on_errors = fail_on_errors
        self.report_path = report_path
        self.max_xcom_bytes = max_xcom_bytes
        self._job: Job[Any] | None = None
        self._killed = False

    @abstractmethod
    def _purpose(self) -> Any:
        """Say what tells this job from others of the same task: its input, in plain JSON types."""

    @abstractmethod
    def _input_files(self) -> list[str]:
        """Name the files that say what to do."""

    @abstractmethod
    def _make_work(self, context: Context, crew: Crew, previous: PreviousAttempts) -> Work[Any]:
        """
        Read what has to be known before the first write, and check all input.

        :param context: of the running task.
        :param crew: sends requests.
        :param previous: what earlier tries did.
        """

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Do it to all runs.

        :param context: of the running task.
        :raises TallyfyValidationError: if the input is not usable; nothing was sent then.
        :raises TallyfyBulkError: if not all runs are as they were asked for.
        :raises TallyfyError: in one of its other kinds, if that stopped it.
        """
        with self.hook as hook:
            self._check()
            checkpoint = Checkpoint(
                context,
                [self.task_type, self._purpose()],
                self._report_to,
                changed_states=(State.CHANGED, State.UNKNOWN),
                failed_states=(State.FAILED,),
            )
            previous = checkpoint.load()
            with Crew(hook.settings) as crew:
                work = self._make_work(context, crew, previous)
                if self.do_xcom_push:
                    check_size(work, self._report_to, checked_xcom_bytes(self.max_xcom_bytes))
                if not self._is_dry_run:
                    checkpoint.save(previous.intended.union(work.planned))
                return self._carry_out(context, crew, work, checkpoint)

    @property
    def _report_to(self) -> str | None:
        return checked_path_if_given(self.report_path, "report_path")

    @property
    def _report_of_this_try(self) -> str | None:
        """Name the report, unless a dry run would replace that of what was really done."""
        return None if self._is_dry_run else self._report_to

    def on_kill(self) -> None:
        """Begin no further run; :meth:`execute` ends in good order."""
        self._killed = True
        if self._job is not None:
            self._job.kill(_KILLED)

    def _carry_out(self, context: Context, crew: Crew, work: Work[Any], checkpoint: Checkpoint) -> dict[str, Any]:
        job = self._job = Job(
            work,
            crew.hook,
            concurrency=self._concurrency,
            max_failures=self._most_failures(work.total),
            simulate=self._is_dry_run,
        )
        if self._killed:
            job.kill(_KILLED)
        progress = Progress(work, job)
        told = time.monotonic()

        def tell_now_and_then() -> None:
            nonlocal told
            if time.monotonic() - told >= _SECONDS_BETWEEN_LINES:
                told = time.monotonic()
                self.log.info("%s", progress.line())

        if self._is_dry_run and self._report_to:
            self.log.info("Dry run, no report is written: %s stays as it is.", self._report_to)
        try:
            with Report(self._report_of_this_try, checkpoint.job, is_complete=lambda: job.is_told) as report:
                crew.carry_out(
                    job, lambda outcome: report.write(outcome.describe(self.hook.run_url)), tell_now_and_then
                )
        except BaseException:
            self._hand_on_what_there_is(context, job, checkpoint)
            raise
        self.log.info("%s", progress.line())
        result = self._hand_on(context, job, checkpoint)
        shortfall = error_of(work, job, self._report_of_this_try)
        if shortfall is not None:
            self.log.error("%s", shortfall)
            if job.stopped or checked_flag(self.fail_on_errors, "fail_on_errors"):
                raise job.error or shortfall
        return result

    def _hand_on(self, context: Context, job: Job[Any], checkpoint: Checkpoint) -> dict[str, Any]:
        if job.ended.is_set() and not self._is_dry_run:
            if job.tally.counts[State.UNKNOWN] or job.is_unsettled:
                checkpoint.add({*job.tally.changed, *job.tally.unknown})
            else:
                checkpoint.save(job.tally.changed)  # instead of what it set out to change
        result = result_of(job, self._report_of_this_try, checked_xcom_bytes(self.max_xcom_bytes))
        if self._is_dry_run:
            fitting = sum(map(len, job.planned[:_MOST_PLANNED]))
            result |= self._describe_plan(list(chain.from_iterable(job.planned)), fitting)
        if self.do_xcom_push:
            for key, value in (result | self._further_results(job)).items():
                context["ti"].xcom_push(key=key, value=value)
        return result

    def _further_results(self, job: Job[Any]) -> dict[str, Any]:
        """
        Give what is handed on by XCom besides the result.

        :param job: the job, ended.
        """
        return {}

    def _hand_on_what_there_is(self, context: Context, job: Job[Any], checkpoint: Checkpoint) -> None:
        """Do the same while the task is being ended, when Airflow may not listen any more."""
        try:
            self._hand_on(context, job, checkpoint)
        except Exception:
            self.log.warning("The result could not be handed on to Airflow any more.", exc_info=True)

    @property
    def _concurrency(self) -> int:
        most = checked_count(self.max_concurrency, "max_concurrency")
        if most is None or most > _MOST_CONCURRENT:
            raise invalid("max_concurrency", self.max_concurrency, f"is not a number from 1 to {_MOST_CONCURRENT}")
        return most

    def _check(self) -> None:
        _ = self._concurrency
        self._most_failures(0)
        checked_flag(self.fail_on_errors, "fail_on_errors")
        self._check_report_path()

    def _check_report_path(self) -> None:
        report = self._report_to
        if report and any(is_same_file(source, report) for source in self._input_files()):
            problem = "is the file that this task takes its input from, and the report would replace it"
            raise invalid("report_path", report, problem, "Nothing was sent.", "Choose another report_path.")

    def _most_failures(self, total: int) -> int | None:
        if self.max_failures in (None, ""):
            return None
        match = re.fullmatch(r"(\d{1,18})(\s*%)?", (text_of(self.max_failures) or "").strip())
        if match is None:
            raise invalid("max_failures", self.max_failures, 'is neither a number nor a share like "5%"')
        number = int(match[1])
        return number * total // 100 if match[2] else number
