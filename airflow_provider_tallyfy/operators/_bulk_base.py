"""What the bulk operators have in common: they read arguments, make an action, and give it to a bulk job."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID, MAX_XCOM_BYTES
from airflow_provider_tallyfy.operators._base import TallyfyWriteOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy.bulk import BulkJob
    from airflow_provider_tallyfy.bulk.action import BulkAction

_MAX_CONCURRENCY = 32


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
    ``skipped``), ``reason``, ``url``, ``name`` if it is known, and ``job``, which tells jobs apart. A local report is
    written to a file beside it, whose name ends with ``.partial``, and replaces an earlier report when the task ends. A
    killed try leaves the ``.partial`` file for its retry.

    :param max_concurrency: how many runs to work on at the same time, 1 to 32. A 429 slows all of them down. Default:
        ``8``.
    :param max_failures: stop when more runs than this have failed (templated): a number, or a share as text like
        ``"5%"``. By default the task goes on to the last run.
    :param fail_on_errors: whether the task fails if any run failed. With ``False`` it fails only if it had to stop
        early. Default: ``True``.
    :param report_path: write one JSON line per run to this file (templated): a local path, or a URL that
        ``ObjectStoragePath`` knows. :class:`TallyfyBulkOperator` lists the keys. It must not be a file that the input
        comes from. By default no report is written.
    :param max_xcom_bytes: how many bytes the XCom ``changed`` may take. With ``report_path`` a longer one becomes a
        reference to the report, which the bulk operators read. Without, the task fails before it begins. Default:
        ``49152``.
    :param dry_run: read the states of the runs and change nothing (templated, as the field ``simulate``). The log has
        the requests of all runs, the result those of the first twenty and the number of the others. No report is
        written. Default: ``False``.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    """

    template_fields: Sequence[str] = ("max_failures", "report_path", *TallyfyWriteOperator.template_fields)

    def __init__(
        self,
        *,
        max_concurrency: int = 8,
        max_failures: int | str | None = None,
        fail_on_errors: bool = True,
        report_path: str | os.PathLike[str] | None = None,
        max_xcom_bytes: int = MAX_XCOM_BYTES,
        dry_run: bool | str = False,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(dry_run=dry_run, organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id, **kwargs)
        self.max_concurrency = max_concurrency
        self.max_failures = max_failures
        self.fail_on_errors = fail_on_errors
        self.report_path = report_path
        self.max_xcom_bytes = max_xcom_bytes
        self._job: BulkJob | None = None
        self._is_killed = False

    @abstractmethod
    def _purpose(self) -> Any:
        """Identify this job among others of the same task by its input, in plain JSON types."""

    @abstractmethod
    def _input_files(self) -> list[str]:
        """Name the files that the input comes from."""

    @abstractmethod
    def _make_action(self, context: Context) -> BulkAction[Any]:
        """Read the input, and make the action of it."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Do it to all runs."""
        from airflow_provider_tallyfy.api.inputs.checks import checked_flag
        from airflow_provider_tallyfy.bulk import BulkJob
        from airflow_provider_tallyfy.files.storage import checked_xcom_bytes

        with self.hook as hook:
            options: dict[str, Any] = {
                "concurrency": self._concurrency(),
                "max_failures": self._read_max_failures(),
                "fail_on_errors": checked_flag(self.fail_on_errors, "fail_on_errors"),
                "report_path": self._checked_report_path(),
                "max_xcom_bytes": checked_xcom_bytes(self.max_xcom_bytes),
                "push_xcoms": self.do_xcom_push,
                "describe_plan": self._describe_plan if self._is_dry_run else None,
                "purpose": [self.task_type, self._purpose()],
                "log": self.log,
            }
            self._job = BulkJob(self._make_action(context), hook, **options)
            if self._is_killed:
                self._job.kill()
            try:
                return self._job.run(context)
            finally:
                if self._job.counts and not self._is_dry_run:
                    given = {"template_id": getattr(self, "template_id", None)}
                    self._note(organization_id=hook.organization_id, counts=self._job.counts, **hook.with_ids(given))

    def on_kill(self) -> None:
        """Start no further run; :meth:`execute` then ends in good order."""
        self._is_killed = True
        if self._job is not None:
            self._job.kill()

    def _concurrency(self) -> int:
        from airflow_provider_tallyfy.api.inputs.checks import checked_count
        from airflow_provider_tallyfy.api.inputs.problems import invalid

        count = checked_count(self.max_concurrency, "max_concurrency")
        if count is None or count > _MAX_CONCURRENCY:
            raise invalid("max_concurrency", self.max_concurrency, f"is not a number from 1 to {_MAX_CONCURRENCY}")
        return count

    def _checked_report_path(self) -> str | None:
        from airflow_provider_tallyfy.api.inputs.problems import invalid
        from airflow_provider_tallyfy.files.storage import checked_path_if_given, is_same_file

        path = checked_path_if_given(self.report_path, "report_path")
        if path and any(is_same_file(source, path) for source in self._input_files()):
            problem = "is the file that this task takes its input from, and the report would replace it"
            raise invalid("report_path", path, problem, "Nothing was sent.", "Choose another report_path.")
        return path

    def _read_max_failures(self) -> tuple[int, bool] | None:
        """Read a number of runs, or a share of all runs in percent; tell whether it is a share."""
        from airflow_provider_tallyfy.api.inputs.numbers import text_of
        from airflow_provider_tallyfy.api.inputs.problems import invalid

        if self.max_failures in (None, ""):
            return None
        match = re.fullmatch(r"(\d{1,18})(\s*%)?", (text_of(self.max_failures) or "").strip())
        if match is None:
            raise invalid("max_failures", self.max_failures, 'is neither a number nor a share like "5%"')
        return int(match[1]), match[2] is not None
