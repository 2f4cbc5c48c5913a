"""The three ways in which a sensor waits, each brought to the end of the task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.airflow_driver import End, attempt, deferral, new_context, only_event, rebuilt, resume

Make = Callable[..., Any]


def at_once(mode: str) -> Callable[[Make, Callable[[], Any]], End]:
    """Wait for what is already so."""

    def wait(make: Make, happen: Callable[[], Any]) -> End:
        happen()
        return attempt(lambda: make(mode=mode, timeout=0).execute(new_context()))

    return wait


def deferred(make: Make, happen: Callable[[], Any]) -> End:
    """Wait for what happens after the task was deferred."""
    deferral_ = deferral(make(deferrable=True, timeout=0))
    happen()
    event = only_event(rebuilt(deferral_.trigger))
    return attempt(lambda: resume(make(deferrable=True), deferral_, event))


MODES = {"poke": at_once("poke"), "reschedule": at_once("reschedule"), "deferred": deferred}
