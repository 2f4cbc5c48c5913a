"""Which runs a list is to hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_provider_tallyfy.api.errors import TallyfyResponseError, TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.checks import (
    checked_id,
    checked_status,
    checked_text,
    is_rendered_none,
    listed,
    parse_list,
    parse_rendered,
)
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.models.records import TagLink, tag_links
from airflow_provider_tallyfy.api.models.run import Run, RunStatus
from airflow_provider_tallyfy.api.text import short_repr

ARCHIVED_FILTERS = ("exclude", "include", "only")

#: The filters of a query; ``archived`` always says something.
QUERY_FILTERS = ("status", "template_id", "query", "tags", "exclude_tags", "owners", "folder")

#: Those that take names as well as ids.
NAMED_FILTERS = ("template_id", "tags", "exclude_tags", "owners", "folder")


def _template(value: object, name: str) -> str:
    """Read a template's title or id, or a task's result that holds the id."""
    return checked_text(value, name) if isinstance(parse_rendered(value), str) else checked_id(value, name)


_READERS: dict[str, Callable[[object, str], Any]] = {
    "status": checked_status,
    "template_id": _template,
    "query": checked_text,
    "tags": listed,
    "exclude_tags": listed,
    "owners": listed,
    "folder": checked_text,
    "archived": checked_text,
    "sort": checked_text,
}


def refuse_empty(given: Mapping[str, object]) -> None:
    """Refuse filters that were given and came out empty: without them more runs would be chosen than was meant."""
    empty = [name for name, value in given.items() if is_empty_filter(value)]
    if empty:
        named = ", ".join(f"{name}={short_repr(given[name])}" for name in empty)
        raise TallyfyValidationError(
            f"A filter is empty: {named} (did a template render it for a missing value?).\n"
            f"Without it, more runs would be chosen than you asked for.\nNothing was sent.\n"
            f"Give a value, or leave {' and '.join(empty)} out.",
            fields={name: ["empty"] for name in empty},
        )


def is_empty_filter(value: object) -> bool:
    """Whether a filter would choose nothing, or is what a template renders for a missing value."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value.strip(" ,") or is_rendered_none(value) or parse_list(value) == []
    if not isinstance(value, Collection):
        return False
    return not value or any(item is None or (isinstance(item, str) and is_empty_filter(item)) for item in value)


@dataclass(frozen=True)
class RunQuery:
    """
    Which runs to list (documentation page "List processes").

    ``None`` is a filter that is not given. One that is given and empty is refused: without it the list would have runs
    that were not asked for.

    :param status: only runs in this status, a value of :class:`RunStatus`.
    :param template_id: only runs of this template.
    :param tags: only runs with one of these tag ids.
    :param owners: only runs owned by, or with tasks of, these users.
    :param archived: ``exclude`` archived runs, ``include`` them, or ``only`` those.
    :param sort: ``name`` or ``created_at``, with ``-`` in front for descending; ascending creation keeps
        pages stable while runs are launched.
    :param before: only runs that have been in their state since before this moment: in status ``complete`` since their
        completion, archived since they were archived, otherwise since their launch. Tallyfy has no such filter.
    :param includes: what to show of each run besides its own fields, for example ``tasks``.
    :param exclude_tags: only runs with none of these tag ids. Tallyfy has no such filter.
    """

    status: str | None = None
    template_id: str | None = None
    query: str | None = None
    tags: Sequence[str] | None = None
    owners: Sequence[str | int] | None = None
    folder: str | None = None
    archived: str = "exclude"
    sort: str = "created_at"
    before: datetime | None = None
    includes: tuple[str, ...] = ()
    exclude_tags: Sequence[str] | None = None

    def __post_init__(self) -> None:
        refuse_empty({name: value for name in QUERY_FILTERS if (value := getattr(self, name)) is not None})
        if self.status is not None:
            checked_status(self.status, "status")
        if self.archived not in ARCHIVED_FILTERS:
            raise invalid("archived", self.archived, f"is not one of {', '.join(ARCHIVED_FILTERS)}")
        if self.archived == "only" and self.status not in (None, RunStatus.ARCHIVED, RunStatus.COMPLETE):
            raise invalid(
                "status",
                self.status,
                "with archived='only' would find nothing",
                "The status of an archived run is 'archived', or 'complete' if it was finished before.",
            )
        for name, ids in (("tags", self.tags), ("exclude_tags", self.exclude_tags), ("owners", self.owners)):
            if isinstance(ids, str):
                raise invalid(name, ids, "is text, not a list of ids")

    @classmethod
    def checked(cls, **filters: object) -> RunQuery:
        """Read filters as users and templates give them: numbers may be texts, and texts lists."""
        given = {name: value for name, value in filters.items() if value is not None or name not in QUERY_FILTERS}
        refuse_empty({name: value for name, value in given.items() if name in QUERY_FILTERS})
        return cls(**{name: _READERS[name](value, name) for name, value in given.items()})

    @property
    def only_archived(self) -> bool:
        """Whether it asks for archived runs alone, in either way to say so."""
        return self.archived == "only" or self.status == RunStatus.ARCHIVED

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """
        Write it as query parameters.

        ``status=archived`` is never sent: the official MCP server found that only ``archived=only`` works. What another
        status does together with ``archived`` is not documented, so that one is left to :meth:`accepts`.
        """
        status = self.status if self.archived == "exclude" and self.status != RunStatus.ARCHIVED else None
        archived = "only" if self.only_archived else ("true" if self.archived == "include" else None)
        given = {
            "status": status,
            "checklist_id": self.template_id,
            "q": self.query,
            "tag_ids": ",".join(map(str, self.tags or ())),
            "owners": ",".join(map(str, self.owners or ())),  # ids of users are numbers
            "folder": self.folder,
            "archived": archived,
            "sort": self.sort,
            "with": ",".join(dict.fromkeys((*self.includes, *(("tags",) if self.exclude_tags else ())))),
        }
        return tuple((name, value) for name, value in given.items() if value)

    def accepts(self, run: Run) -> bool:
        """Whether a listed run is one that was asked for; a filter that the server ignored must not widen a task."""
        if run.is_archived and self.archived == "exclude" and not self.only_archived:
            return False
        if self.only_archived and not run.is_archived:
            return False
        if self.template_id is not None and run.template_id not in (None, self.template_id):
            return False
        if self.exclude_tags and not {link.tag_id for link in shown_tags(run)}.isdisjoint(self.exclude_tags):
            return False
        if self.before is not None and not self._is_from_before(run, self.before):
            return False
        is_issue = self.status == RunStatus.PROBLEM and run.status == RunStatus.ISSUE  # Tallyfy lists both as problems
        return self.status is None or run.has_status(self.status) or is_issue

    def _is_from_before(self, run: Run, before: datetime) -> bool:
        if self.status == RunStatus.COMPLETE:
            moment = run.completed_at
        else:
            moment = run.archived_at if self.only_archived else run.created_at
        return moment is not None and moment < before


def shown_tags(run: Run) -> tuple[TagLink, ...]:
    """Read the tags that a list shows of a run; a run of which it shows none at all may have any."""
    try:
        return tag_links(run.raw)
    except ValueError as error:
        raise TallyfyResponseError(
            f"Could not tell which tags run {run.id} has.\nTallyfy's list: {error}.\n"
            f"Without them the run can be neither left out nor chosen.",
            run_id=run.id,
        ) from None
