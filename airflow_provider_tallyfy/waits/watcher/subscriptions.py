"""What is watched, and what its subscribers receive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from airflow_provider_tallyfy.api.models.run import Run, RunStatus
from airflow_provider_tallyfy.waits.probes import Key, Observation, Probe, RunProbe

SHORTEST_INTERVAL = 0.5

_WITHOUT_SUBSCRIBERS = 3600.0

#: Judges an observation. Refuses it, and returns ``False``, if it would end the wait and may not.
Accept = Callable[[Key, Observation, bool], bool]


class Subscription:
    """
    Receives what it asked for: the first observation, every change, and every look that fails.

    :param longest: if more than ``interval``, the interval doubles from look to look up to this.
    :param since: when the wait began.
    :param accept: judges each observation, at once.
    """

    def __init__(self, probes: Iterable[Probe], interval: float, longest: float, since: float, accept: Accept) -> None:
        self.probes = list(probes)
        self.since = since
        self._interval = interval
        self._longest = longest
        self._accept = accept
        #: Whether unchanged observations are wanted, too.
        self.wants_all = False
        self._received: dict[Key, Observation] = {}
        self._unread: dict[Key, Observation] = {}
        self._defect: BaseException | None = None
        self._arrived = asyncio.Event()

    async def updates(self) -> dict[Key, Observation]:
        """Wait for something new, and give the latest observation of each thing since the last call."""
        await self._arrived.wait()
        self.check()
        self._arrived.clear()
        unread, self._unread = self._unread, {}
        return unread

    def check(self) -> None:
        """Raise what broke the watching off, if anything did."""
        if self._defect is not None:
            raise self._defect

    def receive(self, key: Key, seen: Observation, *, may_end: bool) -> bool:
        """
        Receive an observation, unless it repeats the last one.

        :param may_end: whether it is certainly newer than the wait.
        :return: ``False`` if it would end the wait and may not, so that another look is needed.
        """
        is_new = seen.error is not None or seen != self._received.get(key)
        try:
            if is_new and not self._accept(key, seen, may_end):
                return False
        except Exception as defect:  # noqa: BLE001 - the subscriber raises it
            self.break_off(defect)
            return True
        if is_new or self.wants_all:
            self._received[key] = self._unread[key] = seen
            self._arrived.set()
        return True

    def interval_at(self, now: float) -> float:
        """Seconds from a look made now to the next; an interval that doubles is as long as all before together."""
        return max(SHORTEST_INTERVAL, self._interval, min(self._longest, self._interval + now - self.since))

    def break_off(self, defect: BaseException) -> None:
        """Make :meth:`updates` raise the defect that ended the watching."""
        self._defect = defect
        self._arrived.set()


@dataclass(eq=False, slots=True)
class Watched:
    """
    Something that is watched, its subscribers, and the state of the current attempt to read it.

    :param probe: how to read it.
    :param wanted: since when a look is wanted.
    :param due: when to try.
    :param requested_at: when a subscriber last asked for a look; one that was under way then does not count.
    :param list_status: the list to look for it in this time; ``None`` to look at it by itself.
    :param next_lists: where to look for it if that list does not show it; ``None`` if none was read yet this time.
    :param is_listed: whether a list showed it last time.
    :param is_sought: whether a list that is being read may show it yet.
    :param is_urgent: whether there is reason to believe that it changed.
    :param in_flight: whether it is being looked at by itself.
    :param tries: how often that failed this time.
    :param refused_since: when Tallyfy began to refuse the credentials for it.
    :param latest: what came of the last look.
    :param subscriptions: of those who wait for it.
    """

    probe: Probe
    wanted: float = float("inf")
    due: float = float("inf")
    requested_at: float = float("-inf")
    list_status: str | None = None
    next_lists: tuple[str, ...] | None = None
    is_listed: bool = False
    is_sought: bool = False
    is_urgent: bool = False
    in_flight: bool = False
    tries: int = 0
    refused_since: float = float("inf")
    latest: Observation | None = None
    subscriptions: set[Subscription] = field(default_factory=set)

    def plan(self, moment: float) -> None:
        """Schedule the next look."""
        self.wanted = self.due = moment
        self.list_status, self.next_lists = self.probe.list_status, None
        self.is_urgent = self.is_sought = False
        self.tries = 0

    def request(self, now: float, moment: float) -> None:
        """
        Schedule a look for a subscriber, who needs one that begins from now on.

        :param moment: when the look may be made at the latest.
        """
        self.requested_at = now
        if moment < self.due and not self.is_urgent:
            self.plan(moment)

    def hurry(self, moment: float) -> None:
        """Schedule a look at it by itself, before others that are due."""
        self.plan(moment)
        self.list_status = None
        self.is_urgent = True

    @property
    def is_to_be_read_alone(self) -> bool:
        """Whether it is being looked at by itself, or about to be, so that no list has to show it."""
        return self.in_flight or (self.is_urgent and self.list_status is None)

    def was_not_listed(self, list_shrank: bool = False) -> None:
        """
        Choose the next list: if this one showed the run before, most likely people completed the run.

        :param list_shrank: whether runs left the list while it was read, so that this one may have moved up unseen.
        """
        if self.next_lists is None:
            again = (RunStatus.ACTIVE,) if list_shrank else ()
            self.next_lists = (RunStatus.COMPLETE, *again) if self.list_status == RunStatus.ACTIVE else ()
        self.list_status, self.next_lists = next(iter(self.next_lists), None), self.next_lists[1:]
        self.is_urgent |= self.is_listed
        self.is_listed = self.is_sought = False

    def interval_at(self, now: float) -> float:
        """Seconds until the next look: the shortest interval of all subscribers."""
        return min((each.interval_at(now) for each in self.subscriptions), default=_WITHOUT_SUBSCRIBERS)

    def join(self, subscription: Subscription, probe: Probe) -> bool:
        """
        Add a subscriber, who receives at once what is known.

        :param probe: the newcomer's own.
        :return: whether it did; what was seen before a wait began must not end it.
        """
        self.subscriptions.add(subscription)
        self.probe.expect_newer_than(probe.newer_than)
        if self.latest is None or self.latest.error is not None:
            return False
        run = self.latest.value
        may_end = isinstance(probe, RunProbe) and isinstance(run, Run) and probe.is_newer(run)
        return subscription.receive(probe.key, self.latest, may_end=may_end)

    def publish(self, seen: Observation, asked_at: float, *, may_end: bool = True) -> bool:
        """
        Deliver what came of a look.

        :param asked_at: when it was asked for: what was seen before a wait began must not end it.
        :param may_end: whether it may end waits at all.
        :return: whether everybody received it.
        """
        self.latest = seen
        if seen.error is None:
            self.refused_since = float("inf")
        is_received = True
        for each in self.subscriptions:
            is_received &= each.receive(self.probe.key, seen, may_end=may_end and asked_at >= each.since)
        return is_received

    def break_off(self, defect: BaseException) -> None:
        """Make all subscribers raise the defect that ended the watching."""
        for subscription in self.subscriptions:
            subscription.break_off(defect)
