"""Operators that launch runs, once each, and may wait for people to complete them."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import Context, conf

from airflow_provider_tallyfy.api import flows
from airflow_provider_tallyfy.api.checks import checked_id
from airflow_provider_tallyfy.api.exchange import Flow
from airflow_provider_tallyfy.api.flows import LaunchKey, LaunchRequest
from airflow_provider_tallyfy.api.models import RunChange
from airflow_provider_tallyfy.api.waits import RunWait
from airflow_provider_tallyfy.exceptions import airflow_exceptions
from airflow_provider_tallyfy.links.tallyfy import TallyfyRunLink, push_run
from airflow_provider_tallyfy.operators.base import TallyfyWriteOperator
from airflow_provider_tallyfy.waiting import Look, Patience, conclude, ending_of, may_end_in_triggerer, status_trigger

_CHANGED_KEY = "changed"


class TallyfyLaunchOperator(TallyfyWriteOperator):
    """
    Base of the operators that launch a run once, whatever happens to the task that does it.

    Tallyfy has no idempotency key. A key made of DAG, DAG run, task and map index stands as a short marker in the run's
    summary from the moment it exists; a retry, a second try at the same time and a cleared task find and adopt that run
    (``changed: False``).

    :param launch_key: recognise the launch by this text instead (templated), for example an order number: one run per
        key and template, across DAG runs.
    :param relaunch_on_clear: whether clearing the task launches another run; otherwise it adopts the first one.
    :param wait_for_completion: whether the task ends only when people have completed the run.
    :param failure_status: statuses that fail the wait.
    :param poll_interval: seconds between two looks while waiting.
    :param timeout: seconds to wait at most; the run goes on after that.
    :param max_poll_failures: how many looks in a row may fail; ``None`` for any number.
    :param deferrable: wait in the triggerer, without a worker.
    """

    template_fields: Sequence[str] = ("launch_key", *TallyfyWriteOperator.template_fields)
    operator_extra_links = (TallyfyRunLink(),)

    def __init__(
        self,
        *,
        launch_key: str | None = None,
        relaunch_on_clear: bool = False,
        wait_for_completion: bool = False,
        failure_status: str | Iterable[str] = ("archived",),
        poll_interval: float = 60,
        timeout: timedelta | float = timedelta(days=7),
        max_poll_failures: int | None = 100,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.launch_key = launch_key
        self.relaunch_on_clear = relaunch_on_clear
        self.wait_for_completion = wait_for_completion
        self.failure_status = failure_status
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.max_poll_failures = max_poll_failures
        self.deferrable = deferrable

    @abstractmethod
    def launch(self, organization_id: str, key: LaunchKey) -> Flow[RunChange]:
        """
        Make the flow that launches.

        :param organization_id: where to launch.
        :param key: the launch's key.
        """

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Launch the run or adopt it, and wait for it if asked to.

        :param context: of the running task.
        :raises TallyfyError: in one of its kinds.
        """
        with self.hook as hook:
            key = self._key(context)
            if self.is_dry_run:
                return self.plan(self.launch(hook.organization_id, key))
            change = self._remembered(context, key) or hook.run(self.launch(hook.organization_id, key))
            self._remember(context, key, change.run.id)
            url = hook.run_url(change.run.id)
            push_run(context, change.run.id, url)
            context["ti"].xcom_push(key=_CHANGED_KEY, value=change.changed)
            verb = "Launched" if change.changed else "Adopted, which an earlier try launched,"
            self.log.info("%s run %s (%r): %s", verb, change.run.id, change.run.name, url)
            if not self.wait_for_completion:
                return change.run.describe(url, changed=change.changed)
            return self._wait(context, change)

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """
        Take up the task after the trigger's wait.

        :param context: of the running task.
        :param event: what the trigger sent.
        """
        ti = context["ti"]
        changed = ti.xcom_pull(task_ids=ti.task_id, key=_CHANGED_KEY, map_indexes=ti.map_index)
        run = conclude(ending_of(event), "Completion of the run", self._patience)
        return {**run, "changed": bool(changed)}

    @property
    def _patience(self) -> Patience:
        timeout = self.timeout.total_seconds() if isinstance(self.timeout, timedelta) else self.timeout
        return Patience(timeout, self.execution_timeout)

    def _wait(self, context: Context, change: RunChange) -> dict[str, Any]:
        with airflow_exceptions():
            wait = RunWait.checked(change.run.id, "complete", self.failure_status, "fail")
        look = Look(self.hook, wait, self.max_poll_failures, tell=lambda line: self.log.info("%s", line))
        patience = self._patience
        deadline = patience.deadline
        ending = look()
        while ending is None:
            if self.deferrable:
                self._defer(wait, patience)
            if time.time() >= deadline:
                patience.end("Completion of the run")
            time.sleep(max(0.0, min(self.poll_interval, deadline - time.time())))
            ending = look()
        return {**conclude(ending, "Completion of the run", patience), "changed": change.changed}

    def _defer(self, wait: RunWait, patience: Patience) -> None:
        trigger = status_trigger(
            wait,
            organization_id=self.organization_id,
            tallyfy_conn_id=self.tallyfy_conn_id,
            poll_interval=self.poll_interval,
            deadline=patience.deadline,
            max_poll_failures=self.max_poll_failures,
            end_task=may_end_in_triggerer(self),
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=patience.backstop)

    def _key(self, context: Context) -> LaunchKey:
        if self.launch_key:
            return LaunchKey(str(self.launch_key))
        ti, dag_run = context["ti"], context["dag_run"]
        generation = getattr(dag_run, "clear_number", 0) if self.relaunch_on_clear else 0
        parts = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index, generation)
        since = getattr(dag_run, "run_after", None) or dag_run.logical_date
        return LaunchKey("/".join(map(str, parts)), may_exist=ti.try_number > 1, since=since)

    def _remembered(self, context: Context, key: LaunchKey) -> RunChange | None:
        """Find the run by its id in Airflow's task state (>= 3.3), which spares looking through lists."""
        store: Any = context.get("task_state_store")
        run_id = store.get(key.marker) if store is not None else None
        run = self.hook.run(flows.look_up_run(self.hook.organization_id, run_id)) if run_id else None
        return None if run is None else RunChange(run, changed=False)

    def _remember(self, context: Context, key: LaunchKey, run_id: str) -> None:
        store: Any = context.get("task_state_store")
        if store is not None:
            store.set(key.marker, run_id)


