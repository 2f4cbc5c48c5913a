"""What the triggers that wait have in common."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Set
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyResponseError
from airflow_provider_tallyfy.connection_extras import DEFAULT_TIMEOUT
from airflow_provider_tallyfy.waits.details import DetailWait
from airflow_provider_tallyfy.waits.goals import Ending, Outcome, Wait, WaitLog
from airflow_provider_tallyfy.waits.many import RunsLog, RunsWait, look_at_runs
from airflow_provider_tallyfy.waits.name_check import NameCheck
from airflow_provider_tallyfy.waits.probes import RunWatch, Watch
from airflow_provider_tallyfy.waits.watcher import Key, Sight, Subscription, Watcher, watching

# A pause begins with any answer, and nobody tells of it.
_RECONSIDER = 0.5
# Airflow <= 3.3.2 fails a task whose deferral ends before the scheduler has read that its worker ended.
_EARLIEST_EVENT = 5.0


class Story(ABC):
    """
    A wait as its trigger follows it.

    :param watches: what looks.
    """

    def __init__(self, watches: Iterable[Watch]) -> None:
        self.watches = tuple(watches)
        #: Ends a wait for one thing whose name is misspelt.
        self.names: NameCheck | None = None
        #: What did not exist when last seen.
        self.absent: set[Key] = set()

    def take_in(self, news: Mapping[Key, Sight]) -> Ending | None:
        """
        Take in what came of looks, and remember what does not exist.

        :param news: sights by the key of their watch.
        :return: how the wait ends, or ``None`` if it goes on.
        """
        for key, sight in news.items():
            if sight.error is None:
                (self.absent.add if sight.value is None else self.absent.discard)(key)
        return self.hear(news)

    @abstractmethod
    def is_end(self, sight: Any) -> bool:
        """
        Whether a sight ends the wait.

        :param sight: what was seen.
        """

    @abstractmethod
    def hear(self, news: Mapping[Key, Sight]) -> Ending | None:
        """
        Take in what came of looks.

        :param news: sights by the key of their watch.
        :return: how the wait ends, or ``None`` if it goes on.
        """

    @abstractmethod
    def last_look(self, organization_id: str) -> Flow[Ending | None]:
        """
        Look at everything once and judge it.

        :param organization_id: where the runs are.
        """

    @property
    def done(self) -> Set[Key]:
        """Keys of watches that need no look any more, though the wait goes on."""
        return frozenset()


class WaitStory(Story):
    """
    A wait for one thing.

    :param wait: what it is for.
    :param watch: what looks.
    :param log: judges the looks.
    """

    def __init__(self, wait: Wait, watch: Watch, log: WaitLog) -> None:
        super().__init__([watch])
        self._wait = wait
        self._log = log
        if isinstance(wait, DetailWait):
            self.names = NameCheck(wait)

    def is_end(self, sight: Any) -> bool:
        """Judge it."""
        return self._wait.judge(sight, "").outcome is not Outcome.WAITING

    def hear(self, news: Mapping[Key, Sight]) -> Ending | None:
        """Judge the one sight that is in the news."""
        (sight,) = news.values()
        return self._log.saw(sight.value) if sight.error is None else self._log.stumbled(sight.error, sight.grace)

    def last_look(self, organization_id: str) -> Flow[Ending | None]:
        """Look at the one thing."""
        (watch,) = self.watches
        return self._log.saw((yield from (watch.anew() if self.absent else watch).look()))


class RunsStory(Story):
    """
    A wait for many runs.

    :param wait: what it is for.
    :param watches: what looks.
    :param log: judges the looks.
    """

    def __init__(self, wait: RunsWait, watches: Iterable[RunWatch], log: RunsLog) -> None:
        super().__init__(watches)
        self._wait = wait
        self._log = log

    def is_end(self, sight: Any) -> bool:
        """Judge it; all runs are waited for alike."""
        return self._wait.is_end(sight)

    def hear(self, news: Mapping[Key, Sight]) -> Ending | None:
        """Judge every sight in the news."""
        for (_, run_id, *_), sight in news.items():
            if sight.error is None:
                self._log.saw(run_id, sight.value)
            else:
                self._log.stumbled(run_id, sight.error, sight.grace)
        return self._log.ending()

    def last_look(self, organization_id: str) -> Flow[Ending | None]:
        """Look at the runs in lists, where that is cheaper."""
        watches = {
            watch.key[1]: watch.anew() if watch.key in self.absent else watch
            for watch in self.watches
            if isinstance(watch, RunWatch)
        }
        yield from look_at_runs(organization_id, watches, self._wait.is_end, self._log)
        return self._log.ending()

    @property
    def done(self) -> Set[Key]:
        """Runs for which the wait is over."""
        return {("run", run_id) for run_id in self._log.endings}


class TallyfyWaitTrigger(BaseTrigger):
    """
    Base of the triggers that wait.

    Everything a trigger needs is in its arguments, which Airflow stores as they are: ids and times, never a token. The
    deadline is a moment, not a duration, so a restarted triggerer keeps it.

    :param organization_id: the organization; by default the connection's.
    :param tallyfy_conn_id: the Airflow connection.
    :param poll_interval: seconds between two looks; a tenth of it is jitter.
    :param max_poll_interval: doubles the interval after each look up to this many seconds; ``None`` keeps it.
    :param deadline: when to stop waiting, in seconds since the epoch; ``None`` for never.
    :param max_poll_failures: how many looks in a row may fail; ``None`` for any number.
    :param end_task: on success end the task right here, without a worker and so without a result.
    """

    #: Names of the arguments that a subclass adds.
    own_arguments: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        organization_id: str | None,
        tallyfy_conn_id: str,
        poll_interval: float,
        max_poll_interval: float | None = None,
        deadline: float | None = None,
        max_poll_failures: int | None = None,
        end_task: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.organization_id = organization_id
        self.tallyfy_conn_id = tallyfy_conn_id
        self.poll_interval = poll_interval
        self.max_poll_interval = max_poll_interval
        self.deadline = deadline
        self.max_poll_failures = max_poll_failures
        self.end_task = end_task

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments, for the database."""
        names = (
            *self.own_arguments,
            "organization_id",
            "tallyfy_conn_id",
            "poll_interval",
            "max_poll_interval",
            "deadline",
            "max_poll_failures",
            "end_task",
        )
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    @property
    @abstractmethod
    def what(self) -> str:
        """What is waited for, in words."""

    @abstractmethod
    def story(self, watcher: Watcher) -> Story:
        """
        Begin to follow the wait.

        :param watcher: what looks.
        :raises TallyfyError: if the arguments are not usable.
        """

    def story_of(self, wait: Wait, watcher: Watcher, newer_than: str | None = None) -> WaitStory:
        """
        Begin to follow a wait for one thing.

        :param wait: what it is for.
        :param watcher: what looks.
        :param newer_than: ``last_updated`` of the run when it was last read and the wait went on.
        """
        log = WaitLog(wait, watcher.run_url(wait.run_id), self.max_poll_failures, self.tell)
        return WaitStory(wait, wait.watch(watcher.organization_id, newer_than), log)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """
        Wait, then fire one event: an :class:`Ending`, or the end of the task.

        The event comes five seconds after the beginning at the earliest, when Airflow can take it.
        """
        loop = asyncio.get_running_loop()
        earliest = loop.time() + (_EARLIEST_EVENT if self._follows_a_worker else 0.0)
        ending = await self._wait()
        self.log.info("%s", ending.message)
        await asyncio.sleep(earliest - loop.time())
        if self.end_task and ending.outcome is Outcome.REACHED:
            from airflow.triggers.base import TaskSuccessEvent

            end = TaskSuccessEvent()
            end.payload = ending.to_event()  # dag.test() ends no task from a trigger: it resumes it with this
            yield end
        else:
            yield TriggerEvent(ending.to_event())

    @property
    def tell(self) -> Callable[[str], None]:
        """Where a line for the task's log goes."""
        return lambda line: self.log.info("%s", line)

    @property
    def _follows_a_worker(self) -> bool:
        """Whether a worker deferred the task: ``dag.test()`` numbers no triggers, and no worker means no deadline."""
        return self.trigger_id is not None and self.deadline is not None

    async def _wait(self) -> Ending:
        left = self._seconds_left()
        limit = asyncio.timeout(None if left is None else max(left, DEFAULT_TIMEOUT))  # it may be over already
        try:
            async with limit, watching(self.tallyfy_conn_id, self.organization_id, self.tell) as watcher:
                limit.reschedule(None)  # from here on the deadline is the time of a last look
                return await self._watch(watcher)
        except TallyfyError as error:
            return Ending(Outcome.ERROR, str(error), error=type(error).__name__)
        except Exception as defect:
            if limit.expired():
                return self._timed_out
            self.log.exception("The wait for %s broke off.", self.what)
            message = f"The wait for {self.what} broke off: {type(defect).__name__}. The triggerer's log has details."
            return Ending(Outcome.ERROR, message, error=TallyfyResponseError.__name__)

    @property
    def _timed_out(self) -> Ending:
        return Ending(Outcome.TIMED_OUT, f"The wait for {self.what} timed out.")

    async def _watch(self, watcher: Watcher) -> Ending:
        story = self.story(watcher)
        with watcher.subscribe(story.watches, self.poll_interval, self.max_poll_interval, story.is_end) as subscription:
            try:
                async with asyncio.timeout(self._seconds_left()):
                    return await self._follow(watcher, subscription, story)
            except TimeoutError:
                return await self._look_once_more(watcher, subscription, story)

    async def _follow(self, watcher: Watcher, subscription: Subscription, story: Story) -> Ending:
        while True:
            is_name_open = story.names is not None and story.names.is_open
            subscription.wants_every_sight = is_name_open
            news = await subscription.news()
            ending = story.take_in(news)
            if ending is None and story.names is not None and is_name_open:
                (sight,) = news.values()
                now = asyncio.get_running_loop().time()
                ending = await watcher.ask(story.names.look(watcher.organization_id, sight.value, now))
            if ending is not None:
                return ending
            watcher.leave(subscription, story.done)

    async def _look_once_more(self, watcher: Watcher, subscription: Subscription, story: Story) -> Ending:
        """End with what is there at the deadline, which may have passed while no triggerer ran."""
        until = asyncio.get_running_loop().time() + watcher.timeout
        if watcher.paused_until >= until:
            ending = await self._look_regardless(watcher, story)
        else:
            ending = await self._look_in_turn(watcher, subscription, story, until)
        return ending or self._timed_out

    async def _look_regardless(self, watcher: Watcher, story: Story) -> Ending | None:
        try:
            async with asyncio.timeout(watcher.timeout):
                return await watcher.ask(story.last_look(watcher.organization_id))
        except (TallyfyError, TimeoutError) as error:
            self.tell(f"The last look at {self.what} failed. {error}")
            return None

    async def _look_in_turn(
        self, watcher: Watcher, subscription: Subscription, story: Story, until: float
    ) -> Ending | None:
        absent = [watch for watch in subscription.watches if watch.key in story.absent]
        watcher.leave(subscription, {watch.key for watch in absent})
        watcher.look_now(subscription)
        anew = (watch.anew() for watch in absent)
        try:
            with watcher.subscribe(anew, self.poll_interval, self.max_poll_interval, story.is_end) as search:
                for each in (subscription, search):
                    ending = await self._see_all(watcher, each, story, until)
                    if ending is not None:
                        return ending
        except TimeoutError:
            pass
        return None

    async def _see_all(self, watcher: Watcher, subscription: Subscription, story: Story, until: float) -> Ending | None:
        to_be_seen = {watch.key for watch in subscription.watches}
        while to_be_seen:
            news = await _news(watcher, subscription, until)
            ending = story.take_in(news)
            if ending is not None:
                return ending
            to_be_seen -= news.keys()
        return None

    def _seconds_left(self) -> float | None:
        return None if self.deadline is None else max(0.0, self.deadline - time.time())


async def _news(watcher: Watcher, subscription: Subscription, until: float) -> Mapping[Key, Sight]:
    """Wait for news until some moment, or until it is clear that no request will be sent before."""
    while True:
        try:
            async with asyncio.timeout(_RECONSIDER):  # an answer may still be on its way when a pause begins
                return await subscription.news()
        except TimeoutError:
            if max(asyncio.get_running_loop().time(), watcher.paused_until) >= until:
                raise
