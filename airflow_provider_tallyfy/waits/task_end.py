"""Ending a task in the triggerer, without another worker process (``end_from_trigger``, Airflow >= 3.0)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError
from airflow_provider_tallyfy.api.inputs.checks import checked_flag
from airflow_provider_tallyfy.compat import TRIGGERS_END_TASKS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator


def ends_in_triggerer(operator: BaseOperator, end_from_trigger: object) -> bool:
    """Whether a task ends in the triggerer, never before Airflow 3.0; raise if the task would lose something by it."""
    if not checked_flag(end_from_trigger, "end_from_trigger"):
        return False
    lost = list(_lost_in_triggerer(operator))
    if lost:
        raise TallyfyConfigurationError(
            f"end_from_trigger=True is not possible for task {operator.task_id}: no worker would run at its end.\n"
            f"Airflow would skip {' and '.join(lost)}.\n"
            f"Remove these, or leave end_from_trigger out."
        )
    return TRIGGERS_END_TASKS


def _lost_in_triggerer(operator: BaseOperator) -> Iterator[str]:
    """Name what only a worker does at the end of a task; there, Airflow 3.3 also encodes a trigger's XComs twice."""
    if operator.do_xcom_push:
        yield "the result (set do_xcom_push=False)"
    if operator.outlets:
        yield "the asset events of outlets"
    if getattr(operator, "output_path", None):
        yield "the file at output_path"
    if operator.on_success_callback:
        yield "on_success_callback"
    if operator._post_execute_hook or _is_overridden(operator, "post_execute"):
        yield "post_execute"
    if _is_overridden(operator, "execute_complete"):
        yield f"execute_complete of {type(operator).__name__}"
    if operator.start_from_trigger:  # no worker at the beginning, either
        if operator.on_execute_callback:
            yield "on_execute_callback"
        if operator._pre_execute_hook or _is_overridden(operator, "pre_execute"):
            yield "pre_execute"


def _is_overridden(operator: BaseOperator, method: str) -> bool:
    home = getattr(type(operator), method).__module__.partition(".")[0]
    return home not in ("airflow", __name__.partition(".")[0])
