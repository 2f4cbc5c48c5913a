"""Operators for one run: restore it, archive it, read it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_provider_tallyfy.api.checks import checked_id
from airflow_provider_tallyfy.api.models import RunChange
from airflow_provider_tallyfy.connection import DEFAULT_CONN_ID
from airflow_provider_tallyfy.exceptions import airflow_exceptions
from airflow_provider_tallyfy.links.tallyfy import TallyfyRunLink, push_run

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook


class TallyfyRunOperator(BaseOperator):
    """
    Base of the operators that do something with one existing run.

    The XComs ``run_id`` and ``run_url`` are pushed before Tallyfy is asked, so ``op.output["run_id"]`` chains tasks
    and the link to the run is there even if the task fails. The result is a small dict: ``id``, ``name``, ``status``,
    ``archived_at``, ``completed_at``, ``url`` and ``changed`` (whether this task changed the run).

    :param run_id: the run (templated).
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    """

    template_fields: Sequence[str] = ("run_id", "organization_id", "tallyfy_conn_id")
    operator_extra_links = (TallyfyRunLink(),)
    ui_color = "#e3f4ea"

    def __init__(
        self,
        *,
        run_id: str,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.organization_id = organization_id
        self.tallyfy_conn_id = tallyfy_conn_id

    @cached_property
    def hook(self) -> TallyfyHook:
        """The hook, made when a task runs: DAG files load no HTTP library."""
        from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

        return TallyfyHook(self.tallyfy_conn_id, self.organization_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Act on the run and describe it.

        :param context: of the running task.
        :raises TallyfyError: in one of its kinds.
        """
        with airflow_exceptions():
            run_id = checked_id(self.run_id)
        with self.hook as hook:
            url = hook.run_url(run_id)
            push_run(context, run_id, url)
            change = self.act(hook, run_id)
        self.log.info(
            "Run %s (%r) is %s%s: %s",
            change.run.id,
            change.run.name,
            change.run.status,
            "" if change.changed else ", unchanged",
            url,
        )
        return change.run.describe(url, changed=change.changed)

    def act(self, hook: TallyfyHook, run_id: str) -> RunChange:
        """
        Do what the operator is for.

        :param hook: talks to Tallyfy.
        :param run_id: the run, checked.
        """
        raise NotImplementedError


class TallyfyActivateRunOperator(TallyfyRunOperator):
    """
    Restore an archived run; a live run is a success with ``changed: False``.

    The run comes back with the status it had before it was archived, and so do its tasks
    (documentation page "Activate process").

    .. seealso:: :ref:`howto/operator:TallyfyActivateRunOperator`

    :param run_id: the run (templated).
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    """

    def act(self, hook: TallyfyHook, run_id: str) -> RunChange:
        """Restore the run."""
        return hook.activate_run(run_id)


class TallyfyArchiveRunOperator(TallyfyRunOperator):
    """
    Archive a run, whatever its status; an archived run is a success with ``changed: False``.

    Nothing is lost: :class:`TallyfyActivateRunOperator` restores it (documentation page "Archive process").

    .. seealso:: :ref:`howto/operator:TallyfyArchiveRunOperator`

    :param run_id: the run (templated).
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    """

    def act(self, hook: TallyfyHook, run_id: str) -> RunChange:
        """Archive the run."""
        return hook.archive_run(run_id)


class TallyfyGetRunOperator(TallyfyRunOperator):
    """
    Read a run, archived or not; ``changed`` is always ``False``.

    .. seealso:: :ref:`howto/operator:TallyfyGetRunOperator`

    :param run_id: the run (templated).
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    """

    def act(self, hook: TallyfyHook, run_id: str) -> RunChange:
        """Read the run."""
        return RunChange(hook.get_run(run_id), changed=False)
