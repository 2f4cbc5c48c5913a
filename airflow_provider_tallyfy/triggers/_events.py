"""The trigger behind DAGs that start when something happens to a run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import TriggerEvent

from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.inputs.checks import checked_id, checked_seconds, free_text, listed
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.inputs.queries import RunQuery
from airflow_provider_tallyfy.compat import asset_state_stores
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

    A new trigger tells what happens after it began, and in the ``replay`` seconds before. On Airflow >= 3.3 the moment
    is kept in the state stores of the assets before the first look, and what was told five seconds after it was told,
    when it has reached Airflow's database. So a restart loses no event, and repeats one only if it comes within those
    seconds. Before Airflow 3.3 nothing can be kept: after a restart the events of the last ``replay`` seconds are told
    again. A repeated event has the same ``event_id``, except a problem or a restore of a run that was changed in
    between.

    The first look reads all runs, archived ones too; later ones the live runs, the newest archived ones, and what left
    the live ones. A request reads a hundred runs, so narrow them.

    :param events: what to hear of: ``launched``, ``completed``, ``problem``, ``archived``, ``restored``; a list, or a
        text with commas.
    :param template_id: only runs of this template. Airflow renders no templates in an ``AssetWatcher``.
    :param tags: only runs with one of these tag ids; a list, or a text with commas.
    :param query: only runs whose name Tallyfy finds by these words.
    :param replay: seconds before the first start of which the events are told, too; before every start if Airflow
        keeps no state.
    :param poll_interval: seconds between two looks at the list.
    :param organization_id: the organization; by default the connection's.
    :param tallyfy_conn_id: the Airflow connection.
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
        self.template_id = None if template_id is None else _checked_filter(template_id, "template_id", checked_id)
        self.tags = (
            None if tags is None else sorted({_checked_filter(t, "tags", checked_id) for t in listed(tags, "tags")})
        )
        self.query = None if query is None else _checked_filter(query, "query", _checked_words)
        self.replay = checked_seconds(replay, "replay", least=0)
        self.poll_interval = checked_seconds(poll_interval, "poll_interval")
        self.organization_id = (
            None if organization_id is None else _checked_filter(organization_id, "organization_id", checked_id)
        )
        self.tallyfy_conn_id = _checked_filter(tallyfy_conn_id, "tallyfy_conn_id", _checked_words)
        self._runs = RunQuery(template_id=self.template_id, tags=self.tags, query=self.query)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, for the database."""
        return serialized(self)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire an event for everything that happens, for as long as somebody wants to know."""
        began = datetime.now(UTC) - _PRECISION
        listened_to = (self.tallyfy_conn_id, self.organization_id, self.template_id, self.tags, self.query, self.events)
        memory = EventMemory(asset_state_stores(self), listened_to)
        log: EventLog | None = None
        failures = 0
        while True:
            try:
                if log is None:
                    log = EventLog(map(Event, self.events), await self._recall(memory, began))
                async with watching(self.tallyfy_conn_id, self.organization_id) as watcher:
                    async for event in self._listen(watcher, log, memory):
                        failures = 0
                        if event is not None:
                            yield event
            except Exception as error:
                if not failures:
                    is_known = isinstance(error, TallyfyError)
                    self.log.error(
                        "Cannot listen to Tallyfy; trying again until it works. %s", error, exc_info=not is_known
                    )
                failures += 1
                await asyncio.sleep(backoff(failures, random.random()))  # noqa: S311 - jitter, not cryptography

    async def _recall(self, memory: EventMemory, began: datetime) -> dict[str, Any]:
        """Give what was kept, or note when listening began: what happens before the first look is told as well."""
        state = await memory.recall()
        if state is None:
            longest = (began - LONG_AGO) // timedelta(seconds=1)
            state = beginning(began - timedelta(seconds=min(self.replay, longest)))
            await memory.note(state, told=False)
        return state

    async def _listen(self, watcher: Watcher, log: EventLog, memory: EventMemory) -> AsyncIterator[TriggerEvent | None]:
        """Give the events of every look, and after those of one look ``None``."""
        probe = RunListProbe(watcher.organization_id, self._runs)
        is_first, is_in_trouble = True, False
        with watcher.subscribe([probe], self.poll_interval, None, is_end=lambda runs: False) as subscription:
            while True:
                for sight in (await memory.news(subscription)).values():
                    if sight.error is not None:
                        if not is_in_trouble:
                            self.log.warning("Cannot see the runs at the moment, still listening. %s", sight.error)
                        is_in_trouble = True
                        continue
                    is_in_trouble = False
                    if is_first:
                        since = log.since.isoformat(timespec="seconds")
                        self.log.info("Listening since %s, %d runs known.", since, len(sight.value))
                        is_first = False
                    events = await in_turns(log.read(sight.value, datetime.now(UTC)))
                    for event in events:
                        self.log.info("Run %s (%r): %s", event.run.id, event.run.name, event.event)
                        yield TriggerEvent(event.describe(watcher.run_url(event.run.id)))
                    await memory.note(log.state(), told=bool(events))
                    yield None


async def in_turns(work: Generator[None, None, T]) -> T:
    """
    Do work part by part, so that others in the event loop have their turns between.

    :param work: yields between two parts.
    """
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)


def _checked_words(value: object, name: str) -> str:
    return free_text(value, name, may_be_empty=False)


def _checked_filter(value: object, name: str, check: Callable[[object, str], str]) -> str:
    """Check an argument that Airflow takes as it is written."""
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        problem = "is a template, but Airflow renders no templates in an AssetWatcher"
        raise invalid(name, value, problem, "Give the value itself.")
    return check(value, name)


TallyfyRunEventTrigger.__module__ = PUBLIC_MODULE
