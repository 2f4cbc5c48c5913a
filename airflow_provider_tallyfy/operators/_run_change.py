"""The base of operators that bring one run into another state; it tells what a task changed over all its tries."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.links.tallyfy import name_run
from airflow_provider_tallyfy.operators._base import TallyfyRunOperator, TallyfyWriteOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.call import Call, Flow, T
    from airflow_provider_tallyfy.api.models.run import RunChange
    from airflow_provider_tallyfy.files.checkpoint import Checkpoint, PreviousAttempts
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook


class TallyfyRunChangeOperator(TallyfyRunOperator, TallyfyWriteOperator):
    """Base of the operators that bring one existing run into another state."""

    template_fields: Sequence[str] = ("run_id", *TallyfyWriteOperator.template_fields)

    def execute(self, context: Context) -> Any:
        """Change the run and describe it."""
        with self.hook:
            run_id = self._push_run_link(context)
            if self._is_dry_run:
                return self._describe_plan(self._planned(run_id))
            change = self._carry_out(context, run_id)
            name_run(context, change.run.name)
            return self._report(change)

    @abstractmethod
    def _change(self, run_id: str) -> Flow[RunChange]:
        """Make the flow that does what the operator is for."""

    def _was_changed_before(self, context: Context, run_id: str, *, is_noted: bool) -> bool:
        """
        Tell whether an earlier try changed a run that this try found in the requested state.

        ``is_noted``: whether an earlier try noted that it set out to change the run. Airflow < 3.3 keeps no notes.
        """
        if not is_noted:
            self.log.warning(
                "Run %s is so already, perhaps by an earlier try.\n"
                "Before Airflow 3.3 no try can tell, so changed is False.",
                run_id,
            )
        return is_noted

    def _planned(self, run_id: str) -> list[Call[Any]]:
        """Find out what a dry run does not send: the first request that would change something."""
        first = self.hook.first_write(self._change(run_id))
        return [] if first is None else [first]

    def _purpose(self, run_id: str) -> list[Any]:
        """Identify this change among others of the same task, in plain JSON types."""
        return [self.task_type, run_id]

    def _carry_out(self, context: Context, run_id: str) -> RunChange:
        """Change the run, and say whether this task changed it, over all its tries."""
        from airflow_provider_tallyfy.files.checkpoint import Checkpoint

        checkpoint = Checkpoint(context, self._purpose(run_id))
        previous = checkpoint.load()
        change = execute_noting(self.hook, self._change(run_id), checkpoint, previous, run_id)
        if change.changed or not previous.may_have_changed(run_id):
            return change
        return replace(change, changed=self._was_changed_before(context, run_id, is_noted=run_id in previous.intended))

    def _report(self, change: RunChange) -> dict[str, Any]:
        """Log what became of the run, and describe it."""
        run, url = change.run, self.hook.run_url(change.run.id)
        self._note(template_id=change.run.template_id, changed=change.changed)
        unchanged = "" if change.changed else ", unchanged"
        self.log.info("Run %s (%r) is %s%s: %s", run.id, run.name, run.status, unchanged, url)
        return run.describe(url, changed=change.changed)


def execute_noting(
    hook: TallyfyHook, flow: Flow[T], checkpoint: Checkpoint, previous: PreviousAttempts, item: str
) -> T:
    """Note before the write what this try sets out to change, and drop the note if Tallyfy refused the write."""
    from airflow_provider_tallyfy.api.errors import TallyfyError
    from airflow_provider_tallyfy.api.flows.driving import noting_writes

    noted: list[str] = []

    def note(call: Call[Any]) -> None:
        checkpoint.save([item])
        noted.append(call.method)

    try:
        return hook.execute(noting_writes(flow, note))
    except TallyfyError as error:
        is_refused = error.permanent and not error.may_be_applied and error.method in noted
        if is_refused:
            checkpoint.save(previous.intended)
        raise
