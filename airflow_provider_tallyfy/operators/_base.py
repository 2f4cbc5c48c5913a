"""What the operators have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator, Context

from airflow_provider_tallyfy.api.call import Call, Flow, T
from airflow_provider_tallyfy.api.inputs.checks import checked_flag, checked_id
from airflow_provider_tallyfy.compat import mapped_arguments
from airflow_provider_tallyfy.connection import DEFAULT_CONN_ID
from airflow_provider_tallyfy.links.tallyfy import TallyfyRunLink, push_run

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook


class TallyfyOperator(BaseOperator):
    """
    Base of all operators: a connection and an organization.

    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    """

    template_fields: Sequence[str] = ("organization_id", "tallyfy_conn_id")
    ui_color = "#e3f4ea"

    def __init__(
        self, *, organization_id: str | None = None, tallyfy_conn_id: str = DEFAULT_CONN_ID, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.organization_id = organization_id
        self.tallyfy_conn_id = tallyfy_conn_id
        self._given: frozenset[str] = frozenset()

    def _note_given(self, *names: str) -> None:
        """Note, while the DAG is parsed, which arguments its author gave: what templates make of them may be empty."""
        self._given = frozenset(name for name in names if getattr(self, name) is not None)

    def _was_given(self, name: str) -> bool:
        return name in self._given or name in mapped_arguments(self)

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

    :param run_id: the run (templated).
    :param organization_id: the organization (templated); by default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated).
    """

    template_fields: Sequence[str] = ("run_id", *TallyfyOperator.template_fields)
    operator_extra_links = (TallyfyRunLink(),)

    def __init__(self, *, run_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id

    def announce(self, context: Context) -> str:
        """
        Check the run id and push the XComs that lead to the run.

        :param context: of the running task.
        :return: the run id.
        :raises TallyfyValidationError: if the id is not usable.
        """
        run_id = checked_id(self.run_id)
        push_run(context, run_id, self.hook.run_url(run_id))
        return run_id


class TallyfyWriteOperator(TallyfyOperator):
    """
    Base of the operators that write.

    :param dry_run: read what is needed, log and return the request that would be sent, and send nothing (templated as
        the field ``simulate``, because ``dry_run`` is a method of every Airflow operator).
    """

    template_fields: Sequence[str] = ("simulate", *TallyfyOperator.template_fields)

    def __init__(self, *, dry_run: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.simulate = dry_run

    @property
    def is_dry_run(self) -> bool:
        """
        Whether nothing may be sent.

        :raises TallyfyValidationError: if the rendered value is neither true nor false.
        """
        return checked_flag(self.simulate, "dry_run")

    def plan(self, flow: Flow[Any]) -> dict[str, Any]:
        """
        Describe what a flow would write first.

        :param flow: the flow; it is driven up to there.
        """
        planned = self.hook.first_write(flow)
        return self.describe_plan([] if planned is None else [planned])

    def describe_plan(self, requests: Sequence[Call[Any]], most: int | None = None) -> dict[str, Any]:
        """
        Log the requests of a dry run and give them as the task's result.

        :param requests: what would be sent, in order.
        :param most: how many the result holds; of others it says how many there are.
        """
        for request in requests:
            self.log.info("Dry run, not sent: %s %s %s", request.method, request.path, dict(request.body or {}))
        shown = requests[:most]
        actions = [request.action for request in shown]
        if len(requests) > len(shown):
            actions.append(f"and {len(requests) - len(shown)} more requests, all of them in the log")
        effect = "; ".join(actions) or "nothing would change"
        self.log.info("Dry run: %s.", effect)
        return {"dry_run": True, "effect": effect, "requests": [_request(request) for request in shown]}


def _request(call: Call[T]) -> dict[str, Any]:
    body: Mapping[str, Any] = call.body or {}
    return {"method": call.method, "path": call.path, "body": dict(body)}
