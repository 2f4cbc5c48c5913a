"""Look again after a pause: Tallyfy's read replicas can lag behind a write; how long is not documented."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_tallyfy.api.call import Flow, Pause, T

REPLICA_LAG_PAUSES = (1.0, 2.0)


def look_until(look: Callable[[], Flow[T]], is_good: Callable[[T], bool] = bool, *, allow_lag: bool = True) -> Flow[T]:
    """Look until what is seen is good, and give what was seen last; without ``allow_lag`` there is one look."""
    for pause in REPLICA_LAG_PAUSES if allow_lag else ():
        seen = yield from look()
        if is_good(seen):
            return seen
        yield Pause(pause)
    return (yield from look())
