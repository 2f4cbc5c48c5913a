"""Operators that restore or archive many runs in one task."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID, MAX_XCOM_BYTES
from airflow_provider_tallyfy.operators._bulk_base import TallyfyBulkOperator
from airflow_provider_tallyfy.operators._filters import FILTERS, TallyfyRunFilterOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.errors import TallyfyValidationError
    from airflow_provider_tallyfy.api.models.run import Run
    from airflow_provider_tallyfy.bulk.run_actions import RunsAction


class TallyfyRunsOperator(TallyfyBulkOperator, TallyfyRunFilterOperator):
    """
    Base of the operators that do something to many runs that exist.

    The runs are either given by id, or chosen by the filters of ``TallyfyListRunsOperator``; at least one filter is
    needed, and one that renders to nothing is refused. The states of the runs are read first, by pages of the list or
    one by one, whichever takes fewer requests.
    """

    template_fields: Sequence[str] = (
        "run_ids",
        *TallyfyBulkOperator.template_fields,
        *(name for name in TallyfyRunFilterOperator.template_fields if name not in TallyfyBulkOperator.template_fields),
    )

    def __init__(self, *, run_ids: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_ids = run_ids

    @cached_property
    def _given_ids(self) -> list[str] | None:
        from airflow_provider_tallyfy.files.ids_and_rows import read_run_ids

        return None if self.run_ids is None else read_run_ids(self.run_ids)

    def _purpose(self) -> Any:
        """Identify this job by its ids or its filters."""
        if self._given_ids is None:
            return {name: str(getattr(self, name)) for name in (*FILTERS, "archived")}
        return sorted(self._given_ids)

    def _input_files(self) -> list[str]:
        """Name the files of ids, if there are any."""
        from airflow_provider_tallyfy.files.ids_and_rows import files_of_ids

        return files_of_ids(self.run_ids)

    def _make_action(self, context: Context) -> RunsAction:
        """Choose the runs by ids or filters."""
        self._check_choice()
        return self._action_on(self._filtered_runs() if self._given_ids is None else self._given_ids)

    @abstractmethod
    def _action_on(self, chosen: Iterable[str | Run]) -> RunsAction:
        """Make the action on runs, which are given by id or read from a list."""

    def _check_choice(self) -> None:
        """Refuse a choice that is empty, or of which a part would be ignored."""
        filters = [name for name in FILTERS if self._was_given(name)]
        if not self._was_given("run_ids"):
            if not filters:
                raise _no_choice("Neither run_ids nor a filter is given", ["run_ids"])
            return  # an empty filter is refused where the runs are listed
        if filters:
            raise _no_choice(f"Both run_ids and {', '.join(filters)} are given, and either chooses the runs", filters)
        if self.run_ids is None:
            raise _no_choice("run_ids is None (did the upstream task push nothing?)", ["run_ids"])


def _no_choice(problem: str, names: list[str]) -> TallyfyValidationError:
    from airflow_provider_tallyfy.api.errors import TallyfyValidationError

    return TallyfyValidationError(
        f"Which runs? {problem}.\nNothing was sent.\nFilters: {', '.join(FILTERS)}.",
        fields={name: ["not usable"] for name in names},
    )


class TallyfyActivateRunsOperator(TallyfyRunsOperator):
    """
    Restore many archived runs. Live runs stay as they are (documentation page "Activate process").

    A run that a list shows takes one request. :class:`TallyfyBulkOperator` describes the result, and what happens when
    some runs fail.

    .. seealso:: :ref:`howto/operator:TallyfyActivateRunsOperator`

    :param run_ids: the runs (templated): a list of ids, or of dicts with an ``id``; an XCom of such a list; text with
        ids between commas or lines; or ``{"path": ...}``, a file of JSON lines. An empty list is a success that does
        nothing. Give either this or filters.
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

    _default_archived = "only"

    def __init__(
        self,
        *,
        run_ids: Any = None,
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

    def _action_on(self, chosen: Iterable[str | Run]) -> RunsAction:
        from airflow_provider_tallyfy.bulk import ActivateAction

        return ActivateAction(self.hook.organization_id, chosen)


class TallyfyArchiveRunsOperator(TallyfyRunsOperator):
    """
    Archive many runs. Archived runs stay as they are (documentation page "Archive process").

    A run that a list shows takes one request. :class:`TallyfyBulkOperator` describes the result, and what happens when
    some runs fail.

    .. seealso:: :ref:`howto/operator:TallyfyArchiveRunsOperator`

    :param run_ids: the runs (templated): a list of ids, or of dicts with an ``id``; an XCom of such a list; text with
        ids between commas or lines; or ``{"path": ...}``, a file of JSON lines. An empty list is a success that does
        nothing. Give either this or filters.
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

    def __init__(
        self,
        *,
        run_ids: Any = None,
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

    def _action_on(self, chosen: Iterable[str | Run]) -> RunsAction:
        from airflow_provider_tallyfy.bulk import ArchiveAction

        return ArchiveAction(self.hook.organization_id, chosen)
