"""All operators for one run; the longer ones have modules of their own."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.api import flows
from airflow_provider_tallyfy.operators.base import TallyfyRunOperator
from airflow_provider_tallyfy.operators.change import TallyfyDeleteRunOperator, TallyfyUpdateRunOperator
from airflow_provider_tallyfy.operators.details import TallyfyExportRunOperator, TallyfyRunActivityOperator
from airflow_provider_tallyfy.operators.launch import TallyfyLaunchProjectOperator, TallyfyLaunchRunOperator
from airflow_provider_tallyfy.operators.lifecycle import TallyfyActivateRunOperator, TallyfyArchiveRunOperator
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
