"""All operators for one run; the longer ones have modules of their own."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.api import flows
from airflow_provider_tallyfy.api.exchange import Flow
from airflow_provider_tallyfy.api.models import RunChange
from airflow_provider_tallyfy.operators.base import TallyfyRunChangeOperator, TallyfyRunOperator
from airflow_provider_tallyfy.operators.change import TallyfyDeleteRunOperator, TallyfyUpdateRunOperator
from airflow_provider_tallyfy.operators.details import TallyfyExportRunOperator, TallyfyRunActivityOperator
from airflow_provider_tallyfy.operators.launch import TallyfyLaunchProjectOperator, TallyfyLaunchRunOperator
from airflow_provider_tallyfy.operators.listing import TallyfyListRunsOperator

__all__ = [
    "TallyfyActivateRunOperator",
    "TallyfyArchiveRunOperator",
    "TallyfyDeleteRunOperator",
    "TallyfyExportRunOperator",
    "TallyfyGetRunOperator",
    "TallyfyLaunchProjectOperator",
    "TallyfyLaunchRunOperator",
    "TallyfyListRunsOperator",
    "TallyfyRunActivityOperator",
    "TallyfyUpdateRunOperator",
]


class TallyfyActivateRunOperator(TallyfyRunChangeOperator):
    """
    Restore an archived run; a live run is a success with ``changed: False``.

    The run comes back with the status it had before it was archived, and so do its tasks
    (documentation page "Activate process").

    .. seealso:: :ref:`howto/operator:TallyfyActivateRunOperator`

    :param run_id: the run (templated).
    :param dry_run: log and return the request instead of sending it (templated).
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    """

    def change(self, run_id: str) -> Flow[RunChange]:
        """Restore the run."""
        return flows.activate_run(self.hook.organization_id, run_id)


class TallyfyArchiveRunOperator(TallyfyRunChangeOperator):
    """
    Archive a run, whatever its status; an archived run is a success with ``changed: False``.

    Nothing is lost: :class:`TallyfyActivateRunOperator` restores it (documentation page "Archive process").

    .. seealso:: :ref:`howto/operator:TallyfyArchiveRunOperator`

    :param run_id: the run (templated).
    :param dry_run: log and return the request instead of sending it (templated).
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    """

    def change(self, run_id: str) -> Flow[RunChange]:
        """Archive the run."""
        return flows.archive_run(self.hook.organization_id, run_id)


class TallyfyGetRunOperator(TallyfyRunOperator):
    """
    Read a run, archived or not, and hand on the small dict of the other operators; ``changed`` is always ``False``.

    .. seealso:: :ref:`howto/operator:TallyfyGetRunOperator`

    :param run_id: the run (templated).
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Read the run.

        :param context: of the running task.
        :raises TallyfyError: in one of its kinds.
        """
        with self.hook as hook:
            run_id = self.announce(context)
            run = hook.run(flows.find_run(hook.organization_id, run_id))
            self.log.info("Run %s (%r) is %s: %s", run.id, run.name, run.status, hook.run_url(run_id))
            return run.describe(hook.run_url(run_id))
