"""What a wait costs a triggerer, beside what one of Airflow's own waits costs it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.distributed.cluster import TRIGGERERS
from tests.distributed.waits import Waits

WAITS = 300


def megabytes(cluster) -> float:
    """Add up what all processes of the triggerers hold, shared pages in proportion (PSS)."""
    processes = [pid for name in TRIGGERERS for pid in cluster.airflow.living(name)]
    reports = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in processes]
    return sum(int(re.search(r"^Pss: +(\d+) kB", report, re.M)[1]) for report in reports) / 1024


def per_wait(cluster, dag_id: str) -> float:
    """Return how many MB each of many waits adds to triggerers that just began."""
    airflow = cluster.airflow
    for name in TRIGGERERS:
        airflow.kill_component(name)
        airflow.start_component(name)
    Waits(cluster, 25, dag_id).wait_until_running()  # what they load once is not counted
    few = megabytes(cluster)
    Waits(cluster, WAITS, dag_id).wait_until_running()
    many = megabytes(cluster)
    cluster.end_dag_runs()
    return (many - few) / WAITS


def test_a_wait_takes_not_much_more_memory_than_one_of_airflows_own(cluster, record_property):
    airflows_own = per_wait(cluster, "distributed_peers")
    ours = per_wait(cluster, "distributed_waits")
    ratio = ours / airflows_own
    text = f"{ours:.3f} MB a wait, {airflows_own:.3f} MB a DateTimeSensorAsync: {ratio:.2f} times as much"
    record_property(f"memory of {WAITS} waits in two triggerers", text)
    assert ratio < 2
