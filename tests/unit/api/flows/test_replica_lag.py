from __future__ import annotations

import pytest

from airflow_provider_tallyfy.api.call import Flow, Pause
from airflow_provider_tallyfy.api.flows.driving import Done, advance
from airflow_provider_tallyfy.api.flows.replica_lag import look_until


@pytest.mark.parametrize(
    ("shown", "allow_lag", "pauses", "seen"),
    [
        ([3], True, [], 3),
        ([1, 3], True, [1.0], 3),
        ([1, 2, 3], True, [1.0, 2.0], 3),
        ([1, 2, 2, 3], True, [1.0, 2.0], 2),
        ([1, 3], False, [], 1),
    ],
)
def test_a_repeated_look_ends_with_the_first_good_result(shown, allow_lag, pauses, seen):
    rest = iter(shown)

    def look() -> Flow[int]:
        yield from ()
        return next(rest)

    flow, steps = look_until(look, lambda number: number == 3, allow_lag=allow_lag), []
    step = advance(flow)
    while not isinstance(step, Done):
        steps.append(step)
        step = advance(flow)
    assert (steps, step.value) == ([Pause(seconds) for seconds in pauses], seen)
