"""Operators that restore and archive a run, and take back what another task archived or restored."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID
from airflow_provider_tallyfy.operators._base import first_moment
from airflow_provider_tallyfy.operators._run_change import TallyfyRunChangeOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.call import Flow
    from airflow_provider_tallyfy.api.errors import TallyfyError
    from airflow_provider_tallyfy.api.models.run import RunChange

# The result of a dry run holds the requests of this many runs; the log has all of them.
_MOST_PLANNED = 20


class TallyfyLifecycleOperator(TallyfyRunChangeOperator):
    """Base of the operators that restore or archive a run, or take back what another task archived or restored."""

    template_fields: Sequence[str] = ("undo", *TallyfyRunChangeOperator.template_fields)
    #: How the activity of a run calls what the operator does.
    _verb: ClassVar[str]

    def __init__(self, *, run_id: str | None = None, undo: Any = None, **kwargs: Any) -> None:
        super().__init__(run_id=run_id, **kwargs)
        self.undo = undo

    @abstractmethod
    def _can_undo(self, status: object) -> bool:
        """Tell whether the operator takes a change back that left a run in this status."""

    def execute(self, context: Context) -> Any:
        """Change the run, or take back what another task changed."""
        given = [name for name in ("run_id", "undo") if self._was_given(name)]
        if len(given) != 1:
            from airflow_provider_tallyfy.api.errors import TallyfyValidationError

            raise TallyfyValidationError(
                f"{'Both' if given else 'Neither'} run_id {'and' if given else 'nor'} undo "
                f"{'are' if given else 'is'} given.\nNothing was sent.\nGive exactly one of them.",
                fields={name: ["not exactly one is given"] for name in ("run_id", "undo")},
            )
        if given == ["run_id"]:
            return super().execute(context)
        return self._take_back(context)

    def _was_changed_before(self, context: Context, run_id: str, *, is_noted: bool) -> bool:
        """
        Let the note of an earlier try decide, and without notes the run's activity since the DAG run began.

        A note does not prove that the present state is this task's: somebody may have brought the run into it again
        before the task was cleared. The activity tells that, if it can be read.
        """
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.flows import LastActor

        hook = self.hook
        began = _beginning(context.get("dag_run"))
        actor = hook.execute(flows.last_actor(hook.organization_id, run_id, self._verb, began))
        if is_noted:
            return actor is not LastActor.OTHERS
        if actor is LastActor.UNKNOWN:
            self.log.warning(
                "Run %s was %s already, perhaps by an earlier try.\n"
                "Its activity since the DAG run began does not tell, so changed is False.\n"
                "An undo will leave the run as it is.",
                run_id,
                self._verb,
            )
        return actor is LastActor.SELF

    def _take_back(self, context: Context) -> Any:
        from airflow_provider_tallyfy.api.inputs.undo import read_undo

        undo = read_undo(self.undo, self._can_undo)
        is_dry_run = self._is_dry_run
        for reason in undo.skipped:
            self.log.info("Nothing to undo: %s.", reason)
        if not undo.run_ids:
            return self._describe_plan([]) if is_dry_run else []
        with self.hook as hook:
            if len(undo.run_ids) == 1:
                self._push_run(context, undo.run_ids[0], hook.run_url(undo.run_ids[0]))
            if is_dry_run:
                planned = [hook.first_write(self._change(run_id)) for run_id in undo.run_ids]
                return self._describe_plan([call for call in planned if call is not None], _MOST_PLANNED)
            return self._take_back_each(context, undo.run_ids)

    def _take_back_each(self, context: Context, run_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Go on after the failure of a single run, and fail at the end; a retry repeats nothing that is done."""
        from airflow_provider_tallyfy.api.errors import (
            TallyfyNotFoundError,
            TallyfyPermissionError,
            TallyfyValidationError,
        )

        results: list[dict[str, Any]] = []
        failed: list[TallyfyError] = []
        for run_id in run_ids:
            try:
                results.append(self._report(self._carry_out(context, run_id)))
            except (TallyfyNotFoundError, TallyfyPermissionError, TallyfyValidationError) as error:
                self.log.error("%s", error)
                failed.append(error)
        if failed:
            raise failed[0]
        return results


def _beginning(dag_run: Any) -> datetime | None:
    """Return when the DAG run began; a backfill's logical date is long before."""
    return getattr(dag_run, "start_date", None) or first_moment(dag_run)


