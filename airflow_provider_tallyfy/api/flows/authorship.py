"""Who archived or restored a run last, according to its activity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto
from itertools import takewhile

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.flows.contents import newest_activity
from airflow_provider_tallyfy.api.flows.replica_lag import look_until
from airflow_provider_tallyfy.api.models.envelope import optional_text
from airflow_provider_tallyfy.api.models.records import Activity

#: For each verb the one that takes it back.
_OPPOSITES = {"archived": "unarchived", "unarchived": "archived"}


class Author(Enum):
    """Who did something to a run since a moment."""

    SELF = auto()  # the user of the connection's token
    OTHERS = auto()
    UNKNOWN = auto()  # the activity cannot be read, does not show it, or allows more than one answer


def who_did(organization_id: str, run_id: str, verb: str, since: datetime | None) -> Flow[Author]:
    """
    Find in the run's activity who archived or restored it since a moment; after an error that is ``UNKNOWN``.

    :param verb: ``archived`` or ``unarchived``.
    :param since: the moment; ``None`` makes the answer ``UNKNOWN``.
    """
    if since is None:
        return Author.UNKNOWN
    since = since.replace(microsecond=0)  # the activity may have whole seconds only
    try:
        latest = yield from _latest_moves(organization_id, run_id, verb, since)
        if not latest:
            return Author.UNKNOWN
        user = yield calls.current_user(organization_id)
    except TallyfyError:
        return Author.UNKNOWN
    return _author(latest, optional_text(user.get("email")))


def _latest_moves(organization_id: str, run_id: str, verb: str, since: datetime) -> Flow[Sequence[Activity]]:
    """
    Read who brought the run into its state since it was last in the opposite one; wait a little if the activity lags.

    Several entries may do so, because repeating an archive or a restore may be logged although it changes nothing.
    """

    def look() -> Flow[Sequence[Activity]]:
        entries: list[Activity] = yield from newest_activity(organization_id, run_id, since)
        moves = [
            entry
            for entry in entries
            if entry.verb in (verb, _OPPOSITES[verb])
            and entry.subject_id == run_id
            and entry.created_at is not None
            and entry.created_at >= since
        ]
        return list(takewhile(lambda entry: entry.verb == verb, moves))

    return (yield from look_until(look))


def _author(latest: Sequence[Activity], email: str | None) -> Author:
    actors = {(entry.actor_email or "").casefold() for entry in latest}
    if not email or len(actors) != 1 or "" in actors:
        return Author.UNKNOWN
    return Author.SELF if actors == {email.casefold()} else Author.OTHERS
