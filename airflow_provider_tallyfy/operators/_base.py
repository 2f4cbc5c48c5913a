"""
What the operators have in common.

A DAG file loads what constructors need and nothing else; methods that run in a task import what they use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_provider_tallyfy.compat import is_mapped
from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID
from airflow_provider_tallyfy.lineage import TellsLineage
from airflow_provider_tallyfy.links.tallyfy import TallyfyRunLink

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.call import Call, Flow
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook


class TallyfyOperator(TellsLineage, BaseOperator):
    """Base of all operators: a connection and an organization."""

    template_fields: Sequence[str] = ("organization_id", "tallyfy_conn_id")
    #: Arguments that were given, and those of them that were not ``None`` when the DAG was parsed.
    _named: frozenset[str]
    _given: frozenset[str]
    ui_color = "#e3f4ea"

    def __init__(
        self, *, organization_id: str | None = None, tallyfy_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        # Airflow 2.11 copies a task attribute by attribute, and needs its own first.
        self._named, self._given = vars(self).pop("_named"), vars(self).pop("_given")
        self.organization_id = organization_id
        self.tallyfy_conn_id = tallyfy_conn_id

    def _hook_apply_defaults(self, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Note which arguments were given. Airflow calls this before each constructor, the outermost first."""
        if not hasattr(self, "_given"):
            given = frozenset(name for name, value in kwargs.items() if value is not None)
            object.__setattr__(self, "_given", given)
            object.__setattr__(self, "_named", frozenset(kwargs))
        return args, kwargs

    def _was_given(self, name: str) -> bool:
        """Tell whether the DAG's author gave an argument, whatever templates, XComs or mapping made of it."""
        return name in (self._named if is_mapped(self) else self._given)

    @cached_property
    def hook(self) -> TallyfyHook:
        """The hook, made when a task runs: DAG files load no HTTP library."""
        from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook

        return TallyfyHook(self.tallyfy_conn_id, self.organization_id)


class TallyfyRunOperator(TallyfyOperator):
    """
    Base of the operators about one existing run.

    The XComs ``run_id`` and ``run_url`` are pushed before Tallyfy is asked, so ``op.output["run_id"]`` chains tasks
    and the link to the run is there even if the task fails.
    """

    template_fields: Sequence[str] = ("run_id", *TallyfyOperator.template_fields)
    operator_extra_links = (TallyfyRunLink(),)

    def __init__(self, *, run_id: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id

    def _push_run_link(self, context: Context) -> str:
        """Check the run id, and push the XComs that lead to the run."""
        from airflow_provider_tallyfy.api.inputs.checks import checked_id

        run_id = checked_id(self.run_id)
        self._push_run(context, run_id, self.hook.run_url(run_id))
        return run_id


class TallyfyWriteOperator(TallyfyOperator):
    """
    Base of the operators that write.

    The argument ``dry_run`` is the field ``simulate``, because ``dry_run`` is a method of every Airflow operator.
    """

    template_fields: Sequence[str] = ("simulate", *TallyfyOperator.template_fields)
    _writes = True

    def __init__(self, *, dry_run: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.simulate = dry_run

    @property
    def _is_dry_run(self) -> bool:
        """Whether nothing may be sent."""
        from airflow_provider_tallyfy.api.inputs.checks import checked_flag

        return checked_flag(self.simulate, "dry_run")

    def _plan(self, flow: Flow[Any]) -> dict[str, Any]:
        """Drive a flow up to its first write, and describe that one."""
        planned = self.hook.first_write(flow)
        return self._describe_plan([] if planned is None else [planned])

    def _describe_plan(self, requests: Sequence[Call[Any]], most: int | None = None) -> dict[str, Any]:
        """Log the requests of a dry run and give them, or the first ``most`` of them, as the task's result."""
        self._writes = False
        for request in requests:
            self.log.info("Dry run, not sent: %s %s %s", request.method, request.path, dict(request.body or {}))
        shown = requests[:most]
        actions = [request.action for request in shown]
        if len(requests) > len(shown):
            actions.append(f"and {len(requests) - len(shown)} more requests, all of them in the log")
        effect = "; ".join(actions) or "nothing would change"
        self.log.info("Dry run: %s.", effect)
        return {"dry_run": True, "effect": effect, "requests": [_request(request) for request in shown]}


def _request(call: Call[Any]) -> dict[str, Any]:
    body: Mapping[str, Any] = call.body or {}
    return {"method": call.method, "path": call.path, "body": dict(body)}


def task_instance_key(ti: Any) -> str:
    """Name what all tries of a task instance have in common."""
    return f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}"


def first_moment(dag_run: Any) -> datetime | None:
    """Return a moment before which no task of the DAG run can have launched anything; clearing does not move it."""
    moment: datetime | None = getattr(dag_run, "run_after", None) or getattr(dag_run, "logical_date", None)
    return None if moment is None or moment > datetime.now(UTC) else moment
