"""Lineage: which run and template a task is about, for OpenLineage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.links.tallyfy import push_run


class TellsLineage:
    """A task that notes what it is about, so that OpenLineage's provider can ask for it where that is installed."""

    _writes = False
    _lineage: Mapping[str, Any] = {}

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """
        Give OpenLineage's provider the run, its template, the organization and whether the task changed the run.

        :param task_instance: not used: the process that asks may not read XComs.
        """
        from airflow_provider_tallyfy.lineage.facets import lineage_of

        return lineage_of(self, self._lineage, writes=self._writes)

    def _note(self, **facts: Any) -> None:
        """Note ``run_id`` with its ``url``, or ``counts`` with ``organization_id``; ``template_id`` and ``changed``."""
        self._lineage = {**self._lineage, **facts}

    def _push_run(self, context: Context, run_id: str, url: str) -> None:
        """Note which run it is, and push the XComs that lead to it."""
        self._note(run_id=run_id, url=url)
        push_run(context, run_id, url)
