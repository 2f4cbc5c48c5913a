"""One poller for everything that triggers wait for in one organization."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from collections import defaultdict
from collections.abc import Coroutine, Hashable, Iterable, Iterator, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.api.call import Call, Flow, T
from airflow_provider_tallyfy.api.errors import (
    TallyfyAuthError,
    TallyfyError,
    TallyfyPermissionError,
    TallyfyRateLimitError,
)
from airflow_provider_tallyfy.api.inputs.checks import checked_seconds
from airflow_provider_tallyfy.api.models.envelope import Page
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.waits.backoff import backoff
from airflow_provider_tallyfy.waits.probes import Key, Observation, Probe, RunProbe
from airflow_provider_tallyfy.waits.watcher.list_reading import ListReading
from airflow_provider_tallyfy.waits.watcher.planning import (
    LEEWAY,
    ListRecord,
    ReadList,
    ReadOne,
    ReadPage,
    Rest,
    Trouble,
    looks_at_a_time,
    next_step,
)
from airflow_provider_tallyfy.waits.watcher.shared_connection import SharedConnection
from airflow_provider_tallyfy.waits.watcher.subscriptions import Accept, Subscription, Watched

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

log = logging.getLogger(__name__)

_GATHER = 0.1
_MOST_AT_ONCE = 8
_RECONSIDER = 0.5
_PAGE_TRIES = 3
_FOREVER = 3600.0


class Watcher:
    """
    Looks at everything that its subscribers wait for, with as few requests as it can.

    Where many runs are watched it reads lists of runs. What a list does not show, and what it shows that would end a
    wait without being certainly new, is read by itself: nothing depends on what lists leave out.

    :param connection: the Airflow connection, which has been read.
    """

    def __init__(self, connection: SharedConnection, organization_id: str) -> None:
        self.organization_id = organization_id
        #: How many triggers use it.
        self.users = 0
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._watched: dict[Key, Watched] = {}
        self._lists: defaultdict[str, ListRecord] = defaultdict(ListRecord)
        self._reading: ListReading | None = None
        self._page_first = False
        self._trouble = Trouble()
        self._changed = asyncio.Event()
        self._requests: dict[asyncio.Task[None], float] = {}  # with the moment each began
        self._request_seconds = 0.0
        self._refused: dict[Watched, tuple[TallyfyError, float]] = {}  # with the moment of the request
        self._defect: BaseException | None = None
        # An empty context: the work for everybody must not log under the trigger that happens to come first.
        self._task = self._loop.create_task(self._work(), context=contextvars.Context())
        self._task.add_done_callback(self._pass_on_defect)

    @property
    def timeout(self) -> float:
        """Seconds that one request may take."""
        return self._hook.settings.timeout

    @property
    def paused_until(self) -> float:
        """When the next request may be sent, on the event loop's clock; a moment long past if now."""
        return max(self._connection.free_at, self._trouble.until)

    def run_url(self, run_id: str) -> str:
        """Address of a run in the web app."""
        return self._hook.settings.run_url(self.organization_id, run_id)

    @property
    def _hook(self) -> TallyfyAsyncHook:
        return self._connection.hook(self.organization_id)

    @contextmanager
    def subscribe(
        self, probes: Iterable[Probe], interval: float, longest: float | None, accept: Accept = lambda *_: True
    ) -> Iterator[Subscription]:
        """
        Have things watched for as long as the context lasts. What is known already is delivered at once.

        :param longest: if given, the interval doubles up to this.
        :param accept: judges each observation, at once.
        """
        now = self._loop.time()
        interval = checked_seconds(interval, "poll_interval")
        longest = 0.0 if longest is None else checked_seconds(longest, "max_poll_interval")
        subscription = Subscription(probes, interval, longest, now, accept)
        try:
            for probe in subscription.probes:
                one = self._watched.setdefault(probe.key, Watched(probe))
                if not one.join(subscription, probe):
                    one.request(now, now + _GATHER)
            subscription.check()
            self._check_defect(subscription)
            self._changed.set()
            yield subscription
        finally:
            self.leave(subscription, {probe.key for probe in subscription.probes})

    def leave(self, subscription: Subscription, keys: Set[Key]) -> None:
        """Stop watching things for a subscriber."""
        for probe in [probe for probe in subscription.probes if probe.key in keys]:
            one = self._watched.get(probe.key)
            if one is not None:
                one.subscriptions.discard(subscription)
                if not one.subscriptions:
                    del self._watched[probe.key]
        subscription.probes = [probe for probe in subscription.probes if probe.key not in keys]

    def look_now(self, subscription: Subscription) -> None:
        """Look at all that a subscriber watches, and deliver what is seen even if it is unchanged."""
        now = self._loop.time()
        subscription.wants_all = True
        for probe in subscription.probes:
            self._watched[probe.key].request(now, now)
        self._changed.set()

    async def ask(self, look: Flow[T]) -> T:
        """Carry out one flow at once, even if Tallyfy asked for a pause."""
        return await self._hook.execute(look, retry_budget=0)

    def run_changed(self, run_id: str) -> None:
        """Take a hint from outside: look at a run now, directly."""
        now = self._loop.time()
        for one in self._watched.values():
            if one.probe.concerns(run_id):
                one.requested_at = now
                one.hurry(now)
        self._changed.set()

    async def close(self) -> None:
        """Cancel the poller and its requests."""
        for task in (self._task, *self._requests):
            task.cancel()
        await asyncio.gather(self._task, *self._requests, return_exceptions=True)

    def _pass_on_defect(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._defect = task.exception()
            for one in self._watched.values():
                for subscription in one.subscriptions:
                    self._check_defect(subscription)

    def _check_defect(self, subscription: Subscription) -> None:
        if self._task.done() and self._defect is not None:
            subscription.break_off(self._defect)

    # -- the work -------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            self._changed.clear()
            if self._defect is not None:
                raise self._defect
            now = self._loop.time()
            if self._refused and self._connection.check_at <= now:
                await self._check_credentials()
            elif self.paused_until > now:
                await self._rest_until(self.paused_until)
            elif len(self._requests) >= self._requests_at_a_time:
                # A request under way that turns out to be slow must not hold up the others.
                await self._rest_until(now + _RECONSIDER)
            else:
                page_due = self._reading.due if self._reading else None
                watched = self._watched.values()
                step = next_step(watched, self._lists, now, page_due=page_due, page_first=self._page_first)
                self._page_first = not isinstance(step, ReadPage)
                match step:
                    case ReadList(status, sought):
                        self._reading = ListReading(self.organization_id, status, sought, self._jitter)
                        self._start_page(self._reading)
                    case ReadPage() if self._reading:
                        self._start_page(self._reading)
                    case ReadOne(one):
                        one.in_flight = True
                        self._start(self._look(one))
                    case Rest(until):
                        await self._rest_until(min(until, self._connection.check_at) if self._refused else until)

    async def _rest_until(self, moment: float) -> None:
        try:
            async with asyncio.timeout(min(moment - self._loop.time(), _FOREVER)):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _start(self, request: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(request)
        self._requests[task] = self._loop.time()
        task.add_done_callback(self._request_ended)

    def _request_ended(self, task: asyncio.Task[None]) -> None:
        self._request_seconds = self._loop.time() - self._requests.pop(task)
        if not task.cancelled():
            self._defect = self._defect or task.exception()
        self._changed.set()

    @property
    def _requests_at_a_time(self) -> int:
        if self._trouble.is_general:
            return 1
        longest = max((self._loop.time() - began for began in self._requests.values()), default=0.0)
        return looks_at_a_time(self._connection.per_second, max(longest, self._request_seconds), _MOST_AT_ONCE)

    @property
    def _jitter(self) -> float:
        return random.uniform(1 - LEEWAY, 1 + LEEWAY)  # noqa: S311 - jitter, not cryptography

    # -- lists ----------------------------------------------------------------------------------------------

    def _start_page(self, reading: ListReading) -> None:
        call = reading.next_call()
        if call is None:
            self._end_list(reading)
        else:
            reading.due = float("inf")
            self._start(self._read_page(reading, call))

    async def _read_page(self, reading: ListReading, call: Call[Page]) -> None:
        asked_at = self._loop.time()
        reading.page_began = min(reading.page_began, asked_at)
        try:
            page = await self._hook.execute(call, retry_budget=0)
        except TallyfyError as error:
            self._page_failed(reading, call, error, asked_at)
            return
        self._trouble.note_success()
        try:
            runs = reading.accept(page, self._loop.time())
        except TallyfyError as error:
            self._break_off_list(reading, error, asked_at)
            return
        for run in runs:
            self._saw_listed(reading, run, asked_at)
            await asyncio.sleep(0)  # triggers whose wait just ended go first: a whole page of them stalls the loop
        reading.due = float("-inf")
        if reading.next_call() is None:
            self._end_list(reading)

    def _end_list(self, reading: ListReading) -> None:
        self._reading = None
        self._lists[reading.status].note(reading.sought, reading.paid_off, self._loop.time())
        reading.end()

    def _page_failed(self, reading: ListReading, call: Call[Page], error: TallyfyError, asked_at: float) -> None:
        """Ask for the page again, if that may help in time."""
        if not error.permanent:
            reading.tries += 1
            self._note_failure(call.path, error, asked_at)
            now = self._loop.time()
            in_time = max(now, self._trouble.until) - reading.page_began <= self._hook.settings.retry_budget
            is_limited = isinstance(error, TallyfyRateLimitError)
            if in_time and (is_limited or (reading.tries < _PAGE_TRIES and not self._trouble.is_outage)):
                reading.due = now + backoff(reading.tries, random.random())  # noqa: S311 - jitter, not cryptography
                return
        self._break_off_list(reading, error, asked_at)

    def _break_off_list(self, reading: ListReading, error: TallyfyError, asked_at: float) -> None:
        """Read the runs one by one instead: that shows whether Tallyfy or only this list is in trouble."""
        self._reading = None
        unseen = reading.break_off()
        if isinstance(error, TallyfyAuthError):
            for one in unseen:
                self._note_refusal(one, error, asked_at)
        elif not self._trouble.is_outage:
            self._lists[reading.status].note_failure(reading.sought, self._loop.time())
            for one in unseen:
                one.list_status = None

    def _saw_listed(self, reading: ListReading, run: Run, asked_at: float) -> None:
        one = self._watched.get(Key("run", run.id))
        if one is None or one.is_to_be_read_alone or not isinstance(one.probe, RunProbe):
            return
        one.is_listed, one.is_sought = True, False
        # Lists lag behind, and may show a run as it was before it was reopened: ends have to be newer than the waits.
        if not one.publish(Observation(run), asked_at, may_end=one.probe.is_newer(run)):
            one.hurry(self._loop.time())
            return
        one.probe.remember(run)
        if one.requested_at <= asked_at:
            one.plan(reading.began + one.interval_at(reading.began) * reading.jitter)

    # -- single looks ---------------------------------------------------------------------------------------

    async def _look(self, one: Watched) -> None:
        asked_at = self._loop.time()
        try:
            value = await self._hook.execute(one.probe.look(), retry_budget=0)
        except TallyfyError as error:
            self._look_failed(one, error, asked_at)
        except Exception as defect:  # noqa: BLE001 - the subscribers raise it
            one.break_off(defect)
        else:
            self._trouble.note_success()
            now = self._loop.time()
            if one.publish(Observation(value), asked_at) and one.requested_at <= asked_at:
                one.plan(now + one.interval_at(now) * self._jitter)
            else:
                one.due = min(one.due, now)
        finally:
            one.in_flight = False

    def _look_failed(self, one: Watched, error: TallyfyError, asked_at: float) -> None:
        if isinstance(error, TallyfyAuthError | TallyfyPermissionError):
            self._note_refusal(one, error, asked_at)
            return
        one.tries += 1
        now = self._loop.time()
        one.due = now + max(backoff(one.tries, random.random()), error.retry_after or 0.0)  # noqa: S311 - jitter
        self._note_failure(one.probe.key, error, asked_at)
        next_try = max(one.due, self._trouble.until)
        if error.permanent or (one.wanted <= now and self._is_too_late(one, next_try)):
            self._give_up_on([one], error)

    def _is_too_late(self, one: Watched, next_try: float) -> bool:
        return next_try - one.wanted > self._hook.settings.retry_budget

    def _give_up_on(self, failed: Iterable[Watched], error: TallyfyError) -> None:
        """Count a look as failed, and look again at its usual time."""
        now, jitter = self._loop.time(), self._jitter
        for one in failed:
            one.plan(now + max(one.interval_at(now) * jitter, error.retry_after or 0.0))
            one.publish(Observation(error=error), now)

    def _note_failure(self, what: Hashable, error: TallyfyError, asked_at: float) -> None:
        """Count a failure; if it is not only one run's trouble, looks that were wanted too long ago have failed."""
        if error.permanent:
            return
        now, was_outage = self._loop.time(), self._trouble.is_outage
        chance = random.random()  # noqa: S311 - jitter, not cryptography
        paused_until = self._trouble.until
        self._trouble.note_failure(what, error, asked_at, now, chance)
        if error.retry_after and self._trouble.until > max(paused_until, now):
            log.info("Tallyfy asked for a pause: no look at its runs for the next %.0f s.", self._trouble.until - now)
        if not self._trouble.is_general:
            return
        wanted = [one for one in self._watched.values() if one.wanted <= now and not one.in_flight]
        if self._trouble.is_outage and not was_outage:
            for one in wanted:
                one.list_status = one.probe.list_status  # when it is over, one list answers more than one look
        self._give_up_on([one for one in wanted if self._is_too_late(one, self._trouble.until)], error)

    # -- credentials ----------------------------------------------------------------------------------------

    def _note_refusal(self, one: Watched, error: TallyfyError, asked_at: float) -> None:
        self._refused[one] = (error, asked_at)
        one.refused_since = min(one.refused_since, asked_at)
        one.due = self._connection.check_at

    async def _check_credentials(self) -> None:
        """Use a connection that was changed, so that a new token needs no restart; else tolerate it for some time."""
        if self._requests:
            await asyncio.wait(self._requests)
        refused, self._refused = self._refused, {}
        # Another organization's watcher may have found the new token meanwhile.
        of_this_token = {one: refusal for one, refusal in refused.items() if refusal[1] >= self._connection.used_since}
        was_changed = await self._connection.was_changed() if of_this_token else True
        now, grace = self._loop.time(), self._hook.settings.credentials_grace
        for one, (error, asked_at) in refused.items():
            if was_changed or one not in of_this_token:
                one.due = min(one.due, now)
            elif was_changed is None:
                self._note_refusal(one, error, asked_at)
            elif now - one.refused_since < grace:
                one.due = self._connection.check_at
                one.publish(Observation(error=error, grace=grace), now)
            else:
                self._give_up_on([one], error)
