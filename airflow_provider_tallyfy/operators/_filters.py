"""Choosing runs by filters, in the same words for lists and for bulk work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_tallyfy.operators._base import TallyfyOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.models.run import Run

#: What chooses runs.
FILTERS = ("status", "template_id", "query", "tags", "exclude_tags", "owners", "folder", "older_than", "limit")


class TallyfyRunFilterOperator(TallyfyOperator):
    """Base of the operators that choose runs by filters."""

    template_fields: Sequence[str] = (*FILTERS, "archived", *TallyfyOperator.template_fields)

    #: What ``archived`` is when it is not given.
    _default_archived: ClassVar[str] = "exclude"

    def __init__(
        self,
        *,
        status: str | None = None,
        template_id: str | None = None,
        query: str | None = None,
        tags: Sequence[str] | str | None = None,
        exclude_tags: Sequence[str] | str | None = None,
        owners: Sequence[int | str] | str | None = None,
        folder: str | None = None,
        archived: str | None = None,
        older_than: timedelta | str | None = None,
        limit: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.status = status
        self.template_id = template_id
        self.query = query
        self.tags = tags
        self.exclude_tags = exclude_tags
        self.owners = owners
        self.folder = folder
        self.archived = archived
        self.older_than = older_than
        self.limit = limit

    def _filtered_runs(self, includes: tuple[str, ...] = ()) -> Iterator[Run]:
        """List the runs that the filters let through, as Tallyfy's pages come; refuse filters that came out empty."""
        from airflow_provider_tallyfy.api.inputs.queries import refuse_empty

        refuse_empty({name: getattr(self, name) for name in FILTERS if self._was_given(name)})
        filters = {name: getattr(self, name) for name in FILTERS}
        return self.hook.each_run(filters | {"archived": self.archived or self._default_archived}, includes)
