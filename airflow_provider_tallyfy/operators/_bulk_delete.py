"""The operator that deletes many runs in one task."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID, MAX_XCOM_BYTES
from airflow_provider_tallyfy.operators._bulk import TallyfyRunsOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.models.run import Run
    from airflow_provider_tallyfy.bulk.run_actions import RunsAction


class TallyfyDeleteRunsOperator(TallyfyRunsOperator):
    """
    Delete many runs for good (documentation page "Delete process"). There is no undo.

    Two arguments guard it: ``max_runs``, and ``confirm`` with the id of the organization, so that a DAG that is pointed
    at another connection deletes nothing there. Only archived runs are deleted unless ``archive_first`` is set. At the
    end the task checks that Tallyfy lists none of them any more.

    A missing run is a failure, unless an earlier try may have deleted it. Where nothing remembers earlier
    tries, a missing run is ``unchanged``, with a warning.

    :class:`TallyfyBulkOperator` describes the result, and what happens when some runs fail.

    .. seealso:: :ref:`howto/operator:TallyfyDeleteRunsOperator`

    :param run_ids: the runs (templated): a list of ids, or of dicts with an ``id``; an XCom of such a list; text with
        ids between commas or lines; or ``{"path": ...}``, a file of JSON lines. An empty list is a success that does
        nothing. Give either this or filters.
    :param max_runs: the most runs to delete (templated). If there are more, none is deleted.
    :param confirm: id of the organization that the runs are deleted from (templated).
    :param archive_first: archive live runs on the way. Otherwise each live run is a failure. Default: ``False``.
    :param snapshot_dir: write run, tasks, form values and activity of each run to ``<run id>.json`` in this folder
        first (templated): a local path, or a URL that ``ObjectStoragePath`` knows. A run whose snapshot fails is not
        deleted. If Tallyfy hides the tasks of a run that an earlier try archived, the snapshot of that try is kept. By
        default no snapshot is written.
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
        ``only``.
    :param older_than: only runs that have been in their state for longer than this (templated): a timedelta, or text
        like ``"90d"``, ``"12h"``, ``"30m"`` or ``"2w"``. A bare number is refused. The age counts from completion for
        ``status="complete"``, from archiving for ``archived="only"``, otherwise from launch.
    :param limit: at most this many runs, the earliest launched first (templated). No more pages are read than needed.
        By default all runs.
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

    template_fields: Sequence[str] = ("max_runs", "confirm", "snapshot_dir", *TallyfyRunsOperator.template_fields)

    _default_archived = "only"

    def __init__(
        self,
        *,
        max_runs: int | str,
        confirm: str,
        run_ids: Any = None,
        archive_first: bool = False,
        snapshot_dir: str | os.PathLike[str] | None = None,
        status: str | None = None,
        template_id: str | None = None,
        query: str | None = None,
        tags: Sequence[str] | str | None = None,
        exclude_tags: Sequence[str] | str | None = None,
        owners: Sequence[int | str] | str | None = None,
        folder: str | None = None,
        archived: str | None = "only",
        older_than: timedelta | str | None = None,
        limit: int | str | None = None,
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
            run_ids=run_ids,
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
        self.max_runs = max_runs
        self.confirm = confirm
        self.archive_first = archive_first
        self.snapshot_dir = snapshot_dir

    def _action_on(self, chosen: Iterable[str | Run]) -> RunsAction:
        from airflow_provider_tallyfy.api.inputs.checks import checked_count, checked_flag
        from airflow_provider_tallyfy.api.inputs.numbers import text_of
        from airflow_provider_tallyfy.bulk import DeleteAction
        from airflow_provider_tallyfy.files.storage import checked_path

        return DeleteAction(
            self.hook.organization_id,
            chosen,
            max_runs=checked_count(self.max_runs, "max_runs", least=0),
            confirm=text_of(self.confirm),
            archive_first=checked_flag(self.archive_first, "archive_first"),
            snapshot_dir=checked_path(self.snapshot_dir, "snapshot_dir") if self._was_given("snapshot_dir") else None,
        )
