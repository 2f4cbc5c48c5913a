"""Operators that launch runs, once each, and may wait for people to complete them."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context, conf

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID
from airflow_provider_tallyfy.links.tallyfy import TallyfyRunLink, name_run
from airflow_provider_tallyfy.operators._base import TallyfyWriteOperator, first_moment, task_instance_key

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.call import Flow
    from airflow_provider_tallyfy.api.flows import LaunchKey
    from airflow_provider_tallyfy.api.models.run import RunChange
    from airflow_provider_tallyfy.waits.deadline import Deadline
    from airflow_provider_tallyfy.waits.details import TaskGoal
    from airflow_provider_tallyfy.waits.goals import RunGoal
    from airflow_provider_tallyfy.waits.results import WaitResult
    from airflow_provider_tallyfy.waits.worker import Poller

_CHANGED_KEY = "changed"


class TallyfyLaunchOnceOperator(TallyfyWriteOperator):
    """Base of the operators that launch a run once, whatever happens to the task, and wait for what people do."""

    operator_extra_links = (TallyfyRunLink(),)
    launch_key: str | int | None = None
    look_back: timedelta | str | None = None

    def __init__(
        self,
        *,
        relaunch_on_clear: bool = False,
        poll_interval: timedelta | float = 60,
        max_poll_failures: int | None = 100,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.relaunch_on_clear = relaunch_on_clear
        self.poll_interval = poll_interval
        self.max_poll_failures = max_poll_failures
        self.deferrable = deferrable

    @property
    @abstractmethod
    def _scope(self) -> str:
        """Where a ``launch_key`` stands for one run: a template, or all projects."""

    @abstractmethod
    def _launch(self, organization_id: str, key: LaunchKey) -> Flow[RunChange]:
        """Make the flow that launches."""

    @property
    @abstractmethod
    def _timeout(self) -> float:
        """How many seconds to wait."""

    @abstractmethod
    def _follow(self, context: Context, change: RunChange) -> dict[str, Any]:
        """Go on after the launch, and give the result."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Launch the run or adopt it, and wait for it if asked to."""
        from airflow_provider_tallyfy.api.flows import PROJECTS

        with self.hook as hook:
            self._check()
            key = self._key(context)
            change = self._remembered(context, key)
            if self._is_dry_run:
                return self._describe_plan([]) if change else self._plan(self._launch(hook.organization_id, key))
            change = change or hook.execute(self._launch(hook.organization_id, key))
            self._remember(context, key, change.run.id)
            url = hook.run_url(change.run.id)
            self._push_run(context, change.run.id, url)
            self._note(template_id=change.run.template_id, changed=change.changed)
            name_run(context, change.run.name)
            context["ti"].xcom_push(key=_CHANGED_KEY, value=change.changed)
            verb = "Launched" if change.changed else "Adopted, which an earlier try launched,"
            self.log.info("%s run %s (%r): %s", verb, change.run.id, change.run.name, url)
            if change.changed and self._scope != PROJECTS and not key.is_on(change.run):
                self.log.warning(
                    "Tallyfy did not keep %s in the run's summary.\nNo retry would find the run.", key.marker
                )
            return self._follow(context, change)

    def _check(self) -> None:
        """Refuse before anything is launched what would be refused when the wait begins."""
        from airflow_provider_tallyfy.api.inputs.checks import checked_count, checked_flag

        checked_count(self.max_poll_failures, "max_poll_failures", least=0)
        checked_flag(self.deferrable, "deferrable")

    def _check_times(self, name: str) -> None:
        from airflow_provider_tallyfy.api.inputs.checks import checked_seconds

        _ = self._poll_seconds
        if self._timeout != float("inf"):  # for ever
            checked_seconds(self._timeout, name, least=0)

    @property
    def _ends_in_triggerer(self) -> bool:
        return False

    @property
    def _poll_seconds(self) -> float:
        from airflow_provider_tallyfy.api.inputs.checks import checked_seconds

        return checked_seconds(self.poll_interval, "poll_interval")

    def _new_deadline(self) -> Deadline:
        from airflow_provider_tallyfy.waits.deadline import Deadline

        return Deadline(self._timeout, self.execution_timeout)

    def _wait(self, goal: RunGoal | TaskGoal, deadline: Deadline) -> WaitResult:
        from airflow_provider_tallyfy.api.inputs.checks import checked_flag
        from airflow_provider_tallyfy.waits.results import WaitResult
        from airflow_provider_tallyfy.waits.worker import Poller

        poller = Poller(self.hook, goal, self.max_poll_failures, lambda line: self.log.info("%s", line))
        result = poller.look()
        is_deferrable = checked_flag(self.deferrable, "deferrable")
        while result is None:
            if is_deferrable:
                self._defer(goal, poller, deadline)
            if not deadline.left:
                return WaitResult.timed_out(goal.text)
            time.sleep(min(self._poll_seconds, deadline.left))
            result = poller.look()
        return result

    def _defer(self, goal: RunGoal | TaskGoal, poller: Poller, deadline: Deadline) -> None:
        from airflow_provider_tallyfy.triggers._waits import trigger_for

        trigger = trigger_for(
            goal,
            poller.newer_than,
            organization_id=self.organization_id,
            tallyfy_conn_id=self.tallyfy_conn_id,
            poll_interval=self._poll_seconds,
            deadline=deadline.moment,
            max_poll_failures=self.max_poll_failures,
            end_task=self._ends_in_triggerer,
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=deadline.backstop)

    def _key(self, context: Context) -> LaunchKey:
        from airflow_provider_tallyfy.api.flows import LaunchKey
        from airflow_provider_tallyfy.api.inputs.checks import checked_flag, moment_before

        ti = context["ti"]
        task = task_instance_key(ti)
        # Clearing raises max_tries by the tries that were made, of this task only; retries leave it as it is.
        relaunches = checked_flag(self.relaunch_on_clear, "relaunch_on_clear")
        tries_before_clear = max(0, ti.max_tries - (self.retries or 0)) if relaunches else 0
        retried = ti.try_number > 1
        since = moment_before(datetime.now(UTC), self.look_back, "look_back")
        if self.launch_key is None:
            parts, pages = (self._scope, task, tries_before_clear), None if retried else 1
            return LaunchKey("/".join(map(str, parts)), pages=pages, since=first_moment(context["dag_run"]))
        key = LaunchKey.given(self.launch_key, self._scope, since, just_now=retried)
        if tries_before_clear:
            return replace(key, text="/".join(map(str, (key.text, task, tries_before_clear))))
        return key

    def _remembered(self, context: Context, key: LaunchKey) -> RunChange | None:
        """Find the run by its id in Airflow's task state (>= 3.3), which spares looking through lists."""
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.models.run import RunChange

        store: Any = context.get("task_state_store")
        run_id = store.get(key.marker) if store is not None else None
        run = self.hook.execute(flows.look_up_run(self.hook.organization_id, run_id)) if run_id else None
        return None if run is None else RunChange(run, changed=False)

    def _remember(self, context: Context, key: LaunchKey, run_id: str) -> None:
        store: Any = context.get("task_state_store")
        if store is not None:
            store.set(key.marker, run_id)


