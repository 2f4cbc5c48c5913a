"""The trigger behind DAGs that start when something happens to a run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.triggers.base import TriggerEvent

from airflow_provider_tallyfy.api import flows
from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.inputs.checks import checked_id, checked_seconds, free_text
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.inputs.queries import RunQuery
from airflow_provider_tallyfy.compat import BaseEventTrigger, asset_state_stores
from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID
from airflow_provider_tallyfy.triggers._base import PUBLIC_MODULE, serialized
from airflow_provider_tallyfy.triggers._event_memory import EventMemory
from airflow_provider_tallyfy.waits.backoff import backoff
from airflow_provider_tallyfy.waits.run_events import Event, EventLog, beginning, checked_events
from airflow_provider_tallyfy.waits.run_list import LONG_AGO, RunListProbe
from airflow_provider_tallyfy.waits.watcher import Watcher, watching

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")

# Tallyfy's times may be whole seconds, rounded down.
_PRECISION = timedelta(seconds=1)


class TallyfyRunEventTrigger(BaseEventTrigger):
    """
    Fires whenever something happens to a run of a template, with a tag, or with some words in its name.

    For ``AssetWatcher`` on Airflow >= 3.0::

        Asset("tallyfy_onboarding_done", watchers=[AssetWatcher(
            name="done", trigger=TallyfyRunEventTrigger(events=["completed"], template_id="..."))])

    The payload is ``{"event_id", "event", "at", "run": {"id", "name", "status", "archived_at", "completed_at", "url",
    "template_id"}}``.

    A new trigger fires for what happens after it began, and for what happened in the ``replay`` seconds before.

    On Airflow >= 3.3 a restart loses no event. The assets' state stores keep the beginning, and each event five seconds
    after it was fired, when it has reached Airflow's database. Only a restart within those seconds repeats it. Before
    Airflow 3.3 nothing can be kept: after a restart the events of the last ``replay`` seconds are fired again. A
    repeated event has the same ``event_id``, except a problem or a restore of a run that was changed in between.

    The first look reads all runs, archived ones too; later ones the live runs, the newest archived ones, and what left
    the live ones. A request reads a hundred runs, so narrow them.

    Airflow renders no templates in an ``AssetWatcher``, so all arguments are taken as they are written.

    :param events: which events to fire for: ``launched``, ``completed``, ``problem``, ``archived``, ``restored``; a
        list, or a text with commas. Default: ``completed``.
    :param template_id: only runs of this template: its title or id. Default: runs of all templates.
    :param tags: only runs with one of these tags: titles or ids; a list, or a text with commas. Default: all runs.
    :param query: only runs whose name Tallyfy finds by these words. Default: all runs.
    :param replay: fire also for events of so many seconds, or of a timedelta, before the first start; before every
        start if Airflow keeps no state. Default: 3600.
    :param poll_interval: seconds between two looks at the list, or a timedelta. Default: 60.
    :param organization_id: the organization. Default: the connection's.
    :param tallyfy_conn_id: the Airflow connection. Default: ``tallyfy_default``.
    :raises TallyfyValidationError: if an event is unknown, an id or a list is invalid, a filter is empty or a Jinja
        template, or ``replay`` or ``poll_interval`` is not a number of seconds.
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
        filters = {"template_id": template_id, "tags": tags, "query": query}
        _refuse_templates(**filters, organization_id=organization_id, tallyfy_conn_id=tallyfy_conn_id)
        runs = RunQuery.checked(**filters)
        self.template_id, self.query = runs.template_id, runs.query
        self.tags = None if runs.tags is None else sorted(set(runs.tags))
        self.replay = checked_seconds(replay, "replay", least=0)
        self.poll_interval = checked_seconds(poll_interval, "poll_interval")
        self.organization_id = None if organization_id is None else checked_id(organization_id, "organization_id")
        self.tallyfy_conn_id = free_text(tallyfy_conn_id, "tallyfy_conn_id", may_be_empty=False)
        self._runs = replace(runs, tags=self.tags)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, for the database."""
        return serialized(self)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire an event for everything that happens, for as long as its asset is watched."""
        began = datetime.now(UTC) - _PRECISION
        scope = (self.tallyfy_conn_id, self.organization_id, self.template_id, self.tags, self.query, self.events)
        memory = EventMemory(asset_state_stores(self), scope)
        log: EventLog | None = None
        failures = 0
        while True:
            try:
                if log is None:
                    log = EventLog(map(Event, self.events), await self._load(memory, began))
                async with watching(self.tallyfy_conn_id, self.organization_id) as watcher:
                    async for event in self._listen(watcher, log, memory):
                        failures = 0
                        if event is not None:
                            yield event
            except Exception as error:
                if not failures:
                    is_known = isinstance(error, TallyfyError)
                    self.log.error(
                        "Cannot listen to Tallyfy, trying again until it works.\n%s", error, exc_info=not is_known
                    )
                failures += 1
                await asyncio.sleep(backoff(failures, random.random()))  # noqa: S311 - jitter, not cryptography

    async def _load(self, memory: EventMemory, began: datetime) -> dict[str, Any]:
        """Give what was kept, or keep when listening began: what happens before the first look counts as well."""
        state = await memory.load()
        if state is None:
            longest = (began - LONG_AGO) // timedelta(seconds=1)
            state = beginning(began - timedelta(seconds=min(self.replay, longest)))
            await memory.save(state, fired=False)
        return state

    async def _listen(self, watcher: Watcher, log: EventLog, memory: EventMemory) -> AsyncIterator[TriggerEvent | None]:
        """Give the events of every look, and after those of one look ``None``."""
        runs = await watcher.ask(flows.resolve_filters(watcher.organization_id, self._runs, {}))
        probe = RunListProbe(watcher.organization_id, runs)
        is_first, is_in_trouble = True, False
        with watcher.subscribe([probe], self.poll_interval, None) as subscription:
            while True:
                for seen in (await memory.updates(subscription)).values():
                    if seen.error is not None:
                        if not is_in_trouble:
                            self.log.warning("Cannot see the runs at the moment, still listening.\n%s", seen.error)
                        is_in_trouble = True
                        continue
                    is_in_trouble = False
                    if is_first:
                        since = log.since.isoformat(timespec="seconds")
                        self.log.info("Listening since %s, %d runs known.", since, len(seen.value))
                        is_first = False
                    events = await in_turns(log.read(seen.value, datetime.now(UTC)))
                    for event in events:
                        self.log.info("Run %s (%r): %s", event.run.id, event.run.name, event.event)
                        yield TriggerEvent(event.describe(watcher.run_url(event.run.id)))
                    await memory.save(log.state(), fired=bool(events))
                    yield None


async def in_turns(work: Generator[None, None, T]) -> T:
    """Do work that yields between its parts; there the event loop turns to other tasks."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)


def _refuse_templates(**arguments: object) -> None:
    for name, value in arguments.items():
        for text in value if isinstance(value, list | tuple | set) else (value,):
            if isinstance(text, str) and ("{{" in text or "{%" in text):
                problem = "is a template, but Airflow renders no templates in an AssetWatcher"
                raise invalid(name, value, problem, "Give the value itself.")


TallyfyRunEventTrigger.__module__ = PUBLIC_MODULE
