"""Starting a wait in the triggerer, without any worker process (``start_from_trigger``, Airflow >= 3.3)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.api.errors import TallyfyConfigurationError
from airflow_provider_tallyfy.compat import TASKS_START_IN_TRIGGERER

if TYPE_CHECKING:
    from airflow.triggers.base import StartTriggerArgs

# What a template may use: the triggerer cannot ask for XComs (the task would hang for ever), variables or connections.
_KNOWN_IN_TRIGGERER = frozenset(
    {
        "dag",
        "dag_run",
        "data_interval_end",
        "data_interval_start",
        "ds",
        "ds_nodash",
        "logical_date",
        "params",
        "run_id",
        "ts",
        "ts_nodash",
    }
)


def start_trigger_args(trigger: type, arguments: dict[str, Any], timeout: timedelta, *, is_mapped: bool) -> Any:
    """Describe the trigger that the scheduler is to make in place of starting a worker, or raise why it cannot."""
    if not TASKS_START_IN_TRIGGERER:
        raise _refusal("it needs Airflow 3.3 or newer")
    if is_mapped:
        raise refused_for_mapping()
    for name, value in arguments.items():
        _check(name, value)
    from airflow.triggers.base import StartTriggerArgs

    described: StartTriggerArgs = StartTriggerArgs(
        trigger_cls=f"{trigger.__module__}.{trigger.__qualname__}",
        trigger_kwargs=arguments,
        next_method="execute_complete",
        timeout=timeout,
    )
    return described


def refused_for_mapping() -> TallyfyConfigurationError:
    """Say why a mapped task cannot begin in the triggerer."""
    return _refusal("Airflow does not hand mapped values to it")


def _check(name: str, value: Any) -> None:
    if isinstance(value, list | tuple | set | dict):
        for part in value:
            _check(name, part)
    elif isinstance(value, str):
        unknown = sorted(_names_in(value) - _KNOWN_IN_TRIGGERER)
        if unknown:
            known = ", ".join(sorted(_KNOWN_IN_TRIGGERER))
            raise _refusal(
                f"{name}={value!r} uses {', '.join(unknown)}, which the triggerer cannot read",
                f"Templates may only use {known}.",
            )
    elif not isinstance(value, int | float | bool | None):
        raise _refusal(f"{name} is the result of another task or a mapped value, which Airflow would not resolve")


def _names_in(template: str) -> set[str]:
    from jinja2 import Environment, TemplateSyntaxError, meta

    try:
        return set(meta.find_undeclared_variables(Environment(autoescape=True).parse(template)))
    except TemplateSyntaxError as error:
        raise _refusal(f"{template!r} is not a template: {error}") from None


def _refusal(reason: str, *more: str) -> TallyfyConfigurationError:
    lines = (
        f"start_from_trigger=True is not possible here: {reason}.",
        *more,
        "Leave it out: the task then begins on a worker, and with deferrable=True waits in the triggerer.",
    )
    return TallyfyConfigurationError("\n".join(lines))
