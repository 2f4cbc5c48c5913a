"""The trigger behind DAGs that start when something happens to a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import TriggerEvent

from airflow_provider_tallyfy.api.checks import checked_seconds, listed
from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.queries import RunQuery
from airflow_provider_tallyfy.api.waits.events import Event, EventLog, checked_events
from airflow_provider_tallyfy.api.waits.run_list import RunsWatch
from airflow_provider_tallyfy.compat import asset_state_stores
from airflow_provider_tallyfy.connection import DEFAULT_CONN_ID
from airflow_provider_tallyfy.triggers.event_memory import EventMemory
from airflow_provider_tallyfy.watcher import Watcher, watching

if TYPE_CHECKING:
    from collections.abc import Sequence

_LISTENING_AGAIN = 60.0


class TallyfyRunEventTrigger(BaseEventTrigger):
    """
    Fires whenever something happens to a run of a template, with a tag, or with some words in its name.

    For ``AssetWatcher`` on Airflow >= 3.0::

        Asset("tallyfy_onboarding_done", watchers=[AssetWatcher(
            name="done", trigger=TallyfyRunEventTrigger(events=["completed"], template_id="..."))])

    The payload is ``{"event_id", "event", "at", "run": {"id", "name", "status", "archived_at", "completed_at", "url",
    "template_id"}}``. On Airflow >= 3.3 what was told is kept in the state stores of the assets, five seconds after it
    was told, when it has reached Airflow's database. So a restart loses no event, and repeats one only if it comes
    within those seconds. Before Airflow 3.3 nothing can be kept: after a restart the events of the last ``replay``
    seconds are told again. A repeated event has the same ``event_id``, save a problem or a restore of a run that was
    changed in between.

    The first look reads all runs, archived ones too; later ones the live runs, the newest archived ones, and what left
    the live ones. A request reads a hundred runs, so narrow them.

    :param events: what to hear of: ``launched``, ``completed``, ``problem``, ``archived``, ``restored``; a list, or a
        text with commas.
    :param template_id: only runs of this template.
    :param tags: only runs with one of these tag ids; a list, or a text with commas.
    :param query: only runs whose name Tallyfy finds by these words.
    :param replay: seconds before the start of which the events are told, too, where no state can be kept.
    :param poll_interval: seconds between two looks at the list.
    :param organization_id: the organization; by default the connection's.
    :param tallyfy_conn_id: the Airflow connection.
    :raises TallyfyValidationError: if an event is unknown, something is no list, a filter says nothing, or
        ``poll_interval`` is not a number of seconds above zero.
    """

    def __init__(
        self,
        *,
        events: Sequence[str] | str = ("completed",),
        template_id: str | None = None,
        tags: Sequence[str] | str | None = None,
        query: str | None = None,
        replay: timedelta | float = 3600,
        poll_interval: timedelta | float = 60,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.events = [event.value for event in checked_events(events)]
        self.template_id = template_id
        self.tags = None if tags is None else sorted(listed(tags, "tags"))
        self.query = query
        self.replay = checked_seconds(replay, "replay", least=0)
        self.poll_interval = checked_seconds(poll_interval, "poll_interval")
        self.organization_id = organization_id
        self.tallyfy_conn_id = tallyfy_conn_id
        self._runs = RunQuery(template_id=template_id, tags=self.tags, query=query)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, for the database."""
        names = (
            "events",
            "template_id",
            "tags",
            "query",
            "replay",
            "poll_interval",
            "organization_id",
            "tallyfy_conn_id",
        )
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire an event for everything that happens, for as long as somebody wants to know."""
        listened_to = (self.tallyfy_conn_id, self.organization_id, self.template_id, self.tags, self.query, self.events)
        memory = EventMemory(asset_state_stores(self), listened_to)
        replay = timedelta(seconds=0 if memory.lasts else self.replay)
        log = EventLog(map(Event, self.events), await memory.recall(), replay)
        while True:
            try:
                async with watching(self.tallyfy_conn_id, self.organization_id) as watcher:
                    async for event in self._listen(watcher, log, memory):
                        yield event
            except TallyfyError as error:
                self.log.error("Cannot listen to Tallyfy; trying again in %.0f s. %s", _LISTENING_AGAIN, error)
                await asyncio.sleep(_LISTENING_AGAIN)

    async def _listen(self, watcher: Watcher, log: EventLog, memory: EventMemory) -> AsyncIterator[TriggerEvent]:
        watch = RunsWatch(watcher.organization_id, self._runs)
        with watcher.subscribe([watch], self.poll_interval, None, is_end=lambda runs: False) as subscription:
            while True:
                for sight in (await memory.news(subscription)).values():
                    if sight.error is not None:
                        self.log.warning("Cannot see the runs at the moment, still listening. %s", sight.error)
                        continue
                    events = log.read(sight.value, datetime.now(UTC))
                    for event in events:
                        self.log.info("Run %s (%r): %s", event.run.id, event.run.name, event.event)
                        yield TriggerEvent(event.describe(watcher.run_url(event.run.id)))
                    await memory.note(log.state(), told=bool(events))
