"""When a task is tried again (Airflow >= 3.3)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException

from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.compat import TASKS_HAVE_RETRY_POLICIES, airflow_version

__all__ = ["TallyfyRetryPolicy"]

if TYPE_CHECKING or TASKS_HAVE_RETRY_POLICIES:
    from airflow.sdk import RetryDecision, RetryPolicy
else:

    class RetryPolicy:
        """Stand in for what older versions do not have, so that this module can be imported there."""

        def __init__(self) -> None:
            raise AirflowOptionalProviderFeatureException(
                f"TallyfyRetryPolicy needs Airflow 3.3 or newer; this is {airflow_version}.\nLeave retry_policy out.\n"
                f"Permanent errors then still fail the task at once, and others use its retry_delay."
            )


class TallyfyRetryPolicy(RetryPolicy):
    """
    Retry a task that talks to Tallyfy when Tallyfy asked for, instead of when its ``retry_delay`` is over.

    Within the connection's ``retry_budget`` requests are repeated in the task. When Tallyfy's ``Retry-After`` exceeds
    it, the task ends and is tried again at that time, so that no worker sleeps through it. Server and transport errors
    and unknown outcomes are retried after the task's ``retry_delay``; permanent errors fail it. Whatever is not about
    Tallyfy is left to the task. The task's ``retries`` limit all of it.

    :raises AirflowOptionalProviderFeatureException: on Airflow < 3.3, when it is made.
    """

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        """
        Decide about a failed try. Airflow asks in the worker.

        :param exception: what ended the try.
        :param try_number: which try it was.
        :param max_tries: how many there may be.
        :param context: of the task.
        """
        if not isinstance(exception, TallyfyError):
            return RetryDecision.default()
        reason = str(exception)
        if exception.permanent:
            return RetryDecision.fail(reason)
        if exception.retry_after is None:
            return RetryDecision.retry(reason=reason)
        return RetryDecision.retry(timedelta(seconds=exception.retry_after), reason)
