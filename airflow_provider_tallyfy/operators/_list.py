"""The operator that lists runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.api.inputs.facts import RUN_FACTS, checked_fields, facts_of, picked
from airflow_provider_tallyfy.files.storage import MOST_XCOM_BYTES, checked_path_if_given, fitting, write_lines
from airflow_provider_tallyfy.operators._filters import TallyfyRunFilterOperator


class TallyfyListRunsOperator(TallyfyRunFilterOperator):
    """
    List runs, the first launched ones first, and hand them on as slim dicts, ready for ``.expand``.

    A list that is seen to be incomplete fails the task: one with an unreadable page, with fewer runs than Tallyfy
    counts, or that runs keep leaving while it is read. Runs that were missed because others left stand at its end.

    .. seealso:: :ref:`howto/operator:TallyfyListRunsOperator`

    :param status: only runs in this status (templated): ``active``, ``complete``, ``problem``, ``issue``, ``archived``.
    :param template_id: only runs of this template (templated).
    :param query: only runs whose name matches this text (templated); how it matches is up to Tallyfy.
    :param tags: only runs with one of these tag ids (templated); a template may render them with commas.
    :param owners: only runs owned by, or with tasks of, these user ids (templated); likewise.
    :param folder: only runs in this folder (templated).
    :param archived: ``exclude`` (default), ``include`` or ``only`` archived runs (templated).
    :param older_than: only runs that have been in their state for longer: days or a timedelta (templated). It counts
        from completion for ``status="complete"``, from archiving for archived runs only, otherwise from launch.
    :param limit: at most so many runs, the first launched ones (templated). No more pages are read than that takes.
    :param fields: which keys the dicts have (templated); one name as text gives a flat list of that value, for example
        ``"id"``. Keys: ``id``, ``name``, ``status``, ``archived_at``, ``completed_at``, ``url``, ``template_id``,
        ``created_at``, ``percent_complete``. By default all but the last three.
    :param output_path: write JSON lines here instead, a local path or any URL that ``ObjectStoragePath`` knows
        (templated); the result is then ``{"path", "count"}``. A list that breaks off leaves an
        earlier file as it is.
    :param max_xcom_bytes: refuse to hand on more than this as XCom.
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    """

    template_fields: Sequence[str] = ("fields", "output_path", *TallyfyRunFilterOperator.template_fields)

    def __init__(
        self,
        *,
        fields: str | Sequence[str] = ("id", "name", "status", "archived_at", "completed_at", "url"),
        output_path: str | os.PathLike[str] | None = None,
        max_xcom_bytes: int = MOST_XCOM_BYTES,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.fields = fields
        self.output_path = output_path
        self.max_xcom_bytes = max_xcom_bytes

    def execute(self, context: Context) -> Any:
        """
        List the runs.

        :param context: of the running task.
        :raises TallyfyValidationError: on an unknown status or field, or more rows than an XCom should hold.
        :raises TallyfyError: in one of its other kinds.
        """
        with self.hook:
            path = checked_path_if_given(self.output_path, "output_path")
            rows = self._rows()
            if path:
                count = write_lines(path, rows)
                self.log.info("Wrote %d runs to %s", count, path)
                return {"path": path, "count": count}
            listed_runs = fitting(rows, self.max_xcom_bytes, 'Filter more, set a limit, ask for fields="id",')
        self.log.info("Listed %d runs.", len(listed_runs))
        return listed_runs

    def _rows(self) -> Iterator[Any]:
        fields = checked_fields(self.fields, RUN_FACTS)
        return (picked(facts_of(run, self.hook.run_url(run.id)), fields) for run in self._filtered_runs())
