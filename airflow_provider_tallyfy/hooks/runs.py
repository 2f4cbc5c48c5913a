"""What the hook can do with runs besides reading, archiving and restoring them: one line each over the flows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import uuid4

from airflow_provider_tallyfy.api import flows
from airflow_provider_tallyfy.api.call import Call, Flow, T
from airflow_provider_tallyfy.api.flows import PROJECTS, LaunchKey, LaunchRequest, ProjectRequest
from airflow_provider_tallyfy.api.inputs.checks import checked_flag, checked_id, checked_time, listed
from airflow_provider_tallyfy.api.models.run import RunChange
from airflow_provider_tallyfy.api.results import (
    ActivityResult,
    FormFieldResult,
    RunResult,
    TaskResult,
    activity_result,
    deleted_result,
    field_results,
    run_result,
    task_result,
    values_by_label,
)

R = TypeVar("R")


class RunMethods:
    """
    Launch, update and delete runs, and work with what belongs to them.

    The results are plain dicts, which a ``@task`` can return.
    """

    @property
    @abstractmethod
    def organization_id(self) -> str:
        """The organization that calls are about."""

    @abstractmethod
    def execute(self, work: Call[T] | Flow[T], *, retry_budget: float | None = None) -> T:
        """Carry out a call or a flow."""

    @abstractmethod
    def run_url(self, run_id: str) -> str:
        """Address of a run in the web app."""

    def launch_run(
        self,
        template_id: str,
        *,
        launch_key: str | None = None,
        kickoff: Mapping[str, Any] | None = None,
        tasks: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> RunResult:
        """
        Launch a run of a template, or adopt the one that was launched with the same key.

        :param template_id: the template.
        :param launch_key: one run per key and template; it is looked for first. Without a key every call launches.
        :param kickoff: kick-off form values by label, alias or id.
        :param tasks: settings by step id, see ``TallyfyLaunchRunOperator``.
        :param fields: everything else of the request, for example ``name`` (documentation page "Launch process").
        :raises TallyfyValidationError: with every problem of the values at once; nothing was launched.
        :raises TallyfyUnknownOutcomeError: if nobody can tell yet whether it was launched.
        """
        template_id = argument(checked_id, template_id, "template_id")
        request = LaunchRequest(template_id, kickoff, tasks, fields)
        flow = flows.launch_run(self.organization_id, request, _key(launch_key, template_id))
        return self._changed(self.execute(flow))

    def launch_project(
        self,
        title: str,
        owners: Mapping[str, Any],
        deadline: datetime | str,
        *,
        launch_key: str | None = None,
        task_kind: str = "task",
        summary: str | None = None,
    ) -> RunResult:
        """
        Launch a run without a template, or adopt the one that was launched with the same key.

        :param title: name of the run and its tasks.
        :param owners: ``{"users": [...], "guests": [...], "groups": [...]}``, or some of these; a task for each.
        :param deadline: when it is due; text without a time zone is UTC.
        :param launch_key: one project per key; it is looked for first. Without a key every call launches.
        :param task_kind: ``task``, ``approval``, ``expiring``, ``email`` or ``expiring_email``.
        :param summary: what is to be done.
        :raises TallyfyUnknownOutcomeError: if nobody can tell yet whether it was launched.
        """
        body = ProjectRequest(title, owners, deadline, task_kind, summary).body()
        return self._changed(self.execute(flows.launch_project(self.organization_id, body, _key(launch_key, PROJECTS))))

    def update_run(self, run_id: str, **changes: Any) -> RunResult:
        """
        Change fields of a run and leave all others as they are, its users and groups included.

        :param run_id: the run.
        :param changes: new values by field, see ``TallyfyUpdateRunOperator``.
        :raises TallyfyResponseError: if it does not show what must be kept, or afterwards something is lost or altered.
        """
        run_id = argument(checked_id, run_id, "run_id")
        return self._changed(self.execute(flows.update_run(self.organization_id, run_id, changes)))

    def delete_run(
        self, run_id: str, *, confirm: str, archive_first: bool = False, may_be_gone: bool = False
    ) -> RunResult:
        """
        Delete an archived run for good.

        :param run_id: the run.
        :param confirm: the run's id or exact name, as a second key.
        :param archive_first: archive a live run on the way; otherwise it is refused.
        :param may_be_gone: whether a missing run is a success, as after an earlier try.
        :return: the run as it was, with ``status`` ``deleted``; ``changed`` is false if it was gone before.
        :raises TallyfyValidationError: if ``confirm`` does not fit, or the run is live.
        :raises TallyfyNotFoundError: if there is no such run.
        """
        run_id = argument(checked_id, run_id, "run_id")
        archive_first = argument(checked_flag, archive_first, "archive_first")
        may_be_gone = argument(checked_flag, may_be_gone, "may_be_gone")
        change = self.execute(
            flows.delete_run(
                self.organization_id,
                run_id,
                confirm=confirm,
                archive_first=archive_first,
                may_be_gone=may_be_gone,
            )
        )
        return deleted_result(change.run if change else None, run_id, self.run_url(run_id))

    def export_run(self, run_id: str) -> Any:
        """
        Let Tallyfy export a run, and return the JSON it answers.

        :param run_id: the run.
        :raises TallyfyNotFoundError: if there is no such run, or it is archived and Tallyfy does not export those.
        """
        run_id = argument(checked_id, run_id, "run_id")
        return self.execute(flows.export_run(self.organization_id, run_id))

    def list_tasks(self, run_id: str, *, raw: bool = False) -> list[TaskResult]:
        """
        Read all tasks of a run, hidden ones included.

        :param run_id: the run.
        :param raw: whether to add everything Tallyfy sent.
        :raises TallyfyNotFoundError: if there is no such run, or it is archived and Tallyfy does not show its tasks.
        """
        run_id = argument(checked_id, run_id, "run_id")
        raw = argument(checked_flag, raw, "raw")
        return [task_result(task, raw=raw) for task in self.execute(flows.list_tasks(self.organization_id, run_id))]

    def complete_task(
        self, run_id: str, task_id: str, is_approved: bool | None = None, *, raw: bool = False
    ) -> TaskResult:
        """
        Complete a task unless it is completed.

        :param run_id: the task's run.
        :param task_id: the task.
        :param is_approved: the decision, for approval tasks.
        :param raw: whether to add everything Tallyfy sent.
        :raises TallyfyValidationError: if its form is not filled in, or it has unresolved issues.
        """
        run_id = argument(checked_id, run_id, "run_id")
        task_id = argument(checked_id, task_id, "task_id")
        raw = argument(checked_flag, raw, "raw")
        if is_approved is not None:
            is_approved = argument(checked_flag, is_approved, "is_approved")
        return task_result(
            self.execute(flows.complete_task(self.organization_id, run_id, task_id, is_approved)), raw=raw
        )

    def get_form_values(self, run_id: str) -> dict[str, Any]:
        """
        Read what people have filled in: values by label, ``None`` for a field without one.

        A field is under its id if it has no label, or if another field has the same. :meth:`list_form_fields` tells
        fields apart by task and alias.

        :param run_id: the run.
        :raises TallyfyNotFoundError: if there is no such run, or it is archived and Tallyfy does not show its tasks.
        """
        run_id = argument(checked_id, run_id, "run_id")
        return values_by_label(self.execute(flows.get_form_values(self.organization_id, run_id)))

    def list_form_fields(self, run_id: str) -> list[FormFieldResult]:
        """
        Read the fields of a run's forms with what people have filled in, the kick-off form first.

        :param run_id: the run.
        :raises TallyfyNotFoundError: if there is no such run, or it is archived and Tallyfy does not show its tasks.
        """
        run_id = argument(checked_id, run_id, "run_id")
        return field_results(self.execute(flows.get_form_values(self.organization_id, run_id)))

    def list_activity(
        self,
        run_id: str,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        verbs: Sequence[str] = (),
    ) -> list[ActivityResult]:
        """
        Read the audit trail of a run, the oldest entry first.

        :param run_id: the run.
        :param since: only entries from this moment on.
        :param until: only entries before this moment.
        :param verbs: only entries with one of these verbs; none for all.
        """
        run_id = argument(checked_id, run_id, "run_id")
        since, until = argument(checked_time, since, "since"), argument(checked_time, until, "until")
        chosen = argument(listed, verbs, "verbs")
        entries = self.execute(flows.list_activity(self.organization_id, run_id, since, until, chosen))
        return [activity_result(entry) for entry in entries]

    def add_tag(self, run_id: str, tag_id: str) -> bool:
        """
        Put a tag on a run unless it is there, and return whether it was not.

        :param run_id: the run, not archived.
        :param tag_id: the tag.
        """
        run_id = argument(checked_id, run_id, "run_id")
        tag_id = argument(checked_id, tag_id, "tag_id")
        return self.execute(flows.tag_run(self.organization_id, run_id, tag_id))

    def remove_tag(self, run_id: str, tag_id: str) -> bool:
        """
        Take a tag off a run, and return whether it was there.

        :param run_id: the run.
        :param tag_id: the tag.
        """
        run_id = argument(checked_id, run_id, "run_id")
        tag_id = argument(checked_id, tag_id, "tag_id")
        return self.execute(flows.untag_run(self.organization_id, run_id, tag_id))

    def _changed(self, change: RunChange) -> RunResult:
        return run_result(change.run, self.run_url(change.run.id), changed=change.changed)


def argument(read: Callable[[Any, str], R], value: object, name: str) -> R:
    """
    Read an argument, in whatever form a template or another task gave it.

    :param read: the reader of its kind.
    :param value: what the user gave.
    :param name: name of the argument, for the message.
    :raises TallyfyValidationError: if it is not usable.
    """
    return read(value, name)


def _key(launch_key: str | None, scope: str) -> LaunchKey:
    if launch_key is None:
        return LaunchKey(uuid4().hex, pages=0)
    return LaunchKey.given(launch_key, scope)
