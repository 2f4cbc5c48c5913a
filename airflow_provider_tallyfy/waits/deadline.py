"""How long a task waits."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import NoReturn

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowTaskTimeout

# The trigger keeps the deadline; Airflow's own timeout only ends a wait whose trigger never got to run.
_BACKSTOP = timedelta(minutes=1)

#: How long a wait without an end lasts: Airflow stores the moment of the end, which on MySQL is not later than 2038.
LONGEST_WAIT = timedelta(days=3650)


class Deadline:
    """
    When a wait that begins now ends: after its own timeout or the task's ``execution_timeout``, whichever is shorter.

    Airflow 3 does not enforce ``execution_timeout`` on a deferred task, so both are kept here.
    """

    def __init__(self, timeout: float, execution_timeout: timedelta | None) -> None:
        own = min(timeout, LONGEST_WAIT.total_seconds())
        self.seconds = min(own, execution_timeout.total_seconds() if execution_timeout else own)
        #: Whether it is the wait's own timeout that ends it.
        self.is_own = self.seconds == own
        #: In seconds since the epoch.
        self.moment = time.time() + self.seconds

    @property
    def left(self) -> float:
        """Seconds until then, or 0."""
        return max(0.0, self.moment - time.time())

    @property
    def backstop(self) -> timedelta:
        """What to pass to ``defer(timeout=...)``."""
        return timedelta(seconds=self.left) + _BACKSTOP

    def expire(self, message: str) -> NoReturn:
        """Raise what Airflow raises for that limit."""
        message = f"{message}\nThe limit was {self.seconds:.0f} s.\nThe run itself goes on."
        raise AirflowSensorTimeout(message) if self.is_own else AirflowTaskTimeout(message)