class TallyfyLaunchOperator(TallyfyLaunchOnceOperator):
    """Base of the operators that launch a run and may wait for its completion."""

    template_fields: Sequence[str] = (
        "launch_key",
        "look_back",
        "failure_status",
        *TallyfyLaunchOnceOperator.template_fields,
    )

    def __init__(
        self,
        *,
        launch_key: str | int | None = None,
        look_back: timedelta | str | None = None,
        wait_for_completion: bool = False,
        failure_status: str | Iterable[str] = ("archived",),
        timeout: timedelta | float = timedelta(days=7),
        end_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.launch_key = launch_key
        self.look_back = look_back
        self.wait_for_completion = wait_for_completion
        self.failure_status = failure_status
        self.timeout = timeout
        self.end_from_trigger = end_from_trigger
        if end_from_trigger:
            _ = self._ends_in_triggerer  # refuses while the DAG is parsed

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Resume the task after the trigger's wait."""
        from airflow_provider_tallyfy.waits.results import WaitResult

        ti = context["ti"]
        changed = ti.xcom_pull(task_ids=ti.task_id, key=_CHANGED_KEY, map_indexes=ti.map_index)
        run = WaitResult.from_event(event).finish(self._new_deadline())
        self._note(run_id=run["id"], url=run["url"], changed=bool(changed))
        return {**run, "changed": bool(changed)}

    def _check(self) -> None:
        from airflow_provider_tallyfy.waits.goals import checked_statuses

        super()._check()
        checked_statuses(self.failure_status, "failure_status")
        _ = self._ends_in_triggerer
        if self._is_to_wait:
            self._check_times("timeout")

    @property
    def _is_to_wait(self) -> bool:
        from airflow_provider_tallyfy.api.inputs.checks import checked_flag

        return checked_flag(self.wait_for_completion, "wait_for_completion")

    @property
    def _ends_in_triggerer(self) -> bool:
        from airflow_provider_tallyfy.waits.task_end import ends_in_triggerer

        return ends_in_triggerer(self, self.end_from_trigger)

    @property
    def _timeout(self) -> float:
        return self.timeout.total_seconds() if isinstance(self.timeout, timedelta) else self.timeout

    def _follow(self, context: Context, change: RunChange) -> dict[str, Any]:
        from airflow_provider_tallyfy.waits.goals import RunGoal

        if not self._is_to_wait:
            return change.run.describe(self.hook.run_url(change.run.id), changed=change.changed)
        deadline = self._new_deadline()
        goal = RunGoal.checked(change.run.id, "complete", self.failure_status, "fail")
        return {**self._wait(goal, deadline).finish(deadline), "changed": change.changed}


class TallyfyLaunchRunOperator(TallyfyLaunchOperator):
    """
    Launch a run of a template, once (documentation page "Launch process"), and wait for its completion if asked to.

    The run is launched once, whatever happens to the task. Tallyfy has no idempotency key, so a marker stands in the
    run's summary from the moment it exists, made of template, DAG, DAG run, task and map index. A retry, a second try
    at the same time and a cleared task find that run and adopt it. Do not remove the marker while the task may still be
    retried.

    The result is a small dict: ``id``, ``name``, ``status``, ``archived_at``, ``completed_at``, ``url`` and
    ``changed``, which is ``False`` if another try launched the run. A launch whose answer was lost is this try's own.

    .. seealso:: :ref:`howto/operator:TallyfyLaunchRunOperator`

    :param template_id: title or id of the template (templated).
    :param name: name of the run, at most 550 characters (templated). By default Tallyfy names it.
    :param kickoff: values of the kick-off form by field label, alias or id (templated): a dict, or text of one. They
        are encoded by the template's field types. Every problem is reported before anything is launched.
    :param prerun: values by field id in Tallyfy's own encoding, sent as they are (templated). They win over
        ``kickoff``. A key that is not a field's id is an error, because Tallyfy would drop it silently.
    :param summary: description of the run (templated). The launch's marker is added to it.
    :param owner_id: the user who owns the run (templated): e-mail address, name or id.
    :param tags: titles or ids of tags (templated): a list, or text with commas between them.
    :param folders: names or ids of folders (templated): a list, or text with commas between them.
    :param users: users who are assigned to the run (templated): a list of e-mail addresses, names or ids, or text with
        commas between them.
    :param groups: names or ids of groups that are assigned to the run (templated): a list, or text with commas between
        them.
    :param parent_id: id of the run that this one belongs to (templated).
    :param tasks: settings by step id (templated): ``{"deadline": ..., "owners": {"users": [...], "guests": [...],
        "groups": [...]}}``. ``owners`` replaces all assignees of a step, kinds that it does not name included. Steps
        that are not named are added, because Tallyfy would leave them out of the run.
    :param roles: ``{"users": [...], "guests": [...], "groups": [...]}`` by role id (templated).
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
    :raises TallyfyNotFoundError: if there is no such template.
    :raises TallyfyUnknownOutcomeError: if nobody can tell yet whether the run was launched. A retry looks again.
    :raises TallyfyError: if anything else failed, in one of its kinds.
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
        kickoff: Mapping[str, Any] | str | None = None,
        prerun: Mapping[str, Any] | str | None = None,
        summary: str | None = None,
        owner_id: int | str | None = None,
        tags: Sequence[str] | str | None = None,
        folders: Sequence[str] | str | None = None,
        users: Sequence[int | str] | str | None = None,
        groups: Sequence[str] | str | None = None,
        parent_id: str | None = None,
        tasks: Mapping[str, Any] | str | None = None,
        roles: Mapping[str, Any] | str | None = None,
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

    @property
    def _scope(self) -> str:
        """The template."""
        from airflow_provider_tallyfy.api.inputs.checks import checked_id

        return checked_id(self.hook.with_ids({"template_id": self.template_id})["template_id"], "template_id")

    def _launch(self, organization_id: str, key: LaunchKey) -> Flow[RunChange]:
        """Launch the run."""
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.inputs.launch_request import LAUNCH_FIELDS, LaunchRequest

        fields = self.hook.with_ids({name: getattr(self, name) for name in ("tasks", *LAUNCH_FIELDS)})
        request = LaunchRequest(self._scope, self.kickoff, fields.pop("tasks"), fields)
        return flows.launch_run(organization_id, request, key)
