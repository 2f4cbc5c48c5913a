"""Operators that change a run's fields, or delete it for good."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID
from airflow_provider_tallyfy.operators._base import TallyfyRunOperator, TallyfyWriteOperator
from airflow_provider_tallyfy.operators._run_change import TallyfyRunChangeOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.call import Flow
    from airflow_provider_tallyfy.api.models.run import Run, RunChange
    from airflow_provider_tallyfy.files.checkpoint import PreviousAttempts


class TallyfyUpdateRunOperator(TallyfyRunChangeOperator):
    """
    Change fields of a run and leave all others as they are (documentation page "Update process").

    Tallyfy empties a run's ``users`` and ``groups`` when an update does not name them; this operator reads them first
    and sends them along. Afterwards it reads the run again: the new values must be there, and nothing else may be
    missing or different.

    The result is a small dict: ``id``, ``name``, ``status``, ``archived_at``, ``completed_at``, ``url`` and ``changed``
    (whether this task changed the run, over all its tries).

    .. seealso:: :ref:`howto/operator:TallyfyUpdateRunOperator`

    :param run_id: id of the run (templated).
    :param changes: new values by field (templated): ``name``, ``summary``, ``owner_id``, ``starred``, ``is_public``,
        ``publicly_hidden_fields``, ``users``, ``groups``, ``prerun`` (by field id, in Tallyfy's encoding). Users go by
        e-mail address, name or id, groups by name or id. ``users`` and ``groups`` replace the current ones: lists, or
        text with commas; only ``[]`` empties them. Kick-off values that ``prerun`` does not name stay. A new
        ``summary`` keeps the marker by which a launch recognizes its run.
    :param dry_run: log and return the requests instead of sending them (templated, as the field ``simulate``). Default:
        ``False``.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises TallyfyValidationError: if an argument is invalid. Nothing was sent then.
    :raises TallyfyNotFoundError: if there is no such run.
    :raises TallyfyResponseError: if Tallyfy does not show what must be kept, or something is lost or altered
        afterwards.
    :raises TallyfyError: if anything else failed, in one of its kinds.
    """

    template_fields: Sequence[str] = ("changes", *TallyfyRunChangeOperator.template_fields)
    template_fields_renderers = {"changes": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        run_id: str,
        changes: Mapping[str, Any] | str,
        dry_run: bool | str = False,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            run_id=run_id, dry_run=dry_run, organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id, **kwargs
        )
        self.changes: Any = changes

    def _change(self, run_id: str) -> Flow[RunChange]:
        """Update the run."""
        from airflow_provider_tallyfy.api import flows

        return flows.update_run(self.hook.organization_id, run_id, self.changes, self.hook.known_names)

    def _purpose(self, run_id: str) -> list[Any]:
        """Identify this update by its run and its values."""
        return [*super()._purpose(run_id), self.changes]


class TallyfyDeleteRunOperator(TallyfyRunOperator, TallyfyWriteOperator):
    """
    Delete a run for good, with tasks, comments, form values and files (documentation page "Delete process").

    There is no undo, so it takes two keys: ``run_id``, and ``confirm`` with the run's id or exact name. The result is
    the run as it was: ``id``, ``name``, ``status``, ``archived_at``, ``completed_at``, ``url``, ``changed``.

    A missing run is an error, unless an earlier try may have deleted it: then it is a success, with a warning.
    ``changed`` says whether this task deleted it, over all its tries, as far as Airflow remembers (>= 3.3).

    .. seealso:: :ref:`howto/operator:TallyfyDeleteRunOperator`

    :param run_id: id of the run (templated).
    :param confirm: the run's id or exact name, as a second key (templated).
    :param archive_first: archive a live run on the way. Otherwise only archived runs are deleted. Default: ``False``.
    :param snapshot_path: write run, tasks, form values and activity as JSON to this file first (templated): a local
        path, or a URL that ``ObjectStoragePath`` knows. If that fails, nothing is deleted. It fails for archived runs
        where Tallyfy does not show their tasks: restore such a run, and delete it with ``archive_first=True``. By
        default no snapshot is written.
    :param dry_run: log and return the requests instead of sending them (templated, as the field ``simulate``). Default:
        ``False``.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises TallyfyValidationError: if an argument is invalid, ``confirm`` does not fit, or the run is live. Nothing was
        deleted then.
    :raises TallyfyNotFoundError: if there is no such run.
    :raises TallyfyError: if anything else failed, in one of its kinds.
    """

    template_fields: Sequence[str] = ("run_id", "confirm", "snapshot_path", *TallyfyWriteOperator.template_fields)

    def __init__(
        self,
        *,
        run_id: str,
        confirm: str,
        archive_first: bool = False,
        snapshot_path: str | os.PathLike[str] | None = None,
        dry_run: bool | str = False,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            run_id=run_id, dry_run=dry_run, organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id, **kwargs
        )
        self.confirm = confirm
        self.archive_first = archive_first
        self.snapshot_path = snapshot_path

    def execute(self, context: Context) -> dict[str, Any]:
        """Delete the run."""
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.errors import TallyfyNotFoundError
        from airflow_provider_tallyfy.api.flows.update_delete import check_confirm, check_deletable
        from airflow_provider_tallyfy.api.inputs.checks import checked_flag
        from airflow_provider_tallyfy.files.checkpoint import Checkpoint

        with self.hook as hook:
            run_id = self._push_run_link(context)
            check_confirm(run_id, self.confirm)
            is_dry_run = self._is_dry_run
            archive_first = checked_flag(self.archive_first, "archive_first")
            snapshot_to = self._snapshot_to
            checkpoint = Checkpoint(context, [self.task_type, run_id])
            previous = checkpoint.load()
            try:
                before, is_shown = hook.execute(flows.locate_run(hook.organization_id, run_id))
            except TallyfyNotFoundError:
                if not self._may_have_deleted(run_id, previous):
                    raise
                is_certain = not previous.is_unknown(run_id) or bool(snapshot_to)
                gone = self._gone(run_id, is_certain=is_certain, changed=run_id in previous.intended)
                return self._describe_plan([]) if is_dry_run else gone
            check_deletable(before, self.confirm, archive_first=archive_first)
            if is_dry_run:
                return self._describe_deletion(before)
            checkpoint.save([run_id])
            if snapshot_to:
                self._take_snapshot(snapshot_to, before, is_retry=previous.is_retry)
            deleted = hook.execute(
                flows.delete_located_run(
                    hook.organization_id, before, confirm=self.confirm, archive_first=archive_first, is_shown=is_shown
                )
            )
        self._note(template_id=deleted.run.template_id, changed=True)
        self.log.info("Deleted run %s (%r) for good.", run_id, deleted.run.name)
        return {**deleted.run.describe(self.hook.run_url(run_id), changed=True), "status": "deleted"}

    @property
    def _snapshot_to(self) -> str | None:
        from airflow_provider_tallyfy.files.storage import checked_path

        return checked_path(self.snapshot_path, "snapshot_path") if self._was_given("snapshot_path") else None

    def _describe_deletion(self, run: Run) -> dict[str, Any]:
        from airflow_provider_tallyfy.api import calls

        organization_id = self.hook.organization_id
        archiving = [] if run.is_archived else [calls.archive_run(organization_id, run.id)]
        return self._describe_plan([*archiving, calls.delete_run(organization_id, run.id)])

    def _may_have_deleted(self, run_id: str, previous: PreviousAttempts) -> bool:
        """Tell whether an earlier try deleted the run; without any other memory, its snapshot proves it."""
        from airflow_provider_tallyfy.files.snapshots import is_snapshot_of

        if previous.is_unknown(run_id) and self._snapshot_to:
            return is_snapshot_of(run_id, self._snapshot_to)
        return previous.may_have_changed(run_id)

    def _gone(self, run_id: str, *, is_certain: bool, changed: bool) -> dict[str, Any]:
        from airflow_provider_tallyfy.api.models.run import Run

        if is_certain:
            self.log.warning("Run %s does not exist any more: an earlier try deleted it, or somebody else did.", run_id)
        else:
            self.log.warning(
                "Run %s does not exist.\n"
                "Before Airflow 3.3 nothing remembers an earlier try, unless snapshot_path is given.\n"
                "Check that the id is right.",
                run_id,
            )
        gone = Run(run_id, name="", stored_status="deleted")
        return {**gone.describe(self.hook.run_url(run_id), changed=changed), "name": None}

    def _take_snapshot(self, path: str, run: Run, *, is_retry: bool) -> None:
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.errors import TallyfyError
        from airflow_provider_tallyfy.files.snapshots import keep_earlier, write_snapshot

        try:
            content = self.hook.execute(flows.snapshot(self.hook.organization_id, run.id, known=run))
        except TallyfyError as refusal:
            keep_earlier(refusal, run.id, path, is_retry=is_retry)
            return
        write_snapshot(path, content)
        self.log.info("Wrote a snapshot of run %s to %s", run.id, path)
