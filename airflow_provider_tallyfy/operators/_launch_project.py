"""The operator that launches a run without a template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID
from airflow_provider_tallyfy.operators._launch import TallyfyLaunchOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.call import Flow
    from airflow_provider_tallyfy.api.flows import LaunchKey
    from airflow_provider_tallyfy.api.models.run import RunChange


class TallyfyLaunchProjectOperator(TallyfyLaunchOperator):
    """
    Launch a run without a template, which Tallyfy calls a project (page "Launch process without template").

    The run gets a task for each assignee, group members one by one. It can wait for the completion of all of them.

    The run is launched once, whatever happens to the task. Tallyfy has no idempotency key, so a marker stands in the
    run's summary from the moment it exists, made of DAG, DAG run, task and map index. A retry, a second try at the
    same time and a cleared task find that run and adopt it. Do not remove the marker while the task may still be
    retried.

    The result is a small dict: ``id``, ``name``, ``status``, ``archived_at``, ``completed_at``, ``url`` and
    ``changed``, which is ``False`` if another try launched the run. A launch whose answer was lost is this try's own.

    .. seealso:: :ref:`howto/operator:TallyfyLaunchProjectOperator`

    :param title: name of the run and its tasks, at most 600 characters (templated).
    :param owners: who does it (templated): ``{"users": [...], "guests": [...], "groups": [...]}``, or some of these.
    :param task_kind: ``task``, ``approval``, ``expiring``, ``email`` or ``expiring_email``. Default: ``task``.
    :param deadline: when it is due (templated): a datetime, text like ``2026-01-31 17:00:00`` (UTC), or a timedelta
        that counts from the launch. Default: 7 days.
    :param summary: what is to be done (templated). The launch's marker is added to it.
    :param launch_key: recognize the launch by this text instead of by the task (templated), for example an order
        number: one run per key and template, across DAG runs. Give it to mapped tasks whose list may change between
        tries, too: without it they are told apart by their place in the list.
    :param look_back: how far back to look for a run with this ``launch_key`` before each launch (templated): a
        timedelta, or text like ``"90d"``, ``"12h"``, ``"30m"`` or ``"2w"``. A bare number is refused. By default
        through all runs of the template, 100 per request.
    :param relaunch_on_clear: whether clearing the task launches another run. Otherwise a cleared task adopts the first
        one. Default: ``False``.
    :param wait_for_completion: whether the task ends only when people have completed the run. Default: ``False``.
    :param failure_status: statuses that fail the wait (templated): one, a list, or text of a list. Default:
        ``archived``.
    :param poll_interval: pause between two looks while waiting: seconds above zero, or a timedelta. Default: ``60``
        seconds.
    :param timeout: how long to wait at most: seconds, or a timedelta. After that the task fails, and the run goes on.
        Default: 7 days.
    :param max_poll_failures: how many looks in a row may fail; ``None`` for any number. Default: ``100``.
    :param deferrable: wait in the triggerer, without a worker. Default: Airflow's ``[operators] default_deferrable``,
        which is ``False``.
    :param end_from_trigger: let a deferred wait that succeeds end in the triggerer, so that no worker starts for it;
        see :class:`~airflow_provider_tallyfy.sensors.tallyfy.TallyfyRunStatusSensor`. Default: ``False``.
    :param dry_run: log and return the requests instead of sending them (templated, as the field ``simulate``). Default:
        ``False``.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises TallyfyValidationError: with every problem of the values at once. Nothing was launched then.
    :raises TallyfyUnknownOutcomeError: if nobody can tell yet whether the run was launched. A retry looks again.
    :raises TallyfyError: if anything else failed, in one of its kinds.
    """

    template_fields: Sequence[str] = ("title", "owners", "deadline", "summary", *TallyfyLaunchOperator.template_fields)
    template_fields_renderers = {"owners": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        title: str,
        owners: Mapping[str, Sequence[Any]] | str,
        task_kind: str = "task",
        deadline: datetime | timedelta | str = timedelta(days=7),
        summary: str | None = None,
        launch_key: str | int | None = None,
        look_back: timedelta | str | None = None,
        relaunch_on_clear: bool = False,
        wait_for_completion: bool = False,
        failure_status: str | Iterable[str] = ("archived",),
        poll_interval: timedelta | float = 60,
        timeout: timedelta | float = timedelta(days=7),
        max_poll_failures: int | None = 100,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        end_from_trigger: bool = False,
        dry_run: bool | str = False,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            launch_key=launch_key,
            look_back=look_back,
            relaunch_on_clear=relaunch_on_clear,
            wait_for_completion=wait_for_completion,
            failure_status=failure_status,
            poll_interval=poll_interval,
            timeout=timeout,
            max_poll_failures=max_poll_failures,
            deferrable=deferrable,
            end_from_trigger=end_from_trigger,
            dry_run=dry_run,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )
        self.title = title
        self.owners: Any = owners
        self.task_kind = task_kind
        self.deadline = deadline
        self.summary = summary

    @property
    def _scope(self) -> str:
        """All projects of the organization."""
        from airflow_provider_tallyfy.api.flows import PROJECTS

        return PROJECTS

    def _launch(self, organization_id: str, key: LaunchKey) -> Flow[RunChange]:
        """Launch the project."""
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.flows import ProjectRequest

        now = datetime.now(UTC)
        owners = self.hook.with_ids({"owners": self.owners})["owners"]
        due = now + self.deadline if isinstance(self.deadline, timedelta) else self.deadline
        project = ProjectRequest(self.title, owners, due, self.task_kind, self.summary)
        return flows.launch_project(organization_id, project.body(), key)
