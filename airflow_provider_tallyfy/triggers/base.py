"""What the triggers that wait have in common."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.waits import Ending, Outcome, Wait, WaitLog
from airflow_provider_tallyfy.api.watches import Watch
from airflow_provider_tallyfy.watcher import Sight, Subscription, Watcher, watching

if TYPE_CHECKING:
    from collections.abc import Callable


class Story:
    """
    One wait as its trigger follows it.

    :param wait: what it is for.
    :param watch: what looks.
    :param log: judges the looks.
    """

    def __init__(self, wait: Wait, watch: Watch, log: WaitLog) -> None:
        self.watches: Sequence[Watch] = (watch,)
        self._wait = wait
        self._log = log

    def is_end(self, sight: Any) -> bool:
        """
        Whether a sight ends the wait.

        :param sight: what was seen.
        """
        return self._wait.judge(sight, "").outcome is not Outcome.WAITING

    def hear(self, news: Mapping[tuple[str, ...], Sight]) -> Ending | None:
        """
        Take in what came of looks.

        :param news: sights by the key of their watch.
        :return: how the wait ends, or ``None`` if it goes on.
        """
        ending = None
        for sight in news.values():
            ending = self._log.saw(sight.value) if sight.error is None else self._log.stumbled(sight.error)
        return ending


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

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, then fire one event: an :class:`Ending`, or the end of the task."""
        ending = await self._wait()
        self.log.info("%s", ending.message)
        if self.end_task and ending.outcome is Outcome.REACHED:
            from airflow.triggers.base import TaskSuccessEvent

            yield TaskSuccessEvent()
        else:
            yield TriggerEvent(ending.to_event())

    @property
    def tell(self) -> Callable[[str], None]:
        """Where a line for the task's log goes."""
        return lambda line: self.log.info("%s", line)

    async def _wait(self) -> Ending:
        try:
            async with watching(self.tallyfy_conn_id, self.organization_id) as watcher:
                story = self.story(watcher)
                with watcher.subscribe(
                    story.watches, self.poll_interval, self.max_poll_interval, story.is_end
                ) as subscription:
                    try:
                        async with asyncio.timeout(self._seconds_left()):
                            return await self._follow(subscription, story)
                    except TimeoutError:
                        return await self._look_once_more(watcher, subscription, story)
        except TallyfyError as error:
            return Ending(Outcome.ERROR, str(error), error=type(error).__name__)

    async def _follow(self, subscription: Subscription, story: Story) -> Ending:
        while True:
            ending = story.hear(await subscription.news())
            if ending is not None:
                return ending

    async def _look_once_more(self, watcher: Watcher, subscription: Subscription, story: Story) -> Ending:
        """End with what is there at the deadline, which may have passed while no triggerer ran."""
        watcher.look_now(subscription)
        to_be_seen = {watch.key for watch in story.watches}
        try:
            async with asyncio.timeout(watcher.timeout):
                while to_be_seen:
                    news = await subscription.news()
                    ending = story.hear(news)
                    if ending is not None:
                        return ending
                    to_be_seen -= news.keys()
        except TimeoutError:
            pass
        return Ending(Outcome.TIMED_OUT, f"The wait for {self.what} timed out.")

    def _seconds_left(self) -> float | None:
        return None if self.deadline is None else max(0.0, self.deadline - time.time())
