"""Operators that change a run's fields, or delete it for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.api import calls, flows
from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.exchange import Flow
from airflow_provider_tallyfy.api.flows.change import UPDATABLE_FIELDS, check_deletable
from airflow_provider_tallyfy.api.models import RunChange
from airflow_provider_tallyfy.exceptions import airflow_exceptions
from airflow_provider_tallyfy.operators.base import TallyfyRunChangeOperator, TallyfyRunOperator, TallyfyWriteOperator
from airflow_provider_tallyfy.output import write_json


class TallyfyUpdateRunOperator(TallyfyRunChangeOperator):
    """
    Change fields of a run and leave all others as they are (documentation page "Update process").

    Tallyfy empties a run's ``users`` and ``groups`` when an update does not name them; this operator reads them first
    and sends them along, and reads the run again afterwards to see that nothing else changed.

    .. seealso:: :ref:`howto/operator:TallyfyUpdateRunOperator`

    :param run_id: the run (templated).
    :param changes: new values by field (templated): ``name``, ``summary``, ``owner_id``, ``starred``, ``is_public``,
        ``publicly_hidden_fields``, ``users``, ``groups``, ``prerun``. Lists replace the current ones.
    :param dry_run: log and return the request instead of sending it (templated).
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    """

    template_fields: Sequence[str] = ("changes", *TallyfyRunChangeOperator.template_fields)
    template_fields_renderers = {"changes": "json"}  # noqa: RUF012

    def __init__(self, *, changes: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.changes = changes

    def change(self, run_id: str) -> Flow[RunChange]:
        """Update the run."""
        unknown = sorted(set(self.changes) - set(UPDATABLE_FIELDS))
        if unknown or not self.changes:
            with airflow_exceptions():
                raise TallyfyValidationError(
                    f"changes names {', '.join(unknown) or 'nothing'}; an update can set: "
                    f"{', '.join(UPDATABLE_FIELDS)}.",
                    run_id=run_id,
                    fields={"changes": unknown},
                )
        return flows.update_run(self.hook.organization_id, run_id, self.changes)


class TallyfyDeleteRunOperator(TallyfyRunOperator, TallyfyWriteOperator):
    """
    Delete a run for good, with tasks, comments, form values and files (documentation page "Delete process").

    There is no undo, so it takes two keys: ``run_id``, and ``confirm`` with the run's id or exact name. The result is
    the run as it was: ``id``, ``name``, ``status``, ``archived_at``, ``completed_at``, ``url``, ``changed``.

    .. seealso:: :ref:`howto/operator:TallyfyDeleteRunOperator`

    :param run_id: the run (templated).
    :param confirm: the run's id or exact name (templated).
    :param archive_first: archive a live run on the way; otherwise only archived runs are deleted.
    :param snapshot_path: write run, tasks, form values and activity as JSON here first (templated), a local path or a
        URL that ``ObjectStoragePath`` knows. If that fails, nothing is deleted.
    :param dry_run: log and return the requests instead of sending them (templated).
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    """

    template_fields: Sequence[str] = ("run_id", "confirm", "snapshot_path", *TallyfyWriteOperator.template_fields)

    def __init__(
        self, *, confirm: str, archive_first: bool = False, snapshot_path: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.confirm = confirm
        self.archive_first = archive_first
        self.snapshot_path = snapshot_path

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Delete the run.

        :param context: of the running task.
        :raises TallyfyValidationError: if the keys do not fit or the run is live.
        :raises TallyfyError: in one of its other kinds.
        """
        with self.hook as hook, airflow_exceptions():
            run_id = self.announce(context)
            before = hook.run(flows.look_up_run(hook.organization_id, run_id))
            if before is not None:
                check_deletable(before, self.confirm, archive_first=self.archive_first)
            if self.is_dry_run:
                archiving = (
                    [] if before is None or before.is_archived else [calls.archive_run(hook.organization_id, run_id)]
                )
                return self.describe_plan([*archiving, calls.delete_run(hook.organization_id, run_id)])
            if before is not None and self.snapshot_path:
                write_json(self.snapshot_path, hook.run(flows.snapshot(hook.organization_id, run_id)))
                self.log.info("Wrote a snapshot of run %s to %s", run_id, self.snapshot_path)
            deleted = hook.run(
                flows.delete_run(
                    hook.organization_id,
                    run_id,
                    confirm=self.confirm,
                    archive_first=self.archive_first,
                    may_be_gone=context["ti"].try_number > 1,
                )
            )
        url = self.hook.run_url(run_id)
        if deleted is None:
            self.log.info("Run %s is gone; an earlier try deleted it.", run_id)
            return {"id": run_id, "name": None, "status": "deleted", "url": url, "changed": False}
        self.log.info("Deleted run %s (%r) for good.", run_id, deleted.run.name)
        return {**deleted.run.describe(url, changed=True), "status": "deleted"}
