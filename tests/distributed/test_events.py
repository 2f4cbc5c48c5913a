"""Events while their triggerer is killed: every one is told, and only those of its last seconds are told again."""

from __future__ import annotations

import json
from collections import Counter

DAG_ID = "distributed_on_completion"


def told(cluster) -> Counter[str]:
    """Count the events that Airflow has heard of, by their ids."""
    rows = cluster.database.query(
        "SELECT asset_event.extra FROM asset_event JOIN asset ON asset.id = asset_id "
        "WHERE asset.name = 'distributed_completed'"
    )
    return Counter(json.loads(extra)["payload"]["event_id"] for [extra] in rows)


def holders(cluster) -> list[str]:
    rows = cluster.database.query(
        "SELECT job.unixname FROM trigger JOIN job ON job.id = triggerer_id WHERE classpath LIKE '%RunEventTrigger'"
    )
    return [name for [name] in rows]


def test_no_event_of_100_is_lost_when_their_triggerer_is_killed(cluster, record_property):
    airflow, tallyfy = cluster.airflow, cluster.tallyfy
    run_ids = tallyfy.add_runs(100)

    def complete(start: int, stop: int) -> None:
        for run_id in run_ids[start:stop]:
            tallyfy.complete_run(run_id)

    airflow.wait_for_dags([DAG_ID])
    try:
        airflow.wait_for("the list of runs is read", lambda: len(tallyfy.requests) >= 4)
        complete(0, 50)
        airflow.wait_for("they are told", lambda: len(told(cluster)) == 50)
        complete(50, 80)
        airflow.wait_for("some more are told", lambda: len(told(cluster)) > 50)
        [holder] = holders(cluster)
        airflow.kill_component(holder)
        before = told(cluster)
        complete(80, 100)
        airflow.wait_for("all are told", lambda: len(told(cluster)) == 100)
        looks = len(tallyfy.requests)
        airflow.wait_for("some looks are over", lambda: len(tallyfy.requests) > looks + 10)
        after = told(cluster)
        assert len(after) == 100
        assert set(before.values()) == {1}
        repeated = {event for event, count in after.items() if count > 1}
        assert repeated <= set(before), "only what was told just before"
        assert max(after.values()) <= 2
        record_property("events told twice, of 100", len(repeated))
    finally:
        airflow.patch(f"/dags/{DAG_ID}", {"is_paused": True})
        airflow.wait_for("nobody listens any more", lambda: not holders(cluster))
