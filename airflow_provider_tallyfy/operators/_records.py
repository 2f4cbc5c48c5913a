"""Operators that read a run, and what belongs to it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID, MAX_XCOM_BYTES
from airflow_provider_tallyfy.operators._base import TallyfyRunOperator


class TallyfyGetRunOperator(TallyfyRunOperator):
    """
    Read a run, archived or not.

    The result is a small dict: ``id``, ``name``, ``status``, ``archived_at``, ``completed_at``, ``url`` and
    ``changed``, which is always ``False``.

    .. seealso:: :ref:`howto/operator:TallyfyGetRunOperator`

    :param run_id: id of the run (templated).
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises TallyfyValidationError: if an argument is invalid. Nothing was sent then.
    :raises TallyfyNotFoundError: if there is no such run.
    :raises TallyfyError: if anything else failed, in one of its kinds.
    """

    def __init__(
        self, *, run_id: str, organization_id: str | None = None, tallyfy_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any
    ) -> None:
        super().__init__(run_id=run_id, organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id, **kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        """Read the run."""
        from airflow_provider_tallyfy.api import flows

        with self.hook as hook:
            run_id = self._push_run_link(context)
            run = hook.execute(flows.find_run(hook.organization_id, run_id))
            self._note(template_id=run.template_id)
            self.log.info("Run %s (%r) is %s: %s", run.id, run.name, run.status, hook.run_url(run_id))
            return run.describe(hook.run_url(run_id))


class TallyfyRunActivityOperator(TallyfyRunOperator):
    """
    Read the audit trail of a run, the oldest entry first (documentation page "Get process activity").

    The result is a list of dicts: ``id``, ``verb``, ``kind``, ``subject_id``, ``description``, ``actor_name``,
    ``actor_email``, ``created_at``.

    .. seealso:: :ref:`howto/operator:TallyfyRunActivityOperator`

    :param run_id: id of the run (templated).
    :param since: only entries from this moment on (templated): a datetime, or ISO 8601 text. Without a time zone it is
        UTC. By default from the beginning.
    :param until: only entries before this moment (templated): a datetime, or ISO 8601 text. Without a time zone it is
        UTC. By default to the end.
    :param verbs: only entries with one of these verbs, for example ``["archived", "unarchived"]`` (templated): a list,
        or text with commas between them. Default: ``()``, which is all.
    :param output_path: write JSON lines to this file (templated): a local path, or a URL that ``ObjectStoragePath``
        knows. The result is then ``{"path", "count"}``. By default the list is the result.
    :param max_xcom_bytes: the number of bytes that the XCom may have. A longer result fails the task. Default:
        ``49152``.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises TallyfyValidationError: if an argument is invalid, or the result is too long for an XCom.
    :raises TallyfyNotFoundError: if there is no such run.
    :raises TallyfyError: if anything else failed, in one of its kinds.
    """

    template_fields: Sequence[str] = ("since", "until", "verbs", "output_path", *TallyfyRunOperator.template_fields)

    def __init__(
        self,
        *,
        run_id: str,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        verbs: Sequence[str] | str = (),
        output_path: str | os.PathLike[str] | None = None,
        max_xcom_bytes: int = MAX_XCOM_BYTES,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(run_id=run_id, organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id, **kwargs)
        self.since = since
        self.until = until
        self.verbs = verbs
        self.output_path = output_path
        self.max_xcom_bytes = max_xcom_bytes

    def execute(self, context: Context) -> Any:
        """Read the activity."""
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.inputs.checks import checked_time, listed
        from airflow_provider_tallyfy.files.storage import checked_path_if_given, rows_for_xcom, write_lines

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
            return rows_for_xcom(entries, self.max_xcom_bytes, "Ask for fewer verbs or a shorter time,")


class TallyfyExportRunOperator(TallyfyRunOperator):
    """
    Let Tallyfy export a run, and write the JSON of its answer to a file. The result is ``{"path"}``.

    .. seealso:: :ref:`howto/operator:TallyfyExportRunOperator`

    :param run_id: id of the run (templated).
    :param output_path: file to write the JSON to (templated): a local path, or a URL that ``ObjectStoragePath`` knows.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises TallyfyValidationError: if an argument is invalid. Nothing was sent then.
    :raises TallyfyNotFoundError: if there is no such run, or it is archived and Tallyfy does not export those.
    :raises TallyfyError: if anything else failed, in one of its kinds.
    """

    template_fields: Sequence[str] = ("output_path", *TallyfyRunOperator.template_fields)

    def __init__(
        self,
        *,
        run_id: str,
        output_path: str | os.PathLike[str],
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(run_id=run_id, organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id, **kwargs)
        self.output_path = output_path

    def execute(self, context: Context) -> dict[str, Any]:
        """Export the run."""
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.files.storage import checked_path, write_json

        with self.hook as hook:
            run_id = self._push_run_link(context)
            path = checked_path(self.output_path, "output_path")
            write_json(path, hook.execute(flows.export_run(hook.organization_id, run_id)))
        self.log.info("Wrote the export of run %s to %s", run_id, path)
        return {"path": path}
