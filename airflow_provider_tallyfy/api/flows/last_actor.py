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


class LastActor(Enum):
    """Who archived or restored a run last since a moment."""

    SELF = auto()  # the user of the connection's token
    OTHERS = auto()
    UNKNOWN = auto()  # the activity cannot be read, does not show it, or allows more than one answer


def last_actor(organization_id: str, run_id: str, verb: str, since: datetime | None) -> Flow[LastActor]:
    """Find in the run's activity who archived (verb ``archived``) or restored (``unarchived``) it since a moment."""
    if since is None:
        return LastActor.UNKNOWN
    since = since.replace(microsecond=0)  # the activity may have whole seconds only
    try:
        latest = yield from _latest_entries(organization_id, run_id, verb, since)
        if not latest:
            return LastActor.UNKNOWN
        user = yield calls.current_user(organization_id)
    except TallyfyError:
        return LastActor.UNKNOWN
    return _actor_of(latest, optional_text(user.get("email")))


def _latest_entries(organization_id: str, run_id: str, verb: str, since: datetime) -> Flow[Sequence[Activity]]:
    """
    Read the newest entries with the verb, back to the last opposite one; wait a little if the activity lags.

    There may be several, because Tallyfy may log a repeated archive or restore although it changes nothing.
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


def _actor_of(latest: Sequence[Activity], email: str | None) -> LastActor:
    actors = {(entry.actor_email or "").casefold() for entry in latest}
    if not email or len(actors) != 1 or "" in actors:
        return LastActor.UNKNOWN
    return LastActor.SELF if actors == {email.casefold()} else LastActor.OTHERS
