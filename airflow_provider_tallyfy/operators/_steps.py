"""Operators that do a step of a run as people do: complete a task, comment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID
from airflow_provider_tallyfy.operators._base import (
    TallyfyRunOperator,
    TallyfyWriteOperator,
    first_moment,
    task_instance_key,
)
from airflow_provider_tallyfy.operators._run_change import execute_noting

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.call import Flow
    from airflow_provider_tallyfy.api.models.comment import CommentChange


class TallyfyStepOperator(TallyfyRunOperator, TallyfyWriteOperator):
    """Base of the operators that may comment, once per task instance."""

    template_fields: Sequence[str] = ("run_id", "task_name", *TallyfyWriteOperator.template_fields)

    def __init__(self, *, task_name: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.task_name = task_name

    def _comment(self, context: Context, run_id: str, content: str, tallyfy_task_id: str | None) -> Flow[CommentChange]:
        """Make the flow that comments; its key is made of what Airflow's tries of the task have in common."""
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.flows import LaunchKey

        ti = context["ti"]
        parts = ("comment", run_id, tallyfy_task_id or "", task_instance_key(ti))
        key = LaunchKey("/".join(map(str, parts)), since=first_moment(context["dag_run"]), just_now=ti.try_number > 1)
        return flows.comment(self.hook.organization_id, run_id, content, key, task_id=tallyfy_task_id)


class TallyfyCompleteTaskOperator(TallyfyStepOperator):
    """
    Do a step of a run: fill in the form of its task, complete it, and comment (documentation page "Complete task").

    Everything that does not fit is reported at once, before anything is sent. A task that is complete and shows these
    answers is a success that changes nothing. One that is complete with other answers fails: people may have acted on
    them.

    The result is a small dict: ``id``, ``title``, ``alias``, ``status``, ``completed_at``, ``deadline``, ``run_id``,
    ``url`` and ``changed`` (whether this task completed it, over all its tries, as far as Airflow >= 3.3 remembers).

    .. seealso:: :ref:`howto/operator:TallyfyCompleteTaskOperator`

    :param run_id: id of the run (templated).
    :param task_name: title, alias or id of the task (templated).
    :param answers: values of the task's form by field label, alias or id (templated): a dict, or text of one. They are
        encoded by the fields' types. Other fields stay as they are. By default none.
    :param comment: a comment on the task (templated), written after it is complete, once, whatever happens to this
        task. A marker is added to it. By default none.
    :param is_approved: the decision, for approval tasks only, which need one (templated).
    :param dry_run: log and return the requests instead of sending them (templated, as the field ``simulate``). Default:
        ``False``.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises TallyfyValidationError: if there is no such task, an answer does not fit, the task is complete with other
        answers, required fields are empty, somebody reported a problem, or the run is archived.
    :raises TallyfyNotFoundError: if there is no such run.
    :raises TallyfyUnknownOutcomeError: if nobody can tell yet whether it is complete. A retry looks first.
    :raises TallyfyError: if anything else failed, in one of its kinds.
    """

    template_fields: Sequence[str] = ("answers", "comment", "is_approved", *TallyfyStepOperator.template_fields)
    template_fields_renderers = {"answers": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        run_id: str,
        task_name: str,
        answers: Mapping[str, Any] | str | None = None,
        comment: str | None = None,
        is_approved: bool | str | None = None,
        dry_run: bool | str = False,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            run_id=run_id,
            task_name=task_name,
            dry_run=dry_run,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )
        self.answers: Any = answers
        self.comment = comment
        self.is_approved = is_approved

    def execute(self, context: Context) -> dict[str, Any]:
        """Complete the task."""
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.inputs.checks import checked_flag, checked_object, checked_text, free_text
        from airflow_provider_tallyfy.api.inputs.problems import invalid
        from airflow_provider_tallyfy.api.outputs import changed_task_result
        from airflow_provider_tallyfy.files.checkpoint import Checkpoint

        with self.hook as hook:
            run_id = self._push_run_link(context)
            name = checked_text(self.task_name, "task_name")
            if self._was_given("answers") and not self.answers:
                raise invalid("answers", self.answers, "is empty", "Leave it out to complete the task as it is.")
            answers = checked_object(self.answers, "answers")
            comment = free_text(self.comment, "comment", may_be_empty=False) if self._was_given("comment") else None
            decision = checked_flag(self.is_approved, "is_approved") if self._was_given("is_approved") else None
            what = (hook.organization_id, run_id, name, answers, decision)
            if self._is_dry_run:
                plan = hook.execute(flows.plan_completion(*what))
                writing = comment and hook.first_write(self._comment(context, run_id, comment, plan.task.id))
                return self._describe_plan([*(call for call, _ in plan.writes()), *([writing] if writing else [])])
            checkpoint = Checkpoint(context, [self.task_type, run_id, name])
            previous = checkpoint.load()
            change = execute_noting(hook, flows.complete_task(*what), checkpoint, previous, run_id)
            task = change.task
            self.log.info("Task %r of run %s is %s: %s", task.title, run_id, task.status, hook.run_url(run_id))
            if comment:
                hook.execute(self._comment(context, run_id, comment, task.id))
            result = changed_task_result(change)
            changed = change.changed or run_id in previous.intended
            self._note(changed=changed)
            return {**result, "run_id": run_id, "url": hook.run_url(run_id), "changed": changed}


