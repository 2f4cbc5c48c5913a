"""The notifier that tells people in Tallyfy what became of a task, a DAG run or a deadline."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseNotifier, Context

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.call import Flow
    from airflow_provider_tallyfy.api.flows import LaunchKey
    from airflow_provider_tallyfy.connection import TallyfySettings

_TOLD = "Told people in Tallyfy: %s"


class TallyfyNotifier(BaseNotifier):
    """
    Tell people in Tallyfy: comment on a run, report a problem on it, or launch a run of a template.

    It is for all callbacks of tasks and DAGs, and for deadline alerts (Airflow >= 3.1): ``AsyncCallback`` and
    ``SyncCallback``.

    People are told once for each task instance and try (or DAG run, or deadline), however often Airflow calls: a marker
    is added to the comment or the run's summary, and looked for first. A notifier with another ``content`` in the DAG
    file tells something else.

    It never raises, so the task stays as it is. What went wrong is an error in the log of the task, the DAG processor
    or the triggerer, whichever called.

    .. seealso:: :ref:`howto/notifier:TallyfyNotifier`

    :param content: the words (templated): the comment, or the summary of the launched run.
    :param run_id: id of the run to comment on (templated). Give either this or ``template_id``.
    :param problem: whether to report a problem instead, which holds the run until somebody resolves it (templated).
        Default: ``False``.
    :param template_id: title or id of the template to launch a run of (templated).
    :param name: name of the launched run (templated). By default Tallyfy names it.
    :param kickoff: kick-off values of the launched run by field label, alias or id (templated): a dict, or text of one.
    :param time_budget: how long to try: seconds above zero, or a timedelta. No request begins later, and none waits
        longer for its answer. Default: ``10`` seconds.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises ValueError: when it is made, if not exactly one of ``run_id`` and ``template_id`` is given.
    """

    template_fields = (
        *("content", "run_id", "problem", "template_id", "name", "kickoff"),
        *("organization_id", "tallyfy_conn_id"),
    )

    def __init__(
        self,
        *,
        content: str,
        run_id: str | None = None,
        problem: bool | str = False,
        template_id: str | None = None,
        name: str | None = None,
        kickoff: Mapping[str, Any] | str | None = None,
        time_budget: timedelta | float = 10,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        if (run_id is None) == (template_id is None):
            raise ValueError("Give TallyfyNotifier either run_id or template_id.")
        self.content = content
        self.run_id, self.problem = run_id, problem
        self.template_id, self.name, self.kickoff = template_id, name, kickoff
        self.time_budget: Any = time_budget
        self.organization_id, self.tallyfy_conn_id = organization_id, tallyfy_conn_id
        super().__init__(**kwargs)

    def notify(self, context: Context) -> None:
        """Tell people, from a process that may block."""
        from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

        with self._logging_failures():
            own = self._rendered(context)
            with TallyfyHook(own.tallyfy_conn_id, own.organization_id) as hook:
                hook.settings = own._hurried(hook.settings)
                flow = self._tell(own, hook.organization_id, context)
                self.log.info(_TOLD, hook.run_url(hook.execute(flow, retry_budget=own.time_budget)))

    async def async_notify(self, context: Context) -> None:
        """Tell people, from an event loop."""
        from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

        with self._logging_failures():
            own = self._rendered(context)
            connected = await TallyfyAsyncHook.connect(own.tallyfy_conn_id, own.organization_id)
            async with TallyfyAsyncHook(own._hurried(connected.settings)) as hook:
                organization_id = hook.organization_id(None)
                flow = self._tell(own, organization_id, context)
                run_id = await hook.execute(flow, retry_budget=own.time_budget)
                self.log.info(_TOLD, hook.settings.run_url(organization_id, run_id))

    def _update_context(self, context: Context) -> Context:
        """Leave the context as it is: ``run_id`` in a template is Airflow's."""
        return context

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Leave the fields as they are: one notifier serves many tasks, so each call renders a copy of it."""

    def _rendered(self, context: Context) -> TallyfyNotifier:
        from airflow_provider_tallyfy.api.inputs.checks import checked_seconds

        own = copy(self)
        super(TallyfyNotifier, own).render_template_fields(context)
        own.time_budget = checked_seconds(self.time_budget, "time_budget")
        return own

    def _hurried(self, settings: TallyfySettings) -> TallyfySettings:
        return replace(settings, timeout=min(settings.timeout, self.time_budget))

    def _tell(self, own: TallyfyNotifier, organization_id: str, context: Context) -> Flow[str]:
        """Comment, report or launch, as long as there is time, and return the id of the run."""
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.flows.driving import within
        from airflow_provider_tallyfy.api.inputs.checks import checked_flag, checked_id, free_text

        end: float = time.monotonic() + own.time_budget
        key = self._key(context)

        def left() -> float:
            return end - time.monotonic()

        content = free_text(own.content, "content", may_be_empty=False)
        if self.template_id is not None:
            fields = {"name": own.name, "summary": content}
            named = yield from within(flows.resolve_names(organization_id, {"template_id": own.template_id}, {}), left)
            request = flows.LaunchRequest(checked_id(named["template_id"], "template_id"), own.kickoff, fields=fields)
            launch = flows.launch_run(organization_id, request, replace(key, just_now=False))
            return (yield from within(launch, left)).run.id
        run_id, problem = checked_id(own.run_id), checked_flag(own.problem, "problem")
        comment = flows.comment(organization_id, run_id, content, key, problem=problem)
        yield from within(comment, left)
        return run_id

    def _key(self, context: Mapping[str, Any]) -> LaunchKey:
        """Make the key by which a call recognizes what an earlier one did: of what both know before templates."""
        from airflow_provider_tallyfy.api.flows import LaunchKey
        from airflow_provider_tallyfy.api.inputs.checks import checked_time

        ti, dag_run = context.get("ti"), context.get("dag_run")
        of: tuple[object, ...]
        if ti is not None:
            of, began = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number), getattr(ti, "start_date", None)
        elif isinstance(dag_run, Mapping):  # a deadline's
            of, began = (dag_run["dag_id"], dag_run["dag_run_id"], context["deadline"]["id"]), dag_run.get("run_after")
        else:  # a DAG run's, of which no task is known
            of, began = (context["dag"].dag_id, context["run_id"]), None
        what = (self.run_id, self.problem, self.template_id, self.content)
        return LaunchKey("/".join(map(str, ("notify", *of, *what))), since=checked_time(began, "start_date"))

    @contextmanager
    def _logging_failures(self) -> Iterator[None]:
        """Log what keeps people from being told, since no task may fail by it; with a traceback if it is a defect."""
        from airflow_provider_tallyfy.api.errors import TallyfyError

        try:
            yield
        except Exception as error:
            self.log.error("Nobody was told in Tallyfy.\n%s", error, exc_info=not isinstance(error, TallyfyError))
