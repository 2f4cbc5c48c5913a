"""One poller for everything that triggers wait for in one organization."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Set
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_tallyfy.api.errors import TallyfyAuthError, TallyfyError, TallyfyRateLimitError
from airflow_provider_tallyfy.api.exchange import Call
from airflow_provider_tallyfy.api.models import Page, Run
from airflow_provider_tallyfy.api.waits.scan import Scan
from airflow_provider_tallyfy.api.waits.watches import RunWatch, Watch
from airflow_provider_tallyfy.watcher.planning import (
    LEEWAY,
    Budget,
    ListRecord,
    ReadList,
    ReadOne,
    Rest,
    Trouble,
    backoff,
    looks_at_a_time,
    next_step,
)
from airflow_provider_tallyfy.watcher.watched import Key, Pace, Sight, Subscription, Watched

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

Connect = Callable[[], Awaitable["TallyfyAsyncHook"]]

_GATHER = 0.1
_MOST_AT_ONCE = 8
_RECONSIDER = 0.5
_PAGE_TRIES = 3
_CREDENTIALS_CHECK = 30.0
_FOREVER = 3600.0


class Watcher:
    """
    Looks at everything that its subscribers wait for, with as few requests as it can.

    Where many runs are watched it reads lists of runs. What a list does not show, and what it shows that would end a
    wait without being certainly new, is read by itself: nothing depends on what lists leave out.

    :param connect: makes a hook from the Airflow connection as it is now.
    :param organization_id: the organization; by default the connection's.
    """

    def __init__(self, connect: Connect, organization_id: str | None = None) -> None:
        self._connect = connect
        self._own_organization_id = organization_id
        self._loop = asyncio.get_running_loop()
        self._watched: dict[Key, Watched] = {}
        self._lists: defaultdict[str, ListRecord] = defaultdict(ListRecord)
        self._trouble = Trouble()
        self._changed = asyncio.Event()
        self._looks: dict[asyncio.Task[None], float] = {}  # with the moment each began
        self._look_seconds = 0.0
        self._declined: dict[Watched, TallyfyAuthError] = {}
        self._credentials_checked_at = float("-inf")
        self._ready: asyncio.Future[None] = self._loop.create_future()
        # Whoever happens to come first must not lend its log and its other context to the work for everybody.
        self._task = self._loop.create_task(self._work(), context=contextvars.Context())
        self._task.add_done_callback(self._tell_about_end)

    async def connected(self) -> Watcher:
        """
        Wait until the connection is read; one waiter's cancellation is not the others'.

        :raises TallyfyConfigurationError: if it is missing, incomplete or malformed.
        """
        await asyncio.shield(self._ready)
        if self._task.done():
            self._task.result()  # raises the defect that ended it
        return self

    @property
    def organization_id(self) -> str:
        """The organization that is watched."""
        return self._hook.organization_id(self._own_organization_id)

    @property
    def timeout(self) -> float:
        """Seconds that one request may take."""
        return self._hook.settings.timeout

    def run_url(self, run_id: str) -> str:
        """
        Address of a run in the web app.

        :param run_id: the run.
        """
        return self._hook.settings.run_url(self.organization_id, run_id)

    @contextmanager
    def subscribe(
        self, watches: Iterable[Watch], interval: float, longest: float | None, is_end: Callable[[Any], bool]
    ) -> Iterator[Subscription]:
        """
        Have things watched for as long as the context lasts. What is known already is told at once.

        :param watches: the things.
        :param interval: seconds between two looks.
        :param longest: if given, the interval doubles up to this.
        :param is_end: whether the subscriber will stop waiting because of a value.
        """
        now = self._loop.time()
        subscription = Subscription(watches, Pace(interval, longest or 0.0, now), is_end)
        for watch in subscription.watches:
            one = self._watched.setdefault(watch.key, Watched(watch))
            if not one.join(subscription, watch):
                one.plan(min(one.due, now + _GATHER))
        self._changed.set()
        try:
            yield subscription
        finally:
            self.leave(subscription, {watch.key for watch in subscription.watches})

    def leave(self, subscription: Subscription, keys: Set[Key]) -> None:
        """
        Stop watching things for a subscriber.

        :param subscription: of the subscriber.
        :param keys: of the watches.
        """
        for watch in [watch for watch in subscription.watches if watch.key in keys]:
            one = self._watched[watch.key]
            one.subscriptions.discard(subscription)
            if not one.subscriptions:
                del self._watched[watch.key]
        subscription.watches = [watch for watch in subscription.watches if watch.key not in keys]

    def look_now(self, subscription: Subscription) -> None:
        """
        Look at all that a subscriber watches, and tell it what is seen even if that is not new.

        :param subscription: of the subscriber.
        """
        subscription.wants_every_sight = True
        for watch in subscription.watches:
            self._watched[watch.key].plan(self._loop.time())
        self._changed.set()

    def run_changed(self, run_id: str) -> None:
        """
        Take a hint from outside: look at a run now, directly.

        :param run_id: the run.
        """
        for one in self._watched.values():
            if one.watch.concerns(run_id):
                one.hurry(self._loop.time())
        self._changed.set()

    async def close(self) -> None:
        """End all work and close the client."""
        for task in (self._task, *self._looks):
            task.cancel()
        await asyncio.gather(self._task, *self._looks, return_exceptions=True)
        if self._ready.done() and not self._ready.cancelled() and self._ready.exception() is None:
            await self._hook.close()

    def _tell_about_end(self, task: asyncio.Task[None]) -> None:
        crash = None if task.cancelled() else task.exception()
        if crash is None:
            return
        if not self._ready.done():
            self._ready.set_exception(crash)
            self._ready.exception()  # the waiters raise it, if there are any left
        for one in self._watched.values():
            one.break_off(crash)

    # -- the work -------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        self._hook = await self._connect()
        self._start_budget()
        self._ready.set_result(None)
        while True:
            self._changed.clear()
            if self._declined:
                await self._check_credentials()
            free_at, now = self._free_at, self._loop.time()
            if free_at > now:
                await self._rest_until(free_at)
                continue
            most = 1 if self._trouble.is_general else self._looks_at_a_time
            step = next_step(self._watched.values(), self._lists, now, may_read_one=len(self._looks) < most)
            match step:
                case ReadList() if len(self._looks) >= most:
                    await self._rest_until(now + _RECONSIDER)
                case ReadList(status, sought):
                    await self._read_list(status, sought)
                case ReadOne(one):
                    self._start_look(one)
                case Rest(until):
                    # A look under way that turns out to be slow must not hold up the others.
                    await self._rest_until(min(until, now + _RECONSIDER) if self._looks else until)

    async def _rest_until(self, moment: float) -> None:
        try:
            async with asyncio.timeout(min(moment - self._loop.time(), _FOREVER)):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _start_budget(self) -> None:
        self._budget = Budget(self._hook.settings.requests_per_minute, self._loop.time())
        self._requests_counted = 0

    @property
    def _free_at(self) -> float:
        """When the next request may be sent."""
        sent = self._hook.requests_sent
        self._budget.spend(sent - self._requests_counted, self._loop.time())
        self._requests_counted = sent
        return max(self._budget.free_at, self._trouble.until)

    @property
    def _looks_at_a_time(self) -> int:
        longest = max((self._loop.time() - began for began in self._looks.values()), default=0.0)
        return looks_at_a_time(self._budget.per_second, max(longest, self._look_seconds), _MOST_AT_ONCE)

    @property
    def _jitter(self) -> float:
        return random.uniform(1 - LEEWAY, 1 + LEEWAY)  # noqa: S311 - jitter, not cryptography

    # -- lists ----------------------------------------------------------------------------------------------

    async def _read_list(self, status: str, sought: tuple[Watched, ...]) -> None:
        runs = {one.watch.key[-1]: one for one in sought}
        scan = Scan(self.organization_id, status, runs)
        started, jitter = None, self._jitter  # the same for all of them: they stay together
        try:
            while (call := scan.next_call()) is not None:
                page = await self._read_page(call)
                started = started or self._loop.time()
                for run in scan.accept(page):
                    self._saw_listed(run, started, jitter)
                    await asyncio.sleep(0)  # those who heard of an end go first: a whole page of them stalls the loop
        except TallyfyError as error:
            self._list_failed(sought, error)
        else:
            self._lists[status].note(len(sought), scan.paid_off, self._loop.time())
            for run_id in scan.missing:
                runs[run_id].was_not_listed()

    def _list_failed(self, sought: Iterable[Watched], error: TallyfyError) -> None:
        """Read the runs one by one instead; that tells whether Tallyfy or only this list is in trouble."""
        unseen = [one for one in sought if one.wanted <= self._loop.time()]
        if isinstance(error, TallyfyAuthError):
            self._declined |= dict.fromkeys(unseen, error)
        elif not self._trouble.is_outage:
            for one in unseen:
                one.list_status = None

    async def _read_page(self, call: Call[Page]) -> Page:
        started, tries = self._loop.time(), 0
        while True:
            await self._wait_for_leave()
            try:
                page = await self._hook.run(call, retry_budget=0)
            except TallyfyError as error:
                if error.permanent:
                    raise
                tries += 1
                self._note_failure(call.path, error)
                in_time = max(self._loop.time(), self._trouble.until) - started <= self._hook.settings.retry_budget
                limited = isinstance(error, TallyfyRateLimitError)
                if not in_time or (not limited and (tries >= _PAGE_TRIES or self._trouble.is_outage)):
                    raise
                await asyncio.sleep(backoff(tries, random.random()))  # noqa: S311 - jitter, not cryptography
            else:
                self._trouble.note_success()
                return page

    async def _wait_for_leave(self) -> None:
        while (pause := self._free_at - self._loop.time()) > 0:  # noqa: ASYNC110 - the clock is what it waits for
            await asyncio.sleep(pause)

    def _saw_listed(self, run: Run, started: float, jitter: float) -> None:
        one = self._watched.get(("run", run.id))
        if one is None or one.in_flight or one.is_hinted or not isinstance(one.watch, RunWatch):
            return
        if one.watch.is_believable(run, ends_a_wait=one.is_end(run)):
            one.plan(started + one.interval_at(started) * jitter)
            one.tell(Sight(run))
        else:
            one.hurry(self._loop.time())
        one.is_listed = True

    # -- single looks ---------------------------------------------------------------------------------------

    def _start_look(self, one: Watched) -> None:
        one.in_flight = True
        look = self._loop.create_task(self._look(one))
        self._looks[look] = self._loop.time()
        look.add_done_callback(self._looks.pop)
        look.add_done_callback(lambda _: self._changed.set())

    async def _look(self, one: Watched) -> None:
        started = self._loop.time()
        try:
            value = await self._hook.run(one.watch.look(), retry_budget=0)
        except TallyfyError as error:
            self._look_failed(one, error)
        except Exception as defect:  # noqa: BLE001 - it is the subscribers', who raise it, and nobody else's
            one.break_off(defect)
        else:
            self._trouble.note_success()
            now = self._loop.time()
            if one.wanted <= started:  # else a hint came after the question, and is yet to be looked into
                one.plan(now + one.interval_at(now) * self._jitter)
            one.tell(Sight(value))
        finally:
            one.in_flight = False
            self._look_seconds = self._loop.time() - started

    def _look_failed(self, one: Watched, error: TallyfyError) -> None:
        if isinstance(error, TallyfyAuthError):
            self._declined[one] = error
            return
        one.tries += 1
        now = self._loop.time()
        one.due = now + max(backoff(one.tries, random.random()), error.retry_after or 0.0)  # noqa: S311 - jitter
        self._note_failure(one.watch.key, error)
        next_try = max(one.due, self._trouble.until)
        if error.permanent or (one.wanted <= now and self._is_out_of_patience(one, next_try)):
            self._give_up_on([one], error)

    def _is_out_of_patience(self, one: Watched, next_try: float) -> bool:
        return next_try - one.wanted > self._hook.settings.retry_budget

    def _give_up_on(self, failed: Iterable[Watched], error: TallyfyError) -> None:
        """Count a look as failed, and look again at its usual time."""
        now, jitter = self._loop.time(), self._jitter
        for one in failed:
            one.plan(now + max(one.interval_at(now) * jitter, error.retry_after or 0.0))
            one.tell(Sight(error=error))

    def _note_failure(self, what: Hashable, error: TallyfyError) -> None:
        """Let trouble that is not only one run's concern everybody whose look is wanted."""
        if error.permanent:
            return
        now, was_outage = self._loop.time(), self._trouble.is_outage
        self._trouble.note_failure(what, error, now, random.random())  # noqa: S311 - jitter, not cryptography
        if not self._trouble.is_general:
            return
        wanted = [one for one in self._watched.values() if one.wanted <= now and not one.in_flight]
        if self._trouble.is_outage and not was_outage:
            for one in wanted:
                one.list_status = one.watch.list_status  # when it is over, one list answers more than one look
        self._give_up_on([one for one in wanted if self._is_out_of_patience(one, self._trouble.until)], error)

    # -- credentials ----------------------------------------------------------------------------------------

    async def _check_credentials(self) -> None:
        """Take up a connection that was changed, so that a new token needs no restart; else the waits have failed."""
        if self._looks:
            await asyncio.wait(self._looks)
        declined, self._declined = self._declined, {}
        if self._loop.time() - self._credentials_checked_at > _CREDENTIALS_CHECK and await self._reconnect():
            return
        for one, error in declined.items():
            self._give_up_on([one], error)

    async def _reconnect(self) -> bool:
        """Read the connection again; whether it was changed."""
        self._credentials_checked_at = self._loop.time()
        try:
            hook = await self._connect()
        except TallyfyError:
            return False
        is_new = hook.settings != self._hook.settings
        old = self._hook if is_new else hook
        if is_new:
            self._hook = hook
            self._start_budget()
            self._credentials_checked_at = float("-inf")
        await old.close()
        return is_new
