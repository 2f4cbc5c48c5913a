"""The operator that changes the tags of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID
from airflow_provider_tallyfy.operators._run_change import TallyfyRunChangeOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.call import Call, Flow
    from airflow_provider_tallyfy.api.models.run import RunChange


class TallyfyTagRunOperator(TallyfyRunChangeOperator):
    """
    Put tags on a run, and take others off.

    What the run has already, or does not have, stays as it is: tagging again would fire the tag's events again. Tallyfy
    tags live runs only.

    The result is a small dict: ``id``, ``name``, ``status``, ``archived_at``, ``completed_at``, ``url`` and ``changed``
    (whether this task changed the tags, over all its tries).

    .. seealso:: :ref:`howto/operator:TallyfyTagRunOperator`

    :param run_id: id or address of the run (templated).
    :param add: tags to put on the run (templated): a list of titles or ids, or text with commas between them. Default:
        ``()``.
    :param remove: tags to take off the run (templated), likewise. Default: ``()``.
    :param dry_run: log and return the requests instead of sending them (templated, as the field ``simulate``). Default:
        ``False``.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises TallyfyValidationError: if an argument is invalid, a tag is unknown, ambiguous, or in both lists, or the run
        is archived. Nothing was changed then.
    :raises TallyfyNotFoundError: if there is no such run.
    :raises TallyfyUnknownOutcomeError: if it is not known yet whether a tag is there. A retry finds out.
    :raises TallyfyError: if anything else failed, in one of its kinds.
    """

    template_fields: Sequence[str] = ("add", "remove", *TallyfyRunChangeOperator.template_fields)

    def __init__(
        self,
        *,
        run_id: str,
        add: Sequence[str] | str = (),
        remove: Sequence[str] | str = (),
        dry_run: bool | str = False,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            run_id=run_id, dry_run=dry_run, organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id, **kwargs
        )
        self.add = add
        self.remove = remove

    def _change(self, run_id: str) -> Flow[RunChange]:
        """Change the tags."""
        from airflow_provider_tallyfy.api import flows

        return flows.change_tags(self.hook.organization_id, run_id, *self._tag_ids())

    def _planned(self, run_id: str) -> list[Call[Any]]:
        """Find out which requests would change the tags."""
        from airflow_provider_tallyfy.api import flows

        _, writes = self.hook.execute(flows.tag_writes(self.hook.organization_id, run_id, *self._tag_ids()))
        return writes

    def _purpose(self, run_id: str) -> list[Any]:
        """Identify this change by its run and its tags."""
        return [*super()._purpose(run_id), *self._tag_ids()]

    def _tag_ids(self) -> tuple[list[str], list[str]]:
        from airflow_provider_tallyfy.api.inputs.checks import parse_rendered
        from airflow_provider_tallyfy.api.inputs.people import ids
        from airflow_provider_tallyfy.api.inputs.problems import invalid

        given = {name: getattr(self, name) for name in ("add", "remove")}
        if not any(map(self._was_given, given)):
            raise invalid("add", self.add, "is not given, and neither is remove", "Nothing was sent.")
        named = {name: ids(parse_rendered(value), name) for name, value in self.hook.with_ids(given).items()}
        add, remove = named["add"], named["remove"]
        if both := sorted({*add} & {*remove}):
            raise invalid("remove", self.remove, f"has tags that add has, too: {', '.join(both)}", "Nothing was sent.")
        return add, remove
