"""What differs between the Airflow versions this package supports and ``common.compat`` does not level out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from airflow import __version__ as airflow_version

_AIRFLOW = tuple(map(int, airflow_version.split(".")[:2]))
AIRFLOW_V_3_0_PLUS = _AIRFLOW >= (3, 0)
AIRFLOW_V_3_1_PLUS = _AIRFLOW >= (3, 1)
AIRFLOW_V_3_3_PLUS = _AIRFLOW >= (3, 3)

if AIRFLOW_V_3_1_PLUS:
    from airflow.sdk.log import mask_secret
elif AIRFLOW_V_3_0_PLUS:
    from airflow.sdk.execution_time.secrets_masker import mask_secret  # type: ignore[no-redef]
else:
    from airflow.utils.log.secrets_masker import mask_secret  # type: ignore[import-not-found,no-redef]

if AIRFLOW_V_3_0_PLUS:
    from airflow.triggers.base import BaseEventTrigger
else:
    from airflow.triggers.base import BaseTrigger as BaseEventTrigger  # type: ignore[assignment]

try:
    from airflow.providers.common.compat.sdk import BranchMixIn as BranchMixIn
except ImportError:  # common-compat < 1.14.1
    from airflow.providers.standard.operators.branch import BranchMixIn as BranchMixIn  # type: ignore[assignment]

#: Whether a trigger can end its task without another worker process (``TaskSuccessEvent``).
TRIGGERS_END_TASKS = AIRFLOW_V_3_0_PLUS

#: Whether ``start_from_trigger`` renders templates.
TASKS_START_IN_TRIGGERER = AIRFLOW_V_3_3_PLUS

#: Whether a task takes a ``retry_policy``.
TASKS_HAVE_RETRY_POLICIES = AIRFLOW_V_3_3_PLUS


def is_deferral_timeout(error: Exception) -> bool:
    """Whether Airflow ended a deferral because its ``timeout`` was over; 2.11 has no exception of its own for that."""
    return type(error).__name__ == "TaskDeferralTimeout" or str(error) == "Trigger/execution timeout"


def first_look_at(context: Any, retries: int | None) -> float | None:
    """Say when a sensor in reschedule mode looked first, in seconds since the epoch; ``None`` if it is about to."""
    ti = context["ti"]
    if AIRFLOW_V_3_0_PLUS:
        first = ti.get_first_reschedule_date(context)
    else:
        from airflow.sensors.base import _orig_start_date  # type: ignore[import-not-found]

        first_try = (ti.max_tries or 0) - (retries or 0) + 1
        first = _orig_start_date(ti.dag_id, ti.task_id, ti.run_id, ti.map_index, first_try)
    return None if first is None else first.timestamp()


def asset_state_stores(trigger: object) -> tuple[Any, ...]:
    """
    Give the state store of each asset that a trigger is watched for; none before Airflow 3.3.

    Airflow makes one trigger of all that are equal, whatever assets they are watched for. It does not tell the trigger
    for which, and refuses to choose one.
    """
    stores = getattr(trigger, "asset_state_store", None)
    if stores is None:
        return ()
    by_asset = (*getattr(stores, "_by_name", {}).values(), *getattr(stores, "_by_uri", {}).values())
    return by_asset or (stores,)


def read_all_connections() -> None:
    """Let this process read connections of Airflow's database, as servers may; since 3.1 others must say so."""
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"


def is_mapped(operator: object) -> bool:
    """Tell whether Airflow made an operator for one item of a mapped task; then its arguments are final values."""
    return getattr(operator, "_BaseOperator__from_mapped", False)


def skip(operator: Any, context: Any, tasks: Iterable[Any]) -> None:
    """Skip tasks as Airflow's branching operators do. On Airflow 3 this ends the task, and its result is not stored."""
    if AIRFLOW_V_3_0_PLUS:
        operator.skip(ti=context["ti"], tasks=tasks)
    else:
        dag_run = context["dag_run"]
        operator.skip(dag_run, dag_run.logical_date, tasks, map_index=context["ti"].map_index)


def forbid_mapping(operator: type, name: str) -> None:
    """
    Make an argument of an operator unknown to ``expand()``, which then refuses it while the DAG is parsed.

    Airflow keeps the names that ``expand()`` takes beside the constructor.
    """
    getattr(operator, "__init__")._BaseOperatorMeta__param_names.discard(name)  # noqa: B009 - mypy knows no such thing


async def mask_secret_async(secret: str) -> None:
    """Mask a secret from a coroutine, where the supervisor must not be called synchronously."""
    try:
        from airflow.sdk.log import amask_secret  # Airflow >= 3.3.2
    except ImportError:
        from asgiref.sync import sync_to_async

        await sync_to_async(mask_secret)(secret)
    else:
        await amask_secret(secret)


__all__ = [
    "AIRFLOW_V_3_0_PLUS",
    "AIRFLOW_V_3_1_PLUS",
    "AIRFLOW_V_3_3_PLUS",
    "TASKS_HAVE_RETRY_POLICIES",
    "TASKS_START_IN_TRIGGERER",
    "TRIGGERS_END_TASKS",
    "BaseEventTrigger",
    "airflow_version",
    "asset_state_stores",
    "forbid_mapping",
    "is_deferral_timeout",
    "is_mapped",
    "mask_secret",
    "mask_secret_async",
    "read_all_connections",
    "skip",
]
