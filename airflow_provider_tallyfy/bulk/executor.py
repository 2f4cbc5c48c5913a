"""The part of a bulk job that runs on an event loop."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic

from airflow_provider_tallyfy.api.call import Call, T
from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.flows.driving import first_write, noting_writes
from airflow_provider_tallyfy.bulk.action import Work
from airflow_provider_tallyfy.bulk.parallel import work_through
from airflow_provider_tallyfy.bulk.results import Outcome, State, Tally, concerns_everything

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

# So many items in a row that come to nothing for passing reasons, and it is not the items.
_FEWEST_SIGNS_OF_AN_OUTAGE = 5


class Job(Generic[T]):
    """
    Deals with the items of a work, several at a time, and tells what became of each.

    :param work: the items and what to do with each.
    :param hook: sends the requests.
    :param concurrency: how many items at a time.
    :param max_failures: so many items may fail before no further one is begun; ``None`` for any number.
    :param simulate: stop each flow at its first write, and plan that and what would follow.
    """

    def __init__(
        self,
        work: Work[T],
        hook: TallyfyAsyncHook,
        *,
        concurrency: int,
        max_failures: int | None = None,
        simulate: bool = False,
    ) -> None:
        self.tally = Tally(work.total)
        #: What became of the items, as they end, for the thread that supervises the job.
        self.outcomes: SimpleQueue[Outcome] = SimpleQueue()
        #: Set after the last outcome.
        self.ended = threading.Event()
        #: The writes that a simulation did not send, by item.
        self.planned: list[list[Call[Any]]] = []
        #: How many items' flows have ended.
        self.dealt_with = 0
        #: Why no further item was begun, and the error behind it, if there is one.
        self.stopped = ""
        self.error: BaseException | None = None
        self.is_killed = False
        #: Whether the look at the end was not finished, so that outcomes rest on what was answered.
        self.is_unsettled = False
        self._work = work
        self._hook = hook
        self._concurrency = concurrency
        self._max_failures = math.inf if max_failures is None else max_failures
        self._simulate = simulate
        self._rest = iter(work.items)
        self._failed_in_passing = 0
        self._add_all(work.settled)

    @property
    def is_told(self) -> bool:
        """Whether the last outcome has come and was taken."""
        return self.ended.is_set() and self.outcomes.empty()

    def stop(self, reason: str, error: BaseException | None = None) -> None:
        """
        Begin no further item; those that were begun are finished. May be called from anywhere, signal handlers too.

        :param reason: why, for the report.
        :param error: what is behind it.
        """
        if not self.stopped:
            self.error = error
            self.stopped = reason

    def kill(self, reason: str) -> None:
        """
        Begin no further item, and let those that were begun take a moment only. May be called like :meth:`stop`.

        :param reason: why, for the report.
        """
        self.stop(reason)
        self.is_killed = True

    async def run(self) -> None:
        """Do it all; errors are in :attr:`error`, only a cancellation leaves here."""
        settled: list[Outcome] | None = None
        try:
            await work_through(self._until_stopped(), self._deal_with, self._concurrency)
            settled = await self._work.settle(self._hook, self._concurrency)
        except Exception as error:  # noqa: BLE001 - whoever reads the outcomes has to see their end, and raises it
            self.stop(f"stopped by {type(error).__name__}", error)
        finally:
            if settled is None:
                settled = self._work.unsettled()
                self.is_unsettled = bool(settled)
            self._add_all(settled)
            reason = self.stopped or "not begun"
            self._add_all(self._work.end(item, State.SKIPPED, reason, retryable=True) for item in self._rest)
            self.ended.set()

    def _until_stopped(self) -> Iterator[T]:
        while not self.stopped:
            try:
                item = next(self._rest)
            except StopIteration:
                return
            yield item

    async def _deal_with(self, item: T) -> None:
        written: list[Call[Any]] = []
        try:
            outcome = await self._try(item, written)
        except TallyfyError as error:
            outcome = self._judge(item, error, written)
        except asyncio.CancelledError:
            state = State.UNKNOWN if written else State.SKIPPED
            self._add(self._work.end(item, state, self.stopped or "cancelled", retryable=True))
            raise
        except Exception as error:  # noqa: BLE001 - a defect or a full disk: it ends the job, not its bookkeeping
            outcome = self._work.end(item, State.UNKNOWN if written else State.FAILED, repr(error), retryable=True)
            self.stop(f"stopped by {type(error).__name__}", error)
        else:
            self._failed_in_passing = 0
        self.dealt_with += 1
        if outcome is not None:
            self._add(outcome)

    async def _try(self, item: T, written: list[Call[Any]]) -> Outcome | None:
        flow = self._work.flow(item)
        if self._simulate:
            first = await self._hook.execute(first_write(flow))
            if first is None:
                return self._work.end(item, State.UNCHANGED, "")
            writes = [first, *self._work.writes_after(item, first)]
            self.planned.append(writes)
            actions = ", then ".join(write.action for write in writes)
            return self._work.end(item, State.SKIPPED, f"dry run, would {actions}")
        await self._work.prepare(self._hook, item)
        result = await self._hook.execute(noting_writes(flow, written.append))
        return self._work.outcome(item, result)

    def _judge(self, item: T, error: TallyfyError, written: list[Call[Any]]) -> Outcome:
        """Tell a failure from a write whose effect nobody saw, and one item's trouble from everybody's."""
        if concerns_everything(error):
            self.stop(f"stopped by {type(error).__name__}", error)
        elif not error.permanent:
            self._failed_in_passing += 1
            if self._failed_in_passing >= max(self._concurrency, _FEWEST_SIGNS_OF_AN_OUTAGE):
                self.stop(f"stopped after {self._failed_in_passing} failures in a row", error)
        else:
            self._failed_in_passing = 0
        if written and not _is_refusal(error, written[-1]):
            return self._work.end(item, State.UNKNOWN, str(error), retryable=True)
        return self._work.end(item, State.FAILED, str(error), retryable=not error.permanent)

    def _add(self, outcome: Outcome) -> None:
        self.tally.add(outcome)
        self.outcomes.put(outcome)
        if self.tally.bad > self._max_failures:
            self.stop(f"stopped: more than max_failures={self._max_failures} items failed")

    def _add_all(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._add(outcome)


def _is_refusal(error: TallyfyError, write: Call[Any]) -> bool:
    """Whether this very write was not done; any other error after it leaves open what it did."""
    is_of_it = (error.method, error.path) == (write.method, write.path)
    return is_of_it and not error.may_be_applied