class TallyfyActivateRunOperator(TallyfyLifecycleOperator):
    """
    Restore an archived run. A live run is a success with ``changed: False``.

    The run comes back with the status it had before it was archived, and so do its tasks (documentation page "Activate
    process"). With ``undo`` it restores what another task archived.

    With ``run_id`` the result is a small dict: ``id``, ``name``, ``status``, ``archived_at``, ``completed_at``, ``url``
    and ``changed``. With ``undo`` it is a list of such dicts, one for each run that the other task changed. The XComs
    ``run_id`` and ``run_url`` are pushed if there is exactly one run.

    ``changed`` says whether this task changed the run, over all its tries. On Airflow >= 3.3 each try notes what it is
    about to change. Before that, a retry that finds the run in the requested state reads the run's activity since the
    DAG run began. If that cannot tell, ``changed`` is ``False``, with a warning.

    .. seealso:: :ref:`howto/operator:TallyfyActivateRunOperator`

    :param run_id: id of the run (templated). Give exactly one of ``run_id`` and ``undo``.
    :param undo: take back what another task archived, and only that (templated): its result (``undo=other.output``),
        the results of a mapped task, or text of either as a template renders it. A task that did not run, changed
        nothing or was a dry run leaves nothing to do, which is a success.
    :param dry_run: log and return the requests instead of sending them (templated, as the field ``simulate``). Default:
        ``False``.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises TallyfyValidationError: if an argument is invalid, or not exactly one of ``run_id`` and ``undo`` is given.
        Nothing was sent then.
    :raises TallyfyNotFoundError: if there is no such run.
    :raises TallyfyError: if anything else failed, in one of its kinds.
    """

    _verb = "unarchived"

    def __init__(
        self,
        *,
        run_id: str | None = None,
        undo: Any = None,
        dry_run: bool | str = False,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            run_id=run_id,
            undo=undo,
            dry_run=dry_run,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )

    def _change(self, run_id: str) -> Flow[RunChange]:
        """Restore the run."""
        from airflow_provider_tallyfy.api import flows

        return flows.activate_run(self.hook.organization_id, run_id)

    def _can_undo(self, status: object) -> bool:
        """Restoring takes back only what archived the run."""
        from airflow_provider_tallyfy.api.models.run import RunStatus

        return status == RunStatus.ARCHIVED


class TallyfyArchiveRunOperator(TallyfyLifecycleOperator):
    """
    Archive a run, whatever its status. An archived run is a success with ``changed: False``.

    Nothing is lost: :class:`TallyfyActivateRunOperator` restores it (documentation page "Archive process"). With
    ``undo`` it archives what another task restored, and leaves alone what was live before.

    With ``run_id`` the result is a small dict: ``id``, ``name``, ``status``, ``archived_at``, ``completed_at``, ``url``
    and ``changed``. With ``undo`` it is a list of such dicts, one for each run that the other task changed. The XComs
    ``run_id`` and ``run_url`` are pushed if there is exactly one run.

    ``changed`` says whether this task changed the run, over all its tries. On Airflow >= 3.3 each try notes what it is
    about to change. Before that, a retry that finds the run in the requested state reads the run's activity since the
    DAG run began. If that cannot tell, ``changed`` is ``False``, with a warning.

    .. seealso:: :ref:`howto/operator:TallyfyArchiveRunOperator`

    :param run_id: id of the run (templated). Give exactly one of ``run_id`` and ``undo``.
    :param undo: take back what another task restored, and only that (templated): its result (``undo=other.output``),
        the results of a mapped task, or text of either as a template renders it. A task that did not run, changed
        nothing or was a dry run leaves nothing to do, which is a success.
    :param dry_run: log and return the requests instead of sending them (templated, as the field ``simulate``). Default:
        ``False``.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises TallyfyValidationError: if an argument is invalid, or not exactly one of ``run_id`` and ``undo`` is given.
        Nothing was sent then.
    :raises TallyfyNotFoundError: if there is no such run.
    :raises TallyfyError: if anything else failed, in one of its kinds.
    """

    _verb = "archived"

    def __init__(
        self,
        *,
        run_id: str | None = None,
        undo: Any = None,
        dry_run: bool | str = False,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            run_id=run_id,
            undo=undo,
            dry_run=dry_run,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )

    def _change(self, run_id: str) -> Flow[RunChange]:
        """Archive the run."""
        from airflow_provider_tallyfy.api import flows

        return flows.archive_run(self.hook.organization_id, run_id)

    def _can_undo(self, status: object) -> bool:
        """Archiving takes back anything but what archived or deleted the run."""
        from airflow_provider_tallyfy.api.models.run import RunStatus

        return status not in (RunStatus.ARCHIVED, "deleted")
