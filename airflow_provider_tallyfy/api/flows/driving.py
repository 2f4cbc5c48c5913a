"""Take a flow from step to step, for the drivers and for flows that wrap another one."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, Generic

from airflow_provider_tallyfy.api.call import Call, Flow, Pause, T
from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyTransportError
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.api.text import quoted


@dataclass(frozen=True)
class Done(Generic[T]):
    """A flow has ended with this value."""

    value: T


def advance(flow: Flow[T], reply: Any = None, error: TallyfyError | None = None) -> Call[Any] | Pause | Done[T]:
    """Give a flow the reply to its last step, or the error of it, and take its next step; without either it starts."""
    try:
        return flow.send(reply) if error is None else flow.throw(error)
    except StopIteration as end:
        return Done(end.value)


def naming(call: Call[T], name: str | None) -> Call[T]:
    """Give a call whose action has the name of what it is about, for plans."""
    return replace(call, action=f"{call.action} ({quoted(name)})") if name else call


def noting_writes(flow: Flow[T], note: Callable[[Call[Any]], None]) -> Flow[T]:
    """Carry out a flow, and note each call that changes something before it is sent."""
    step = advance(flow)
    while not isinstance(step, Done):
        if isinstance(step, Call) and step.writes:
            note(step)
        step = yield from _pass_on(step, flow)
    return step.value


def first_write(flow: Flow[Any]) -> Flow[Call[Any] | None]:
    """
    Carry out a flow up to its first call that changes something, and return that call; ``None`` if none does.

    Its action has the run's name, if the flow read the run before.
    """
    names: dict[str | None, str] = {}

    def note(reply: object) -> None:
        if isinstance(reply, Run):
            names[reply.id] = reply.name

    step = advance(flow)
    while not isinstance(step, Done):
        if isinstance(step, Call) and step.writes:
            flow.close()
            return naming(step, names.get(step.run_id))
        step = yield from _pass_on(step, flow, note)
    return None


def within(flow: Flow[T], left: Callable[[], float]) -> Flow[T]:
    """Carry out a flow in the seconds that are left: its calls are repeated until then, and none is begun later."""
    step = advance(flow)
    while not isinstance(step, Done):
        if isinstance(step, Call):
            if (seconds := left()) <= 0:
                message = (
                    f"Could not {step.action}.\nThe time for it was over.\n{step.method} {step.path} was not sent."
                )
                raise TallyfyTransportError(message, method=step.method, path=step.path, run_id=step.run_id)
            step = replace(step, retry_budget=seconds)
        step = yield from _pass_on(step, flow)
    return step.value


def _pass_on(
    step: Call[Any] | Pause, flow: Flow[T], note: Callable[[object], None] = lambda reply: None
) -> Generator[Call[Any] | Pause, Any, Call[Any] | Pause | Done[T]]:
    try:
        reply = yield step
    except TallyfyError as error:
        return advance(flow, error=error)
    note(reply)
    return advance(flow, reply)
