"""The part of a bulk job that runs on an event loop."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic

from airflow_provider_tallyfy.api.call import Call, T
from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.flows.driving import first_write, naming, noting_writes
from airflow_provider_tallyfy.bulk.action import BulkAction
from airflow_provider_tallyfy.bulk.outcomes import Outcome, State, Tally, affects_every_item

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

# This many consecutive transient failures count as an outage, unless more items are dealt with at a time.
_FAILURES_OF_AN_OUTAGE = 5


async def for_each(items: Iterable[T], act: Callable[[T], Awaitable[None]], concurrency: int) -> None:
    """Do something with every item, several at a time; the first error ends all of it."""
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await act(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


class BulkExecutor(Generic[T]):
    """
    Deals with the items of an action, several at a time, and reports what became of each.

    :param max_failures: stop when more items than this have failed; ``None`` for any number.
    :param is_dry_run: stop each flow at its first write, and plan that and what would follow.
    """

    def __init__(
        self,
        action: BulkAction[T],
        hook: TallyfyAsyncHook,
        *,
        concurrency: int,
        max_failures: int | None = None,
        is_dry_run: bool = False,
    ) -> None:
        self.tally = Tally(action.total)
        #: What became of the items, as they end, for the thread that supervises the job.
        self.outcomes: SimpleQueue[Outcome] = SimpleQueue()
        #: Set after the last outcome.
        self.ended = threading.Event()
        #: The writes that a dry run did not send, by item.
        self.planned: list[list[Call[Any]]] = []
        #: How many items' flows have ended.
        self.flows_ended = 0
        #: Why no further item was begun, and the error behind it, if there is one.
        self.stopped = ""
        self.error: BaseException | None = None
        self.is_killed = False
        #: Whether the changes were not verified at the end, so that outcomes rest on the answers.
        self.is_unverified = False
        self._action = action
        self._hook = hook
        self._concurrency = concurrency
        self._max_failures = math.inf if max_failures is None else max_failures
        self._is_dry_run = is_dry_run
        self._left = iter(action.items)
        self._transient_failures = 0
        self._add_all(action.done)

    @property
    def is_complete(self) -> bool:
        """Whether the last outcome was added, and taken from :attr:`outcomes`."""
        return self.ended.is_set() and self.outcomes.empty()

    def stop(self, reason: str, error: BaseException | None = None) -> None:
        """Begin no further item; those that were begun are finished. Signal handlers may call it, too."""
        if not self.stopped:
            self.error = error
            self.stopped = reason

    def kill(self, reason: str) -> None:
        """Begin no further item, and cancel those that were begun after a moment. Signal handlers may call it, too."""
        self.stop(reason)
        self.is_killed = True

    async def run(self) -> None:
        """Deal with all items; errors are in :attr:`error`, only a cancellation is raised."""
        finished: list[Outcome] | None = None
        try:
            await for_each(self._until_stopped(), self._deal_with, self._concurrency)
            finished = await self._action.finish(self._hook, self._concurrency)
        except Exception as error:  # noqa: BLE001 - whoever reads the outcomes has to see their end, and raises it
            self.stop(f"stopped by {type(error).__name__}", error)
        finally:
            if finished is None:
                finished = self._action.unverified()
                self.is_unverified = bool(finished)
            self._add_all(finished)
            reason = self.stopped or "not begun"
            skipped = State.SKIPPED
            self._add_all(
                self._action.outcome_without_result(item, skipped, reason, retryable=True) for item in self._left
            )
            self.ended.set()

    def _until_stopped(self) -> Iterator[T]:
        while not self.stopped:
            try:
                item = next(self._left)
            except StopIteration:
                return
            yield item

    async def _deal_with(self, item: T) -> None:
        written: list[Call[Any]] = []
        without_result = self._action.outcome_without_result
        try:
            outcome = await self._try(item, written)
        except TallyfyError as error:
            outcome = self._judge(item, error, written)
        except asyncio.CancelledError:
            state = State.UNKNOWN if written else State.SKIPPED
            self._add(without_result(item, state, self.stopped or "cancelled", retryable=True))
            raise
        except Exception as error:  # noqa: BLE001 - a defect or a full disk ends the job, not its bookkeeping
            outcome = without_result(item, State.UNKNOWN if written else State.FAILED, repr(error), retryable=True)
            self.stop(f"stopped by {type(error).__name__}", error)
        else:
            self._transient_failures = 0
        self.flows_ended += 1
        if outcome is not None:
            self._add(outcome)

    async def _try(self, item: T, written: list[Call[Any]]) -> Outcome | None:
        flow = self._action.flow(item)
        if self._is_dry_run:
            first = await self._hook.execute(first_write(flow))
            if first is None:
                return self._action.outcome_without_result(item, State.UNCHANGED, "")
            first = naming(first, self._action.names.get(first.run_id or ""))
            writes = [first, *self._action.writes_after(item, first)]
            self.planned.append(writes)
            actions = ", then ".join(write.action for write in writes)
            return self._action.outcome_without_result(item, State.SKIPPED, f"dry run, would {actions}")
        await self._action.prepare(self._hook, item)
        result = await self._hook.execute(noting_writes(flow, written.append))
        return self._action.outcome(item, result)

    def _judge(self, item: T, error: TallyfyError, written: list[Call[Any]]) -> Outcome:
        """Tell a failure from an unknown outcome, and one item's problem from everybody's."""
        if affects_every_item(error):
            self.stop(f"stopped by {type(error).__name__}", error)
        elif not error.permanent:
            self._transient_failures += 1
            if self._transient_failures >= max(self._concurrency, _FAILURES_OF_AN_OUTAGE):
                self.stop(f"stopped after {self._transient_failures} failures in a row", error)
        else:
            self._transient_failures = 0
        is_failure = not written or _is_refusal(error, written[-1])
        state, retryable = (State.FAILED, not error.permanent) if is_failure else (State.UNKNOWN, True)
        return self._action.outcome_without_result(item, state, str(error), retryable=retryable)

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
    return (error.method, error.path) == (write.method, write.path) and not error.may_be_applied