class TallyfyLaunchRunOperator(TallyfyLaunchOperator):
    """
    Launch a run of a template, once (documentation page "Launch process").

    The result is a small dict: ``id``, ``name``, ``status``, ``archived_at``, ``completed_at``, ``url`` and ``changed``
    (``False`` if the run was launched by an earlier try).

    .. seealso:: :ref:`howto/operator:TallyfyLaunchRunOperator`

    :param template_id: the template (templated).
    :param name: name of the run, at most 550 characters (templated); by default Tallyfy names it.
    :param kickoff: values of the kick-off form by field label, alias or id (templated). They are encoded by the
        template's field types; every problem is reported before anything is launched.
    :param prerun: values by field id in Tallyfy's own encoding, sent as they are (templated); they win over
        ``kickoff``.
    :param summary: description of the run (templated); the launch's marker is added to it.
    :param owner_id: user who owns the run (templated).
    :param tags: ids of tags (templated).
    :param folders: ids of folders (templated).
    :param users: ids of users who are assigned to the run (templated).
    :param groups: ids of groups that are assigned to the run (templated).
    :param parent_id: run that this one belongs to (templated).
    :param tasks: deadline and owners by step id (templated). Steps that are not named keep their own.
    :param roles: users, guests and groups by role id (templated).
    :param launch_key: see :class:`TallyfyLaunchOperator`, as for the parameters of waiting.
    """

    template_fields: Sequence[str] = (
        "template_id",
        "name",
        "kickoff",
        "prerun",
        "summary",
        "owner_id",
        "tags",
        "folders",
        "users",
        "groups",
        "parent_id",
        "tasks",
        "roles",
        *TallyfyLaunchOperator.template_fields,
    )
    template_fields_renderers = {"kickoff": "json", "prerun": "json", "tasks": "json", "roles": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        template_id: str,
        name: str | None = None,
        kickoff: Mapping[str, Any] | None = None,
        prerun: Mapping[str, Any] | None = None,
        summary: str | None = None,
        owner_id: int | str | None = None,
        tags: Sequence[str] | None = None,
        folders: Sequence[str] | None = None,
        users: Sequence[int] | None = None,
        groups: Sequence[str] | None = None,
        parent_id: str | None = None,
        tasks: Mapping[str, Any] | None = None,
        roles: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.template_id = template_id
        self.name = name
        self.kickoff = kickoff
        self.prerun = prerun
        self.summary = summary
        self.owner_id = owner_id
        self.tags = tags
        self.folders = folders
        self.users = users
        self.groups = groups
        self.parent_id = parent_id
        self.tasks = tasks
        self.roles = roles

    def launch(self, organization_id: str, key: LaunchKey) -> Flow[RunChange]:
        """Launch the run."""
        with airflow_exceptions():
            template_id = checked_id(self.template_id, "template_id")
        names = ("name", "prerun", "summary", "owner_id", "tags", "folders", "users", "groups", "parent_id", "roles")
        request = LaunchRequest(
            template_id=template_id,
            kickoff=self.kickoff,
            tasks=self.tasks,
            fields={name: getattr(self, name) for name in names},
        )
        return flows.launch_run(organization_id, request, key)


class TallyfyLaunchProjectOperator(TallyfyLaunchOperator):
    """
    Launch a run without a template, which Tallyfy calls a project (page "Launch process without template").

    .. seealso:: :ref:`howto/operator:TallyfyLaunchProjectOperator`

    :param title: what is to be done, at most 600 characters (templated).
    :param owners: ``{"users": [...], "guests": [...], "groups": [...]}`` who do it, a task for each (templated).
    :param task_kind: ``task``, ``approval``, ``expiring``, ``email`` or ``expiring_email``.
    :param deadline: when it is due, ``YYYY-MM-DD HH:MM:SS`` UTC (templated).
    :param summary: description (templated); the launch's marker is added to it.
    :param separate_task_for_each_assignee: whether each owner gets a task of their own.
    :param launch_key: see :class:`TallyfyLaunchOperator`, as for the parameters of waiting.
    """

    template_fields: Sequence[str] = (
        "title",
        "owners",
        "deadline",
        "summary",
        *TallyfyLaunchOperator.template_fields,
    )
    template_fields_renderers = {"owners": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        title: str,
        owners: Mapping[str, Sequence[Any]] | None = None,
        task_kind: str = "task",
        deadline: str | None = None,
        summary: str | None = None,
        separate_task_for_each_assignee: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.title = title
        self.owners = owners
        self.task_kind = task_kind
        self.deadline = deadline
        self.summary = summary
        self.separate_task_for_each_assignee = separate_task_for_each_assignee

    def launch(self, organization_id: str, key: LaunchKey) -> Flow[RunChange]:
        """Launch the project."""
        body = {
            "title": self.title,
            "owners": self.owners,
            "task_type": self.task_kind,
            "deadline": self.deadline,
            "summary": self.summary,
            "separate_task_for_each_assignee": self.separate_task_for_each_assignee,
        }
        given = {name: value for name, value in body.items() if value is not None}
        return flows.launch_project(organization_id, given, key)
