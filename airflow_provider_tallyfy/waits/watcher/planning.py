"""What a watcher decides: what to look at next, how, and when. No clock, no request, no random number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field

from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyRateLimitError
from airflow_provider_tallyfy.waits.backoff import backoff
from airflow_provider_tallyfy.waits.scan import FEW
from airflow_provider_tallyfy.waits.watcher.subscriptions import Watched

#: By which part of its interval a look may come early to save a request, and its moment varies.
LEEWAY = 0.1

_BURST = 0.1
_LIST_RESTS = 600.0
_FAILED_LIST_RESTS = 60.0
_OUTAGE = 5


@dataclass
class ListRecord:
    """Whether reading one list saved requests lately."""

    rests_until: float = float("-inf")
    sought: int = 0

    def is_worth_reading(self, sought: int, now: float) -> bool:
        """Whether the list is likely to cost fewer requests than so many runs one by one."""
        return sought > FEW and (now >= self.rests_until or sought > 2 * self.sought)

    def note(self, sought: int, paid_off: bool, now: float) -> None:
        """Remember how a reading went; a list of many pages that showed hardly anything is left alone for a while."""
        self.sought = sought
        self.rests_until = now if paid_off else now + _LIST_RESTS

    def note_failure(self, sought: int, now: float) -> None:
        """Remember that the list could not be read."""
        self.sought = sought
        self.rests_until = now + _FAILED_LIST_RESTS


class Budget:
    """Keeps the requests of any minute below a limit: a tenth of them may go out at once, the rest evenly."""

    #: How many requests a second go out evenly.
    per_second: float

    def __init__(self, per_minute: int, now: float) -> None:
        self._burst = max(1.0, per_minute * _BURST)
        self.per_second = (per_minute - self._burst or 0.5) / 60
        self._left = self._burst
        self._at = now

    def spend(self, requests: int, now: float) -> None:
        """Take requests that were sent from the budget."""
        self._left = min(self._burst, self._left + (now - self._at) * self.per_second) - requests
        self._at = now

    @property
    def free_at(self) -> float:
        """When the next request may be sent; a moment long past if now."""
        return float("-inf") if self._left >= 1.0 else self._at + (1.0 - self._left) / self.per_second


def looks_at_a_time(per_second: float, seconds_for_one: float, most: int) -> int:
    """How many looks at a time it takes to keep up a rate; while Tallyfy is quick, one, and so one connection."""
    return min(most, 1 + int(per_second * seconds_for_one))


@dataclass
class Trouble:
    """Failures of late: until when to send nothing, and whether it is more than trouble with one run."""

    until: float = float("-inf")
    _failing: set[Hashable] = field(default_factory=set, init=False)
    _pauses: int = field(default=0, init=False)
    _is_limited: bool = field(default=False, init=False)

    @property
    def is_general(self) -> bool:
        """Whether it concerns everything that is watched."""
        return self._is_limited or self.is_outage

    @property
    def is_outage(self) -> bool:
        """Whether several looks failed and none succeeded since."""
        return not self._is_limited and len(self._failing) >= _OUTAGE

    def note_failure(self, what: Hashable, error: TallyfyError, asked_at: float, now: float, chance: float) -> None:
        """Count a failed request; those that were under way together are one failure."""
        self._failing.add(what)
        self._is_limited |= isinstance(error, TallyfyRateLimitError)
        if not self.is_general:
            return
        pause = error.retry_after or 0.0
        if asked_at >= self.until:
            self._pauses += 1
            pause += backoff(self._pauses, chance)
        self.until = max(self.until, now + pause)

    def note_success(self) -> None:
        """Note an answer. A pause that Tallyfy asked for goes on all the same."""
        self._failing.clear()
        self._pauses = 0
        self._is_limited = False


@dataclass(frozen=True)
class ReadList:
    """Look for these in the list of runs in that status."""

    status: str
    sought: tuple[Watched, ...]


@dataclass(frozen=True)
class ReadPage:
    """Go on with the list that is being read."""


@dataclass(frozen=True)
class ReadOne:
    """Look at this by itself."""

    watched: Watched


@dataclass(frozen=True)
class Rest:
    """Do nothing until then."""

    until: float


def next_step(
    watched: Collection[Watched],
    lists: Mapping[str, ListRecord],
    now: float,
    *,
    page_due: float | None = None,
    page_first: bool = False,
) -> ReadList | ReadPage | ReadOne | Rest:
    """
    Decide what to read next: what probably changed, the list that shows most, or what is overdue longest.

    :param page_due: when to ask for the next page of the list that is being read; ``None`` if none is.
    :param page_first: whether it is that list's turn, rather than that of looks at something by itself.
    """
    waiting = [one for one in watched if not one.in_flight and not one.is_sought]
    due = [one for one in waiting if one.due <= now]
    urgent = min((one for one in due if one.is_urgent), key=lambda one: one.due, default=None)
    if urgent is not None and urgent.list_status is None:
        return ReadOne(urgent)
    can_read_page = page_due is not None and page_due <= now
    if can_read_page and page_first:
        return ReadPage()
    worthwhile = _worthwhile_lists(waiting, lists, now) if due else {}
    if worthwhile and page_due is None:
        status, group = max(worthwhile.items(), key=lambda item: len(item[1]))
        return ReadList(status, tuple(group))
    alone = [one for one in due if str(one.list_status) not in worthwhile]
    if alone:
        return ReadOne(min(alone, key=lambda one: (not one.is_urgent, one.due)))
    if can_read_page:
        return ReadPage()
    later = (one.due for one in waiting if one.due > now)
    return Rest(min((*later, *([] if page_due is None else [page_due])), default=float("inf")))


def _worthwhile_lists(
    waiting: Iterable[Watched], lists: Mapping[str, ListRecord], now: float
) -> dict[str, list[Watched]]:
    groups: defaultdict[str, list[Watched]] = defaultdict(list)
    for one in waiting:
        if one.list_status is not None and one.due <= now + LEEWAY * one.interval_at(now):
            groups[str(one.list_status)].append(one)
    return {status: group for status, group in groups.items() if lists[status].is_worth_reading(len(group), now)}
