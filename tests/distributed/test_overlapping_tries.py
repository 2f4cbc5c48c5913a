"""
Two tries of a bulk launch at a time: one live run a row remains, and ``changed`` holds exactly those.

Only the supervisor of the first try is stopped. So Airflow misses its heartbeats and starts a second try, while the
task of the first one lives on.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

ROWS = 200
DAG_ID = "system_bulk_launch"


class Overlap:
    """A bulk launch of which the first try has launched a third, and hangs; its supervisor is stopped."""

    def __init__(self, cluster) -> None:
        self.airflow, self.tallyfy = cluster.airflow, cluster.tallyfy
        template = self.tallyfy.add_template("Onboarding", kickoff=[{"label": "Company", "field_type": "text"}])
        rows = [{"Company": f"Company {number}", "name": f"Run {number}"} for number in range(ROWS)]
        self.hanging = self.hang("POST", after=ROWS // 3, times=8)
        self.airflow.wait_for_dags([DAG_ID])
        self.dag_run = self.airflow.trigger(DAG_ID, {"template_id": template["id"], "rows": rows})
        self.airflow.wait_for("the first try hangs", lambda: self.hanging.hits == 8)
        self.supervisor = parent_of(self.task["pid"])
        os.kill(self.supervisor, signal.SIGSTOP)

    def hang(self, method: str, **options):
        return self.tallyfy.faults.add("hang", method=method, path="/runs", **options)

    @property
    def task(self) -> dict:
        [task] = self.airflow.task_instances(DAG_ID, self.dag_run)
        return task

    @property
    def launched(self) -> int:
        """How many launches were sent."""
        return sum(request.method == "POST" for request in list(self.tallyfy.requests))

    @property
    def live(self) -> Counter[str]:
        return Counter(run["name"] for run in self.tallyfy.runs if not run["archived_at"])

    def assert_one_live_run_a_row_which_is_changed(self) -> None:
        assert self.airflow.wait_for_dag_run(DAG_ID, self.dag_run) == "success"
        assert self.live == {f"Run {number}": 1 for number in range(ROWS)}
        changed = self.airflow.xcom(DAG_ID, self.dag_run, "launch", key="changed")
        assert sorted(changed) == sorted(run["id"] for run in self.tallyfy.runs if not run["archived_at"])


def parent_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("PPid:")[2].split()[0])


@pytest.fixture
def overlap(cluster):
    overlap = Overlap(cluster)
    yield overlap
    os.kill(overlap.supervisor, signal.SIGCONT)


def test_a_first_try_that_lives_on_archives_what_it_launched_last(overlap):
    airflow = overlap.airflow
    airflow.wait_for("the second try has launched the rest", lambda: overlap.launched == 8 + ROWS)
    overlap.tallyfy.faults.clear()
    twice = ROWS + ROWS - ROWS // 3
    airflow.wait_for(
        "the first try has done so, too", lambda: overlap.launched == twice and len(overlap.tallyfy.runs) == twice
    )
    airflow.wait_for("it has archived them", lambda: overlap.live.total() == ROWS)
    os.kill(overlap.supervisor, signal.SIGCONT)
    overlap.assert_one_live_run_a_row_which_is_changed()
    assert overlap.task["try_number"] == 2


def test_a_second_try_that_is_killed_while_it_archives_leaves_the_rest_to_the_third(overlap):
    airflow = overlap.airflow
    second = overlap.hang("POST", times=8)
    airflow.wait_for("the second try hangs before its first launch", lambda: second.hits == 8)
    overlap.tallyfy.faults.remove(overlap.hanging)
    airflow.wait_for("the first try has launched all", lambda: len(overlap.tallyfy.runs) == ROWS)
    archiving = overlap.hang("DELETE", after=10, times=None)
    overlap.tallyfy.faults.remove(second)
    airflow.wait_for("the second try archives", lambda: archiving.hits == 8)
    assert overlap.live.total() > ROWS
    os.kill(overlap.task["pid"], signal.SIGKILL)
    overlap.tallyfy.faults.clear()
    overlap.assert_one_live_run_a_row_which_is_changed()
    assert overlap.task["try_number"] == 3
