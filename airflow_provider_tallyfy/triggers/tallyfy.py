"""Triggers: waits that cost no worker while people work."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy.api.waits import RunWait, WaitLog
from airflow_provider_tallyfy.triggers.base import Story, TallyfyWaitTrigger
from airflow_provider_tallyfy.watcher import Watcher

__all__ = ["TallyfyRunStatusTrigger"]


class TallyfyRunStatusTrigger(TallyfyWaitTrigger):
    """
    Waits until a run reaches a status.

    :param run_id: the run.
    :param target_status: statuses that end the wait well.
    :param failure_status: statuses that end it badly.
    :param missing: ``fail`` or ``wait``, for a run that does not exist.
    :param newer_than: the run's ``last_updated`` when the task last read it and went on waiting. It spares a request: a
        list that shows the run in another state later than this is believed.
    :param settings: arguments of :class:`TallyfyWaitTrigger`.
    """

    own_arguments = ("run_id", "target_status", "failure_status", "missing", "newer_than")

    def __init__(
        self,
        *,
        run_id: str,
        target_status: list[str],
        failure_status: list[str],
        missing: str = "fail",
        newer_than: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.run_id = run_id
        self.target_status = target_status
        self.failure_status = failure_status
        self.missing = missing
        self.newer_than = newer_than

    @property
    def what(self) -> str:
        """The run and the statuses."""
        return f"run {self.run_id} to be {' or '.join(self.target_status)}"

    def story(self, watcher: Watcher) -> Story:
        """Begin to follow the run."""
        wait = RunWait.checked(self.run_id, self.target_status, self.failure_status, self.missing)
        log = WaitLog(wait, watcher.run_url(wait.run_id), self.max_poll_failures, self.tell)
        return Story(wait, wait.watch(watcher.organization_id, self.newer_than), log)
