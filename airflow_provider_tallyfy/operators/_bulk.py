"""Operators that restore, archive, delete or launch many runs in one task."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.checks import checked_count, checked_flag, checked_id, checked_object
from airflow_provider_tallyfy.api.inputs.numbers import text_of
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.api.presentable import shown
from airflow_provider_tallyfy.bulk.action import Work
from airflow_provider_tallyfy.bulk.executor import Job
from airflow_provider_tallyfy.bulk.inputs import file_of_rows, files_of_ids, read_rows, read_run_ids
from airflow_provider_tallyfy.bulk.launch_action import LaunchWork, RowReader, find_launches
from airflow_provider_tallyfy.bulk.loop_thread import Crew
from airflow_provider_tallyfy.bulk.prefetch import Lookout, slim
from airflow_provider_tallyfy.bulk.run_actions import ActivateWork, ArchiveWork, DeleteWork, RunsWork
from airflow_provider_tallyfy.bulk.summary import runs_of
from airflow_provider_tallyfy.files.checkpoint import Past
from airflow_provider_tallyfy.files.storage import checked_path, checked_xcom_bytes
from airflow_provider_tallyfy.operators._bulk_base import TallyfyBulkOperator
from airflow_provider_tallyfy.operators._filters import FILTERS, TallyfyRunFilterOperator
from airflow_provider_tallyfy.operators._launch import first_moment

_LAUNCH_FIELDS = ("summary", "owner_id", "tags", "folders", "users", "groups", "parent_id", "roles", "prerun")


class TallyfyRunsOperator(TallyfyBulkOperator, TallyfyRunFilterOperator):
    """
    Base of the operators that do something to many runs that exist.

    The runs are either given by id, or chosen by the filters of ``TallyfyListRunsOperator``; at least one filter is
    needed, and one that renders to nothing is refused. The states of the runs are read first, by pages of the list or
    one by one, whichever takes fewer requests.

    :param run_ids: ids, or dicts with an ``id``, of the runs (templated): a list, an XCom, text with ids between commas
        or lines, or ``{"path": ...}`` for a file of JSON lines. None at all is a success.
    """

    template_fields: Sequence[str] = (
        "run_ids",
        *TallyfyBulkOperator.template_fields,
        *(name for name in TallyfyRunFilterOperator.template_fields if name not in TallyfyBulkOperator.template_fields),
    )

    work_class: ClassVar[type[RunsWork]]

    def __init__(self, *, run_ids: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_ids = run_ids
        self._note_given("run_ids", *FILTERS)

    @cached_property
    def _given_ids(self) -> list[str] | None:
        return None if self.run_ids is None else read_run_ids(self.run_ids)

    def purpose(self) -> Any:
        """Tell this job by its ids or its filters."""
        if self._given_ids is None:
            return {name: str(getattr(self, name)) for name in (*FILTERS, "archived")}
        return sorted(self._given_ids)

    def input_files(self) -> list[str]:
        """Name the files of ids, if they come in some."""
        return files_of_ids(self.run_ids)

    def make_work(self, context: Context, crew: Crew, past: Past) -> Work[str]:
        """Find out which runs there are, and how they are."""
        self._check_choice()
        seen: dict[str, Run] = {}
        run_ids = self._given_ids
        if run_ids is None:
            seen = {run.id: slim(run) for run in self.filtered_runs()}
            run_ids = list(seen)
        self.check_count(len(run_ids))
        unseen = {*run_ids, *past.meant} - seen.keys()
        organization_id = self.hook.organization_id
        lookout = Lookout(crew.hook, organization_id, self._concurrency)
        seen |= crew.run(lookout.see(unseen, self.work_class.shelves, self.work_class.look))
        return self.work_class(organization_id, run_ids, seen, past, lookout.unreadable, **self.work_options())

    def check_count(self, count: int) -> None:
        """
        Refuse more runs than the operator may touch.

        :param count: how many runs there are.
        """

    def work_options(self) -> dict[str, Any]:
        """Give the options of the work."""
        return {}

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
    return TallyfyValidationError(
        f"Which runs? {problem}. Nothing was sent. Filters: {', '.join(FILTERS)}.",
        fields={name: ["not usable"] for name in names},
    )


class TallyfyActivateRunsOperator(TallyfyRunsOperator):
    """
    Restore many archived runs; live ones are left as they are (documentation page "Activate process").

    Runs known from a list take one request each. See :class:`TallyfyBulkOperator` for the result, for what happens when
    some fail, and for the parameters of all bulk operators; filters choose from archived runs only.

    .. seealso:: :ref:`howto/operator:TallyfyActivateRunsOperator`

    :param run_ids: see :class:`TallyfyRunsOperator`.
    """

    work_class = ActivateWork
    default_archived = "only"


class TallyfyArchiveRunsOperator(TallyfyRunsOperator):
    """
    Archive many runs; archived ones are left as they are (documentation page "Archive process").

    Runs known from a list take one request each. See :class:`TallyfyBulkOperator` for the result, for what happens when
    some fail, and for the parameters of all bulk operators; filters choose from live runs only.

    .. seealso:: :ref:`howto/operator:TallyfyArchiveRunsOperator`

    :param run_ids: see :class:`TallyfyRunsOperator`.
    """

    work_class = ArchiveWork


class TallyfyDeleteRunsOperator(TallyfyRunsOperator):
    """
    Delete many runs for good (documentation page "Delete process"). There is no undo.

    So it takes two keys: ``max_runs``, and ``confirm`` with the id of the organization, so that a DAG that is pointed
    at another connection deletes nothing there. Only archived runs are deleted unless ``archive_first`` is set. At the
    end it is seen that Tallyfy lists none of them any more. A missing run is a failure, unless an earlier try may have
    deleted it; where nothing remembers that, it is ``unchanged``, with a warning.

    See :class:`TallyfyBulkOperator` for the result, for what happens when some fail, and for the parameters of all bulk
    operators; filters choose from archived runs only.

    .. seealso:: :ref:`howto/operator:TallyfyDeleteRunsOperator`

    :param run_ids: see :class:`TallyfyRunsOperator`.
    :param max_runs: if there are more runs than this, none is deleted (templated).
    :param confirm: the id of the organization that the runs are deleted from (templated).
    :param archive_first: archive live runs on the way; otherwise each of them is a failure.
    :param snapshot_dir: write run, tasks, form values and activity of each run as ``<run id>.json`` here first
        (templated), a local path or a URL that ``ObjectStoragePath`` knows. If that fails, the run is not deleted.
        Where Tallyfy hides the tasks of a run that an earlier try archived, the snapshot of that try is kept.
    """

    template_fields: Sequence[str] = ("max_runs", "confirm", "snapshot_dir", *TallyfyRunsOperator.template_fields)

    work_class = DeleteWork
    default_archived = "only"

    def __init__(
        self,
        *,
        max_runs: int | str,
        confirm: str,
        archive_first: bool = False,
        snapshot_dir: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_runs = max_runs
        self.confirm = confirm
        self.archive_first = archive_first
        self.snapshot_dir = snapshot_dir
        self._note_given("run_ids", *FILTERS, "snapshot_dir")

    def check_count(self, count: int) -> None:
        """Check both keys."""
        most = checked_count(self.max_runs, "max_runs", least=0)
        if most is None or count > most:
            raise TallyfyValidationError(
                f"{count} runs would be deleted, more than max_runs={shown(self.max_runs)}. Nothing was deleted.",
                fields={"max_runs": [str(count)]},
            )
        if text_of(self.confirm) != self.hook.organization_id:
            raise TallyfyValidationError(
                f"confirm={shown(self.confirm)} is not the id of the organization that the runs would be deleted from. "
                f"Nothing was deleted.",
                fields={"confirm": ["not the organization"]},
            )

    def work_options(self) -> dict[str, Any]:
        """Say how to delete."""
        return {
            "archive_first": checked_flag(self.archive_first, "archive_first"),
            "snapshot_dir": checked_path(self.snapshot_dir, "snapshot_dir")
            if self._was_given("snapshot_dir")
            else None,
        }


class TallyfyLaunchRunsOperator(TallyfyBulkOperator):
    """
    Launch a run of a template for each row of values, once each (documentation page "Launch process").

    All rows are checked against the kick-off form before the first run is launched, and all problems are reported at
    once. A row is recognized by its content (or by ``key_column``), so a retry launches only what is missing; a marker
    in each run's summary makes sure of it. See :class:`TallyfyBulkOperator` for the result, for what happens when some
    fail, and for the parameters of all bulk operators. ``changed`` holds the ids of the launched runs. The XCom
    ``runs`` has ``row``, ``key`` (with ``key_column``) and ``id`` of every row's run, launched or adopted, for sensors
    and other operators.

    .. seealso:: :ref:`howto/operator:TallyfyLaunchRunsOperator`

    :param template_id: the template (templated).
    :param rows: dicts of kick-off values by field label, alias or id, or the path of a CSV or JSON-lines file of them
        (templated), a local one or a URL that ``ObjectStoragePath`` knows. Empty cells are not sent.
    :param name_column: column with the names of the runs, where there is one; ``None`` if a field is called that.
    :param key_column: column by which launches are recognized instead, for example an order number: one run per key and
        template, across DAG runs. If a field is called that, it fills the field, too.
    :param tasks: deadline and owners by step id, for every run (templated).
    :param fields: what every launch's request holds besides (templated), as ``TallyfyLaunchRunOperator`` takes it, or
        text of such an object: ``summary``, ``owner_id``, ``tags``, ``folders``, ``users``, ``groups``, ``parent_id``,
        ``roles``, ``prerun``.
    """

    template_fields: Sequence[str] = ("template_id", "rows", "tasks", "fields", *TallyfyBulkOperator.template_fields)
    template_fields_renderers = {"tasks": "json", "fields": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        template_id: str,
        rows: Any,
        name_column: str | None = "name",
        key_column: str | None = None,
        tasks: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.template_id = template_id
        self.rows = rows
        self.name_column = name_column
        self.key_column = key_column
        self.tasks = tasks
        self.fields = fields

    def purpose(self) -> Any:
        """Tell this job by its template."""
        return checked_id(self.template_id, "template_id")

    def input_files(self) -> list[str]:
        """Name the file of rows, if they come in one."""
        path = file_of_rows(self.rows)
        return [path] if path else []

    def make_work(self, context: Context, crew: Crew, past: Past) -> Work[Any]:
        """Check all rows, and find those that were launched before."""
        organization_id, ti = self.hook.organization_id, context["ti"]
        template_id, fields = checked_id(self.template_id, "template_id"), self._checked_fields()
        rows = read_rows(self.rows)
        template = self.hook.execute(calls.get_template(organization_id, template_id))
        scope = f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}"
        launches = RowReader(template, self.tasks, fields, self.name_column, self.key_column, scope).read(rows)
        found = self._find(context, {launch.key.marker for launch in launches}) if launches else {}
        # Before a first try only a DAG run that was deleted and made again can have launched by the same keys.
        found_is_own = ti.try_number > 1 and not self.key_column
        return LaunchWork(
            organization_id,
            template_id,
            launches,
            found,
            [*past.meant, *found] if found_is_own else past.meant,
            since=datetime.now(UTC),
            keys_are_shared=self.key_column is not None,
            is_dry_run=self.is_dry_run,
        )

    def further_results(self, job: Job[Any]) -> dict[str, Any]:
        """Give the run of every row."""
        return {"runs": runs_of(job, self._report_of_this_try, checked_xcom_bytes(self.max_xcom_bytes))}

    def _checked_fields(self) -> dict[str, Any]:
        fields = {name: value for name, value in checked_object(self.fields, "fields").items() if value is not None}
        if unknown := sorted(map(str, fields.keys() - set(_LAUNCH_FIELDS))):
            raise TallyfyValidationError(
                f"fields names {', '.join(unknown)}; it can hold: {', '.join(_LAUNCH_FIELDS)}. Nothing was launched.",
                fields={"fields": unknown},
            )
        return fields

    def _find(self, context: Context, markers: Collection[str]) -> Mapping[str, Sequence[Run]]:
        dag_run, is_first = context.get("dag_run"), context["ti"].try_number == 1
        # A backfill is for a moment long ago, and its first try need not read all runs since then.
        since = (getattr(dag_run, "start_date", None) or datetime.now(UTC)) if is_first else first_moment(dag_run)
        look = find_launches(
            self.hook.organization_id,
            str(self.template_id),
            markers,
            None if self.key_column else since,
            # Only a try just before this one can have launched what lists do not show yet.
            lambda found: is_first or len(found) == len(markers),
        )
        return self.hook.execute(look)