class TallyfyCommentOperator(TallyfyStepOperator):
    """
    Comment on a run or on one of its tasks, once, whatever happens to the Airflow task that does it.

    A marker is added to the comment, made of DAG, DAG run, task and map index, as launches have one. A retry, a second
    try at the same time and a cleared task find that comment.

    The result is a small dict: ``id``, ``run_id``, ``task_id``, ``created_at``, ``url`` and ``changed``, which is
    ``False`` if another try wrote it.

    .. seealso:: :ref:`howto/operator:TallyfyCommentOperator`

    :param run_id: id of the run (templated).
    :param content: the words (templated).
    :param task_name: title, alias or id of the task (templated). By default the comment is on the run itself.
    :param dry_run: log and return the requests instead of sending them (templated, as the field ``simulate``). Default:
        ``False``.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises TallyfyValidationError: if an argument is invalid, or there is no such task. Nothing was sent then.
    :raises TallyfyNotFoundError: if there is no such run, or it is archived.
    :raises TallyfyUnknownOutcomeError: if nobody can tell yet whether the comment is there. A retry looks again.
    :raises TallyfyError: if anything else failed, in one of its kinds.
    """

    template_fields: Sequence[str] = ("content", *TallyfyStepOperator.template_fields)

    def __init__(
        self,
        *,
        run_id: str,
        content: str,
        task_name: str | None = None,
        dry_run: bool | str = False,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            run_id=run_id,
            task_name=task_name,
            dry_run=dry_run,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )
        self.content = content

    def execute(self, context: Context) -> dict[str, Any]:
        """Comment."""
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.inputs.checks import checked_text, free_text
        from airflow_provider_tallyfy.api.outputs import comment_result

        with self.hook as hook:
            run_id = self._push_run_link(context)
            content = free_text(self.content, "content", may_be_empty=False)
            task_id = None
            if self._was_given("task_name"):
                name = checked_text(self.task_name, "task_name")
                task_id = hook.execute(flows.find_task(hook.organization_id, run_id, name)).id
            flow = self._comment(context, run_id, content, task_id)
            if self._is_dry_run:
                return self._plan(flow)
            result = comment_result(hook.execute(flow), run_id, task_id)
            self._note(changed=result["changed"])
            self.log.info("Commented on run %s: %s", run_id, hook.run_url(run_id))
            return {**result, "url": hook.run_url(run_id)}
