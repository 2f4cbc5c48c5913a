"""Hundreds of waits, while what they stand on is killed or restarted: all end, none twice, none costs more."""

from __future__ import annotations

import signal
from collections import Counter

from tests.distributed.waits import Waits


def test_300_waits_survive_a_killed_triggerer(cluster, record_property):
    airflow, tallyfy = cluster.airflow, cluster.tallyfy
    waits = Waits(cluster, 300)
    waits.wait_until_looked_at()
    assert len(cluster.waits_by_triggerer()) == 2, "both triggerers have their share"

    tallyfy.clear_requests()
    waits.wait_for_looks(20)
    looks, requests = waits.looks, list(tallyfy.requests)
    assert {request.path.rpartition("/")[2] for request in requests} == {"runs"}, "only lists are read"
    assert len(requests) <= 3 * (looks + 2), "of a hundred runs a page; each triggerer may have been in a look"

    tallyfy.clear_requests()
    airflow.kill_component("triggerer-1")
    waits.complete()
    waits.wait_for_end()
    assert waits.states() == {("success", 1): 300}
    assert waits.results() == 12 * 13
    single = Counter(request.path for request in tallyfy.requests if not request.path.endswith("/runs"))
    record_property("300 waits end: requests, of these for a run by itself", (len(tallyfy.requests), single.total()))
    assert set(single.values()) <= {1, 2}, "no run was read by itself more than once a triggerer"


def test_waits_survive_a_restart_of_the_database(cluster, record_property):
    airflow, database = cluster.airflow, cluster.database
    waits = Waits(cluster, 100)
    waits.wait_until_looked_at()
    database.stop(signal.SIGQUIT)  # at once, as after a crash
    waits.complete(0, 50)
    looks = waits.looks
    airflow.wait_for("Airflow has noticed", lambda: bool(airflow.ended) or waits.looks > looks + 10)
    database.start()
    airflow.wait_until_healthy()
    waits.complete(50)
    waits.wait_for_end()
    assert waits.states() == {("success", 1): 100}
    assert waits.results() == 4 * 13
    record_property("ended by themselves without the database", sorted(airflow.ended))


def test_waits_without_a_result_end_while_the_broker_is_down(cluster, record_property):
    airflow, broker = cluster.airflow, cluster.broker
    waits = Waits(cluster, 50)
    waits.wait_until_looked_at()
    broker.stop(signal.SIGKILL)
    waits.complete()
    airflow.wait_for("they have ended", lambda: waits.states()["success", 1] >= 2 * 12)
    broker.start()
    waits.wait_for_end()
    record_property("waits without a broker", dict(waits.states()))
    assert waits.states()["success", 1] == 2 * 12 + waits.results()


def test_waits_and_a_bulk_job_survive_a_rolling_restart(cluster):
    """Every worker and every triggerer is asked to end in turn, as an orchestrator does, and a new one begins."""
    airflow, tallyfy = cluster.airflow, cluster.tallyfy
    waits = Waits(cluster, 50)
    live = tallyfy.add_runs(200, name="Onboarding")
    hang = tallyfy.faults.add("hang", method="DELETE", after=50, times=None, applied=True)
    airflow.wait_for_dags(["system_bulk_archive"])
    dag_run = airflow.trigger("system_bulk_archive")
    waits.wait_until_looked_at()
    airflow.wait_for("all requests at a time hang", lambda: hang.hits == 8)
    for name in ("worker-1", "worker-2", "triggerer-1", "triggerer-2"):
        airflow.stop_gracefully(name, tallyfy.faults.clear)
        airflow.start_component(name)
        waits.wait_for_looks()
    waits.complete()
    waits.wait_for_end()
    assert waits.states() == {("success", 1): 50}
    assert airflow.wait_for_dag_run("system_bulk_archive", dag_run) == "success"
    tasks = {task["task_id"]: task["try_number"] for task in airflow.task_instances("system_bulk_archive", dag_run)}
    assert tasks == {"archive": 1, "undo": 1}
    assert sorted(airflow.xcom("system_bulk_archive", dag_run, "archive", key="changed")) == sorted(live)
