"""What a bulk job does: which items there are, and how one of them is dealt with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from airflow_provider_tallyfy.api.call import Call, Flow, T
from airflow_provider_tallyfy.bulk.results import Outcome, State

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook


_BYTES_AROUND_AN_ID = len('"", ')


class Work(ABC, Generic[T]):
    """
    The items of a job and the procedure for each.

    :param items: what requests have to be sent for.
    :param settled: outcomes that took none.
    """

    #: What is done, for messages: "restore", and "restored".
    verb: ClassVar[str]
    participle: ClassVar[str]

    #: What :meth:`settle` is doing, for the log.
    settling = ""

    def __init__(self, items: Sequence[T], settled: Iterable[Outcome] = ()) -> None:
        self.items = items
        self.settled = list(settled)

    @property
    def total(self) -> int:
        """How many items there are, settled ones included."""
        return len(self.items) + len(self.settled)

    @property
    def most_changed(self) -> int:
        """How many items may count as changed at the end."""
        return len(self.items) + sum(outcome.state is State.CHANGED for outcome in self.settled)

    @property
    def most_bytes(self) -> int:
        """How many bytes the largest XCom may take, as JSON."""
        return self.most_changed * (max(map(len, self.planned), default=0) + _BYTES_AROUND_AN_ID)

    @property
    @abstractmethod
    def planned(self) -> list[str]:
        """What the work sets out to change, as the next try finds it among what this one ``meant``."""

    @abstractmethod
    def flow(self, item: T) -> Flow[Any]:
        """
        Make the flow that deals with an item.

        :param item: one of the items.
        """

    def writes_after(self, item: T, first: Call[Any]) -> list[Call[Any]]:
        """
        Name what a flow writes after its first write, which a dry run cannot learn by driving the flow.

        :param item: the flow's item.
        :param first: the first write.
        """
        return []

    @abstractmethod
    def outcome(self, item: T, result: Any) -> Outcome | None:
        """
        Say what the end of a flow means.

        :param item: the flow's item.
        :param result: what the flow returned.
        :return: ``None`` puts it off till :meth:`settle`.
        """

    @abstractmethod
    def end(self, item: T, state: State, reason: str, *, retryable: bool = False) -> Outcome:
        """
        Say that an item came to another end than that of its flow.

        :param item: the item.
        :param state: how it ended.
        :param reason: why.
        :param retryable: whether trying again may help.
        """

    async def prepare(self, hook: TallyfyAsyncHook, item: T) -> None:
        """
        Do what has to precede the flow, if anything.

        :param hook: sends requests.
        :param item: the flow's item.
        """

    async def settle(self, hook: TallyfyAsyncHook, concurrency: int) -> list[Outcome]:
        """
        Look at everything once more after the last item.

        :param hook: sends requests.
        :param concurrency: how many requests at a time.
        :return: the outcomes that were put off till then.
        """
        return []

    def unsettled(self) -> list[Outcome]:
        """Give the outcomes that were put off, as far as they are known without :meth:`settle`."""
        return []
