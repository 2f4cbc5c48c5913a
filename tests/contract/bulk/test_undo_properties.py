"""Whatever fails, an undo restores exactly the states from before, and no write happens twice."""

from __future__ import annotations

import os
from collections import Counter
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_tallyfy.operators.bulk import (
    TallyfyActivateRunsOperator,
    TallyfyArchiveRunsOperator,
    TallyfyLaunchRunsOperator,
)
from tests.airflow_driver import attempt
from tests.contract.bulk.conftest import Tries
from tests.task_contexts import FakeTaskStateStore

#: Each fault strikes a limited number of times, so a job succeeds after this many tries.
MOST_TRIES = 12

RUNS = st.lists(
    st.fixed_dictionaries(
        {"archived": st.booleans(), "status": st.sampled_from(["active", "complete", "problem"])},
    ),
    min_size=1,
    max_size=8,
)
FAULTS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "kind": st.just("status"),
                "status": st.sampled_from([500, 502, 503]),
                "applied": st.booleans(),
                "method": st.sampled_from(["GET", "PUT", "DELETE", "POST", None]),
                "after": st.integers(0, 6),
                "times": st.integers(1, 2),
            }
        ),
        st.fixed_dictionaries(
            {
                "kind": st.just("status"),
                "status": st.sampled_from([403, 429]),
                "method": st.sampled_from(["PUT", "DELETE", "POST"]),
                "after": st.integers(0, 6),
                "retry_after": st.just(0.01),
            }
        ),
        st.fixed_dictionaries(
            {
                "kind": st.sampled_from(["reset", "truncated"]),
                "applied": st.booleans(),
                "method": st.sampled_from(["GET", "PUT", "DELETE", "POST", None]),
                "after": st.integers(0, 6),
            }
        ),
    ),
    max_size=4,
)
BUDGETS = st.sampled_from([0, 120])

BOTH = pytest.mark.parametrize("behavior", ["lenient", "strict"])
PROPERTY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(autouse=True)
def _retry_at_once(monkeypatch):
    monkeypatch.setattr("airflow_provider_tallyfy.api.retry._FIRST_DELAY", 0.001)


def carry_through(make):
    """Try a task until it succeeds, as Airflow and the people on call do; give its last result."""
    tries = Tries(FakeTaskStateStore())
    for _ in range(MOST_TRIES):
        end = attempt(lambda: make().execute(tries.next()))
        if end.state == "success":
            return end.result
    raise AssertionError(f"it never got through: {end}")


@BOTH
@PROPERTY
@given(runs=RUNS, faults=st.tuples(FAULTS, FAULTS), budget=BUDGETS)
def test_archive_and_undo_restore_the_states_from_before(tallyfy_sandbox_server, behavior, runs, faults, budget):
    tallyfy = tallyfy_sandbox_server
    tallyfy.reset(behavior)
    ids = [tallyfy.add_run(name=f"Run {number}", **run)["id"] for number, run in enumerate(runs)]
    before = {run["id"]: (run["status"], bool(run["archived_at"])) for run in tallyfy.runs}
    begun = len(tallyfy.store.activity)

    with mock.patch.dict(os.environ, AIRFLOW_CONN_TALLYFY_DEFAULT=tallyfy.connection_json(retry_budget=budget)):
        for fault in faults[0]:
            tallyfy.faults.add(**fault)
        archived = carry_through(lambda: TallyfyArchiveRunsOperator(task_id="archive", run_ids=ids))
        between = {run["id"]: (run["status"], bool(run["archived_at"])) for run in tallyfy.runs}
        for fault in faults[1]:
            tallyfy.faults.add(**fault)
        restored = carry_through(lambda: TallyfyActivateRunsOperator(task_id="undo", run_ids=archived["changed"]))

    live = {run_id for run_id, (_, is_archived) in before.items() if not is_archived}
    assert between == {run_id: (status, True) for run_id, (status, _) in before.items()}
    assert {run["id"]: (run["status"], bool(run["archived_at"])) for run in tallyfy.runs} == before
    assert set(archived["changed"]) == live
    assert set(restored["changed"]) == live
    assert applied(tallyfy, begun) == {(run_id, verb): 1 for run_id in live for verb in ("archived", "unarchived")}


@BOTH
@PROPERTY
@given(count=st.integers(1, 8), faults=FAULTS, budget=BUDGETS)
def test_launch_and_undo_leave_one_archived_run_per_row(tallyfy_sandbox_server, behavior, count, faults, budget):
    tallyfy = tallyfy_sandbox_server
    tallyfy.reset(behavior)
    template = tallyfy.add_template("Onboarding", kickoff=[{"label": "Company", "field_type": "text"}])
    rows = [{"Company": f"Company {number}"} for number in range(count)]

    with mock.patch.dict(os.environ, AIRFLOW_CONN_TALLYFY_DEFAULT=tallyfy.connection_json(retry_budget=budget)):
        for fault in faults:
            tallyfy.faults.add(**fault)
        launched = carry_through(
            lambda: TallyfyLaunchRunsOperator(task_id="launch", template_id=template["id"], rows=rows)
        )
        names = Counter(next(iter(run["prerun"].values())) for run in tallyfy.runs)
        carry_through(lambda: TallyfyArchiveRunsOperator(task_id="undo", run_ids=launched["changed"]))

    assert names == {row["Company"]: 1 for row in rows}
    assert set(launched["changed"]) == {run["id"] for run in tallyfy.runs}
    assert all(run["archived_at"] for run in tallyfy.runs)


def applied(tallyfy, begun):
    """Count the changes of each run in Tallyfy's activity feed."""
    rows = tallyfy.store.activity[begun:]
    return Counter((row["run_id"], row["verb"]) for row in rows if row["type"] == "Process")
