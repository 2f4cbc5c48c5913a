"""Read many things at a time, and give them in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING

from airflow_provider_tallyfy.api.call import Flow, T
from airflow_provider_tallyfy.bulk.loop_thread import LoopThread

if TYPE_CHECKING:
    from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook


def read_in_order(hook: TallyfyHook, flows: Iterable[Flow[T]], concurrency: int) -> Iterator[T]:
    """
    Carry out flows that read, several at a time, and give what they return in their order.

    Only as many results as flows at a time are kept. The first error ends all of it.
    """
    with LoopThread(hook) as loop:
        pending: deque[Future[T]] = deque()
        try:
            for flow in flows:
                pending.append(loop.submit(loop.hook.execute(flow)))
                if len(pending) == concurrency:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
