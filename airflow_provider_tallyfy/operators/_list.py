"""The operator that lists runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID, MAX_XCOM_BYTES
from airflow_provider_tallyfy.operators._filters import TallyfyRunFilterOperator


class TallyfyListRunsOperator(TallyfyRunFilterOperator):
    """
    List runs, the earliest launched first, as small dicts that ``.expand`` takes.

    An incomplete list fails the task: one with an unreadable page, one with fewer runs than Tallyfy counts, or one that
    runs keep leaving while it is read. Runs that move while the list is read stand at its end.

    .. seealso:: :ref:`howto/operator:TallyfyListRunsOperator`

    :param status: only runs in this status (templated): ``active``, ``complete``, ``problem``, ``issue`` or
        ``archived``.
    :param template_id: only runs of this template (templated): its title or id.
    :param query: only runs whose name matches this text (templated). How it matches is up to Tallyfy.
    :param tags: only runs with one of these tags (templated): a list of titles or ids, or text with commas between
        them.
    :param exclude_tags: only runs with none of these tags (templated): a list of titles or ids, or text with commas
        between them.
    :param owners: only runs that one of these users owns or has tasks in (templated): a list of e-mail addresses, names
        or ids, or text with commas between them.
    :param folder: only runs in this folder (templated): its name or id.
    :param archived: whether to choose from archived runs (templated): ``exclude``, ``include`` or ``only``. Default:
        ``exclude``.
    :param older_than: only runs that have been in their state for longer than this (templated): a timedelta, or text
        like ``"90d"``, ``"12h"``, ``"30m"`` or ``"2w"``. A bare number is refused. The age counts from completion for
        ``status="complete"``, from archiving for ``archived="only"``, otherwise from launch.
    :param limit: at most this many runs, the earliest launched first (templated). No more pages are read than needed.
        By default all runs.
    :param fields: which keys the dicts have (templated): ``id``, ``name``, ``status``, ``archived_at``,
        ``completed_at``, ``url``, ``template_id``, ``created_at``, ``percent_complete``, ``template_name``, ``tags``
        (by title). One name as text, for example ``"id"``, gives a flat list of that value. Default: ``id``, ``name``,
        ``status``, ``archived_at``, ``completed_at``, ``url``.
    :param output_path: write JSON lines to this file (templated): a local path, or a URL that ``ObjectStoragePath``
        knows. The result is then ``{"path", "count"}``. A list that breaks off leaves an earlier file as it is. By
        default the list is the result.
    :param max_xcom_bytes: the number of bytes that the XCom may have. A longer result fails the task. Default:
        ``49152``.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises TallyfyValidationError: if an argument is invalid, a filter came out empty, or the result is too long for an
        XCom.
    :raises TallyfyResponseError: if the list is incomplete.
    :raises TallyfyError: if anything else failed, in one of its kinds.
    """

    template_fields: Sequence[str] = ("fields", "output_path", *TallyfyRunFilterOperator.template_fields)

    def __init__(
        self,
        *,
        status: str | None = None,
        template_id: str | None = None,
        query: str | None = None,
        tags: Sequence[str] | str | None = None,
        exclude_tags: Sequence[str] | str | None = None,
        owners: Sequence[int | str] | str | None = None,
        folder: str | None = None,
        archived: str | None = "exclude",
        older_than: timedelta | str | None = None,
        limit: int | str | None = None,
        fields: str | Sequence[str] = ("id", "name", "status", "archived_at", "completed_at", "url"),
        output_path: str | os.PathLike[str] | None = None,
        max_xcom_bytes: int = MAX_XCOM_BYTES,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            status=status,
            template_id=template_id,
            query=query,
            tags=tags,
            exclude_tags=exclude_tags,
            owners=owners,
            folder=folder,
            archived=archived,
            older_than=older_than,
            limit=limit,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )
        self.fields = fields
        self.output_path = output_path
        self.max_xcom_bytes = max_xcom_bytes

    def execute(self, context: Context) -> Any:
        """List the runs."""
        from airflow_provider_tallyfy.files.storage import checked_path_if_given, rows_for_xcom, write_lines

        with self.hook:
            path = checked_path_if_given(self.output_path, "output_path")
            rows = self._rows()
            if path:
                count = write_lines(path, rows)
                self.log.info("Wrote %d runs to %s", count, path)
                return {"path": path, "count": count}
            listed_runs = rows_for_xcom(rows, self.max_xcom_bytes, 'Filter more, set a limit, ask for fields="id",')
        self.log.info("Listed %d runs.", len(listed_runs))
        return listed_runs

    def _rows(self) -> Iterator[Any]:
        from airflow_provider_tallyfy.api.outputs import LISTED_FACTS, checked_fields, run_result, select_fields

        fields = checked_fields(self.fields, LISTED_FACTS)
        details = {fields} if isinstance(fields, str) else {*fields}
        runs = self._filtered_runs(("tags",) if "tags" in details else ())
        return (select_fields(run_result(run, self.hook.run_url(run.id), details=details), fields) for run in runs)
