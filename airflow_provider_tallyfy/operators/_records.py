"""Operators that read a run, and what belongs to it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.api import flows
from airflow_provider_tallyfy.api.inputs.checks import checked_time, listed
from airflow_provider_tallyfy.files.storage import (
    MOST_XCOM_BYTES,
    checked_path,
    checked_path_if_given,
    fitting,
    write_json,
    write_lines,
)
from airflow_provider_tallyfy.operators._base import TallyfyRunOperator


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
            run_id = self._push_run_link(context)
            run = hook.execute(flows.find_run(hook.organization_id, run_id))
            self.log.info("Run %s (%r) is %s: %s", run.id, run.name, run.status, hook.run_url(run_id))
            return run.describe(hook.run_url(run_id))


class TallyfyRunActivityOperator(TallyfyRunOperator):
    """
    Read the audit trail of a run, the oldest entry first (documentation page "Get process activity").

    Each entry is a dict: ``id``, ``verb``, ``kind``, ``subject_id``, ``description``, ``actor_name``, ``actor_email``,
    ``created_at``.

    .. seealso:: :ref:`howto/operator:TallyfyRunActivityOperator`

    :param run_id: the run (templated).
    :param since: only entries from this moment on: a datetime or ISO 8601 text (templated).
    :param until: only entries before this moment: a datetime or ISO 8601 text (templated).
    :param verbs: only entries with one of these verbs, for example ``["archived", "unarchived"]`` (templated); a
        template may render them with commas.
    :param output_path: write JSON lines here instead (templated); the result is then ``{"path", "count"}``.
    :param max_xcom_bytes: refuse to hand on more than this as XCom.
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    """

    template_fields: Sequence[str] = ("since", "until", "verbs", "output_path", *TallyfyRunOperator.template_fields)

    def __init__(
        self,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        verbs: Sequence[str] = (),
        output_path: str | os.PathLike[str] | None = None,
        max_xcom_bytes: int = MOST_XCOM_BYTES,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.since = since
        self.until = until
        self.verbs = verbs
        self.output_path = output_path
        self.max_xcom_bytes = max_xcom_bytes

    def execute(self, context: Context) -> Any:
        """
        Read the activity.

        :param context: of the running task.
        :raises TallyfyError: in one of its kinds.
        """
        with self.hook as hook:
            run_id = self._push_run_link(context)
            since, until = checked_time(self.since, "since"), checked_time(self.until, "until")
            verbs = listed(self.verbs, "verbs")
            path = checked_path_if_given(self.output_path, "output_path")
            flow = flows.list_activity(hook.organization_id, run_id, since, until, verbs)
            entries = [entry.describe() for entry in hook.execute(flow)]
            self.log.info("Run %s has %d such entries.", run_id, len(entries))
            if path:
                return {"path": path, "count": write_lines(path, entries)}
            return fitting(entries, self.max_xcom_bytes, "Ask for fewer verbs or a shorter time,")


class TallyfyExportRunOperator(TallyfyRunOperator):
    """
    Let Tallyfy export a run and write the JSON it answers to a file.

    .. seealso:: :ref:`howto/operator:TallyfyExportRunOperator`

    :param run_id: the run (templated).
    :param output_path: where to write it, a local path or a URL that ``ObjectStoragePath`` knows (templated).
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    """

    template_fields: Sequence[str] = ("output_path", *TallyfyRunOperator.template_fields)

    def __init__(self, *, output_path: str | os.PathLike[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_path = output_path

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Export the run.

        :param context: of the running task.
        :raises TallyfyError: in one of its kinds.
        """
        with self.hook as hook:
            run_id = self._push_run_link(context)
            path = checked_path(self.output_path, "output_path")
            write_json(path, hook.execute(flows.export_run(hook.organization_id, run_id)))
        self.log.info("Wrote the export of run %s to %s", run_id, path)
        return {"path": path}
