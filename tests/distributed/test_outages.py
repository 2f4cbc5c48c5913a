"""Tallyfy is down for a while, or its token is replaced: every mode of waiting goes on."""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest

from tests.distributed.waits import MODES, MODES_DAG_ID, Waits, are_waiting

#: How long Tallyfy is down at least.
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "60"))


@pytest.fixture
def modes(cluster):
    """Begin a wait in every mode, each with a connection and a token of its own."""
    airflow, tallyfy = cluster.airflow, cluster.tallyfy
    tokens = {mode: tallyfy.issue_token() for mode in MODES}
    for mode, token in tokens.items():
        cluster.connect(mode, token)
    run_id = tallyfy.add_run()["id"]
    airflow.wait_for_dags([MODES_DAG_ID])
    dag_run = airflow.trigger(MODES_DAG_ID, {"run_id": run_id})

    def all_have_asked(tasks) -> bool:
        return are_waiting(tasks) and set(asked(cluster, tokens)) == set(MODES)

    airflow.wait_for_task_states(MODES_DAG_ID, dag_run, all_have_asked)
    return Modes(cluster, tokens, run_id, dag_run)


def asked(cluster, tokens) -> Counter[str]:
    """Count the requests that came with each of these tokens."""
    modes = {f"Bearer {token}": mode for mode, token in tokens.items()}
    seen = (modes.get(request.headers.get("authorization", "")) for request in list(cluster.tallyfy.requests))
    return Counter(mode for mode in seen if mode)


class Modes:
    """A wait in every mode, for the same run."""

    def __init__(self, cluster, tokens, run_id, dag_run) -> None:
        self.cluster, self.tokens, self.run_id, self.dag_run = cluster, tokens, run_id, dag_run

    def wait_until_each_asks(self, times: int, what: str) -> None:
        begun = asked(self.cluster, self.tokens)

        def have_asked() -> bool:
            return all((asked(self.cluster, self.tokens) - begun)[mode] >= times for mode in MODES)

        self.cluster.airflow.wait_for(what, have_asked)

    def assert_all_succeed(self) -> None:
        airflow = self.cluster.airflow
        self.cluster.tallyfy.complete_run(self.run_id)
        state = airflow.wait_for_dag_run(MODES_DAG_ID, self.dag_run)
        tasks = airflow.task_instances(MODES_DAG_ID, self.dag_run)
        ends = {task["task_id"]: (task["state"], task["try_number"]) for task in tasks}
        assert ends == dict.fromkeys(MODES, ("success", 1)), airflow.failures(MODES_DAG_ID, self.dag_run)
        assert state == "success"


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 503}], ids=["refusing", "503"])
def test_every_mode_of_waiting_survives_a_tallyfy_that_is_down(cluster, modes, fault):
    deadline = time.monotonic() + OUTAGE_SECONDS
    cluster.tallyfy.faults.add(times=None, **fault)
    modes.wait_until_each_asks(5, "every mode has asked in vain")
    cluster.airflow.wait_for("the outage is over", lambda: time.monotonic() > deadline)
    cluster.tallyfy.faults.clear()
    modes.assert_all_succeed()


def test_waits_go_on_when_the_token_is_replaced(cluster, modes):
    """The connection is changed first, then the old token is revoked."""
    tallyfy = cluster.tallyfy
    waits = Waits(cluster, 50)
    waits.wait_until_looked_at()
    old = modes.tokens | {"tallyfy_default": tallyfy.token}
    new = {connection: tallyfy.issue_token() for connection in old}
    for connection, token in new.items():
        cluster.connect(connection, token)
    for token in old.values():
        tallyfy.revoke_token(token)
    modes.tokens = {mode: new[mode] for mode in MODES}
    modes.wait_until_each_asks(2, "every mode asks with its new token")
    waits.complete()
    waits.wait_for_end()
    assert waits.states() == {("success", 1): 50}
    modes.assert_all_succeed()
