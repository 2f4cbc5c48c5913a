"""What a bulk job does: which items there are, and what is done to one of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from airflow_provider_tallyfy.api.call import Call, Flow, T
from airflow_provider_tallyfy.bulk.outcomes import Outcome, State, Tally
from airflow_provider_tallyfy.files.checkpoint import PreviousAttempts

if TYPE_CHECKING:
    from airflow_provider_tallyfy.bulk.loop_thread import LoopThread
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

_BYTES_AROUND_AN_ID = len('"", ')


class BulkAction(ABC, Generic[T]):
    """The items of a job and what is done to each; :meth:`load` finds them."""

    #: What is done, for messages: "restore", and "restored".
    verb: ClassVar[str]
    participle: ClassVar[str]

    def __init__(self, organization_id: str) -> None:
        self.organization_id = organization_id
        #: Items that need requests, and outcomes of those that need none.
        self.items: Sequence[T] = ()
        self.done: list[Outcome] = []
        #: Names of runs by id, as far as they are known.
        self.names: dict[str, str] = {}
        #: What :meth:`finish` is doing, for the log.
        self.finishing = ""

    @abstractmethod
    def load(self, loop: LoopThread, previous: PreviousAttempts, concurrency: int) -> None:
        """Check all input, and read what has to be known before the first write."""

    @property
    def total(self) -> int:
        """How many items there are."""
        return len(self.items) + len(self.done)

    @property
    def max_changed(self) -> int:
        """How many items may count as changed at the end."""
        return len(self.items) + sum(outcome.state is State.CHANGED for outcome in self.done)

    @property
    def max_bytes(self) -> int:
        """How many bytes of JSON the largest XCom may take."""
        return self.max_changed * (max(map(len, self.intended), default=0) + _BYTES_AROUND_AN_ID)

    @property
    @abstractmethod
    def intended(self) -> list[str]:
        """What the next try finds among the ids that this one ``intended`` to change."""

    @abstractmethod
    def flow(self, item: T) -> Flow[Any]:
        """Make the flow that deals with an item."""

    def writes_after(self, item: T, first: Call[Any]) -> list[Call[Any]]:
        """Name what a flow writes after its first write, for a dry run."""
        return []

    @abstractmethod
    def outcome(self, item: T, result: Any) -> Outcome | None:
        """Say what a flow's result means; ``None`` leaves that to :meth:`finish`."""

    @abstractmethod
    def outcome_without_result(self, item: T, state: State, reason: str, *, retryable: bool = False) -> Outcome:
        """Say what became of an item whose flow gave no result."""

    async def prepare(self, hook: TallyfyAsyncHook, item: T) -> None:
        """Do what has to precede an item's flow."""

    async def finish(self, hook: TallyfyAsyncHook, concurrency: int) -> list[Outcome]:
        """Verify the changes after the last item, and give the outcomes that were left to it."""
        return []

    def unverified(self) -> list[Outcome]:
        """Give the outcomes that were left to :meth:`finish`, as far as they are known without it."""
        return []

    def further_results(self, tally: Tally, report_path: str | None, max_xcom_bytes: int) -> dict[str, Any]:
        """Give what is pushed as XCom besides the result."""
        return {}
