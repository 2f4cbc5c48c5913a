"""Flows that wrap another flow: they pass on what the driver sends, and see its writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_tallyfy.api.call import Call, Flow, Pause
from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyServerError
from airflow_provider_tallyfy.api.flows.driving import Done, advance, first_write, noting_writes

READ, WRITE = (Call(f"do {method}", method, "/", lambda answer: answer) for method in ("GET", "PUT"))


def drive(flow: Flow[Any], reply: Callable[[Call[Any] | Pause], Any]) -> Any:
    step = advance(flow)
    while not isinstance(step, Done):
        answer = reply(step)
        step = advance(flow, error=answer) if isinstance(answer, TallyfyError) else advance(flow, answer)
    return step.value


@pytest.mark.parametrize("wrap", [lambda flow: flow, lambda flow: noting_writes(flow, lambda call: None)])
def test_a_flow_gets_replies_and_errors_and_gives_its_result(wrap):
    def flow() -> Flow[list[Any]]:
        seen = [(yield READ), (yield Pause(1.0))]
        try:
            yield WRITE
        except TallyfyServerError as error:
            seen.append(error)
        return seen

    error = TallyfyServerError("503")
    replies = {READ: "a run", Pause(1.0): None, WRITE: error}
    assert drive(wrap(flow()), lambda step: replies[step]) == ["a run", None, error]


@pytest.mark.parametrize("wrap", [first_write, lambda flow: noting_writes(flow, lambda call: None)])
def test_an_error_that_a_flow_does_not_handle_leaves_it(wrap):
    def flow() -> Flow[None]:
        yield READ

    with pytest.raises(TallyfyServerError, match="503"):
        drive(wrap(flow()), lambda step: TallyfyServerError("503"))


def test_writes_are_noted_before_they_are_sent():
    noted: list[Any] = []

    def flow() -> Flow[None]:
        yield READ
        yield WRITE

    drive(noting_writes(flow(), noted.append), lambda step: noted.append(f"sent {step.method}"))
    assert noted == ["sent GET", WRITE, "sent PUT"]


@pytest.mark.parametrize("writes", [True, False])
def test_the_first_write_is_returned_instead_of_being_sent(writes):
    sent: list[Any] = []
    closed: list[bool] = []

    def flow() -> Flow[str]:
        try:
            yield READ
            if writes:
                yield WRITE
            return "ended"
        finally:
            closed.append(True)

    assert drive(first_write(flow()), sent.append) is (WRITE if writes else None)
    assert (sent, closed) == ([READ], [True])
