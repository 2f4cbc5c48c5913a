"""Runs a sensor to the end of its task, in each mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.airflow_driver import End, attempt, deferral, new_context, only_event, rebuilt, resume

Make = Callable[..., Any]
Mode = Callable[[Make, Callable[[], Any]], End]


def at_once(**mode: Any) -> Mode:
    """Wait for a goal that is already reached."""

    def wait(make: Make, happen: Callable[[], Any]) -> End:
        happen()
        return attempt(lambda: make(**mode, timeout=0).execute(new_context()))

    return wait


def deferred(make: Make, happen: Callable[[], Any]) -> End:
    """Wait for what happens after the task was deferred."""
    deferral_ = deferral(make(deferrable=True, timeout=0))
    happen()
    event = only_event(rebuilt(deferral_.trigger))
    return attempt(lambda: resume(make(deferrable=True), deferral_, event))


ON_A_WORKER: dict[str, Mode] = {"poke": at_once(mode="poke"), "reschedule": at_once(mode="reschedule")}
MODES: dict[str, Mode] = ON_A_WORKER | {"deferred": deferred}
