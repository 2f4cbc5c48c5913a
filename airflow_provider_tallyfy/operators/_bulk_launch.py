"""The operator that launches many runs in one task."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID, MAX_XCOM_BYTES
from airflow_provider_tallyfy.operators._base import first_moment, task_instance_key
from airflow_provider_tallyfy.operators._bulk_base import TallyfyBulkOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy.bulk import LaunchAction


class TallyfyLaunchRunsOperator(TallyfyBulkOperator):
    """
    Launch a run of a template for each row of values, once each (documentation page "Launch process").

    All rows are checked against the kick-off form before the first run is launched, and all problems are reported at
    once. A row is recognized by its content (or by ``key_column``), so a retry launches only what is missing. A marker
    in each run's summary proves it.

    ``changed`` holds the ids of the launched runs. The XCom ``runs`` has ``row``, ``key`` (with ``key_column``) and
    ``id`` of every row's run, launched or adopted, for sensors and other operators. :class:`TallyfyBulkOperator`
    describes the rest of the result, and what happens when some runs fail.

    .. seealso:: :ref:`howto/operator:TallyfyLaunchRunsOperator`

    :param template_id: title or id of the template (templated).
    :param rows: the kick-off values, one row per run (templated): a list of dicts by field label, alias or id, or the
        path of a CSV or JSON-lines file, local or a URL that ``ObjectStoragePath`` knows. Empty cells are not sent.
    :param name_column: column with the names of the runs, if there is one. Give ``None`` if a field has this name.
        Default: ``name``.
    :param key_column: column by which to recognize launches, for example an order number: one run per key and template,
        across DAG runs. If a field has this name, the column fills the field, too. By default a row is recognized by
        its content, within the task.
    :param tasks: deadline and owners by step id, for every run (templated), as ``TallyfyLaunchRunOperator`` takes them.
    :param body: what every launch's request body holds besides the kick-off values (templated), as
        ``TallyfyLaunchRunOperator`` takes it: ``summary``, ``owner_id``, ``tags``, ``folders``, ``users``,
        ``groups``, ``parent_id``, ``roles``, ``prerun``. A dict, or text of one.
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
    :raises TallyfyValidationError: if an argument is invalid, before anything is sent.
    :raises TallyfyBulkError: if not every run is in the requested state. A retry continues with the others.
    :raises TallyfyBulkRejectedError: the same, if a retry could not succeed.
    :raises TallyfyError: if something else stopped the task, such as an outage.
    """

    template_fields: Sequence[str] = ("template_id", "rows", "tasks", "body", *TallyfyBulkOperator.template_fields)
    template_fields_renderers = {"tasks": "json", "body": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        template_id: str,
        rows: Any,
        name_column: str | None = "name",
        key_column: str | None = None,
        tasks: Mapping[str, Any] | str | None = None,
        body: Mapping[str, Any] | str | None = None,
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
        super().__init__(
            max_concurrency=max_concurrency,
            max_failures=max_failures,
            fail_on_errors=fail_on_errors,
            report_path=report_path,
            max_xcom_bytes=max_xcom_bytes,
            dry_run=dry_run,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )
        self.template_id = template_id
        self.rows = rows
        self.name_column = name_column
        self.key_column = key_column
        self.tasks = tasks
        self.body = body

    def _purpose(self) -> Any:
        """Identify this job by its template."""
        from airflow_provider_tallyfy.api.inputs.checks import checked_id

        return checked_id(self.hook.with_ids({"template_id": self.template_id})["template_id"], "template_id")

    def _input_files(self) -> list[str]:
        """Name the file of rows, if there is one."""
        from airflow_provider_tallyfy.files.ids_and_rows import file_of_rows

        path = file_of_rows(self.rows)
        return [path] if path else []

    def _make_action(self, context: Context) -> LaunchAction:
        """Read the rows."""
        from airflow_provider_tallyfy.bulk import LaunchAction
        from airflow_provider_tallyfy.files.ids_and_rows import read_rows

        ti, dag_run = context["ti"], context.get("dag_run")
        is_retry = ti.try_number > 1
        # A backfill is for a moment long ago, and its first try need not read all runs since then.
        started = getattr(dag_run, "start_date", None) or datetime.now(UTC)
        fields = self.hook.with_ids({"tasks": self.tasks, **self._checked_body()})
        return LaunchAction(
            self.hook.organization_id,
            self._purpose(),
            read_rows(self.rows),
            tasks=fields.pop("tasks"),
            body=fields,
            name_column=self.name_column,
            key_column=self.key_column,
            scope=task_instance_key(ti),
            is_retry=is_retry,
            not_before=first_moment(dag_run) if is_retry else started,
            is_dry_run=self._is_dry_run,
        )

    def _checked_body(self) -> dict[str, Any]:
        from airflow_provider_tallyfy.api.inputs.checks import checked_object
        from airflow_provider_tallyfy.api.inputs.launch_request import LAUNCH_FIELDS
        from airflow_provider_tallyfy.api.inputs.problems import invalid

        in_body = [name for name in LAUNCH_FIELDS if name != "name"]  # each row has its own name
        body = {name: value for name, value in checked_object(self.body, "body").items() if value is not None}
        if unknown := sorted(map(str, body.keys() - set(in_body))):
            known = f"It can hold: {', '.join(in_body)}."
            raise invalid("body", self.body, f"names {', '.join(unknown)}", known, "Nothing was launched.")
        return body
