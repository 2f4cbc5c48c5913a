"""Looking over a flow's shoulder: what it writes, without a change to the flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_tallyfy.api.call import Call, Flow, T
from airflow_provider_tallyfy.api.errors import TallyfyError


def noting_writes(flow: Flow[T], note: Callable[[Call[Any]], None]) -> Flow[T]:
    """
    Pass a flow on, and note the calls that change something before they are sent.

    :param flow: the flow.
    :param note: is told each of them.
    """
    try:
        step = next(flow)
        while True:
            if isinstance(step, Call) and step.writes:
                note(step)
            try:
                reply = yield step
            except TallyfyError as error:
                step = flow.throw(error)
            else:
                step = flow.send(reply)
    except StopIteration as end:
        value: T = end.value
        return value


def first_write(flow: Flow[Any]) -> Flow[Call[Any] | None]:
    """
    Pass a flow on up to the first call that would change something, and give that instead of sending it.

    :param flow: the flow.
    :return: the call, or ``None`` if nothing would change.
    """
    try:
        step = next(flow)
        while not (isinstance(step, Call) and step.writes):
            try:
                reply = yield step
            except TallyfyError as error:
                step = flow.throw(error)
            else:
                step = flow.send(reply)
    except StopIteration:
        return None
    flow.close()
    return step
