"""Two tries of one launch, interleaved request by request in any order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_tallyfy.api import flows
from airflow_provider_tallyfy.api.call import Call
from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.flows import LaunchKey, LaunchRequest
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behavior


class Try:
    """A flow that is driven one request at a time."""

    def __init__(self, flow: Any) -> None:
        self._flow = flow
        self._next = next(flow)
        self.result: Any = None

    def step(self, hook: TallyfyHook) -> None:
        try:
            try:
                answer = hook.execute(self._next) if isinstance(self._next, Call) else None
            except TallyfyError as error:
                self._next = self._flow.throw(error)
            else:
                self._next = self._flow.send(answer)
        except StopIteration as end:
            self.result = end.value


#: A task's first and second try; two first tries in different DAG runs that share a launch key.
KEYS = {
    "of one task": [LaunchKey("key", pages=1), LaunchKey("key")],
    "of two DAG runs": [LaunchKey("key", just_now=False), LaunchKey("key", just_now=False)],
}


def tries(tallyfy, kind: str, keys: list[LaunchKey]) -> list[Try]:
    def launch(key: LaunchKey) -> Any:
        if kind == "project":
            body = {"title": "Acme", "owners": {"users": [tallyfy.user["id"]]}}
            return flows.launch_project(tallyfy.organization_id, body, key)
        return flows.launch_run(tallyfy.organization_id, LaunchRequest(template_id, fields={"name": "Acme"}), key)

    template_id = tallyfy.add_template("Onboarding")["id"]
    return [Try(launch(key)) for key in keys]


@pytest.mark.parametrize("kind", ["template", "project"])
@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.lists(st.booleans(), max_size=14),
    world=st.sampled_from([Behavior.lenient(), Behavior.strict()]),
    switched=st.fixed_dictionaries({"list_lag": st.integers(0, 2), "milliseconds": st.booleans()}),
)
def test_two_tries_in_any_order_leave_one_run(tallyfy, kind, keys, order, world, switched):  # noqa: PLR0917
    tallyfy.reset(organization_id=tallyfy.organization_id, token=tallyfy.token)
    tallyfy.behavior = world.changed(switched)
    first, second = tries(tallyfy, kind, keys)
    with TallyfyHook() as hook:
        # At most 14 turns as drawn, then each to its end.
        for turn in [*order, *[True] * 40, *[False] * 40]:
            current = first if turn else second
            if current.result is None:
                current.step(hook)
    live = [run["id"] for run in tallyfy.runs if run["name"] == "Acme" and run["archived_at"] is None]
    assert live == [first.result.run.id]
    assert second.result.run.id == first.result.run.id
    assert [first.result.changed, second.result.changed].count(True) == 1
