"""Many waits at a time, as the distributed tests begin, watch and judge them."""

from __future__ import annotations

from collections import Counter

from tests.distributed.cluster import Cluster

DAG_ID = "distributed_waits"
PER_DAG_RUN = 25

#: A DAG with one wait in each mode, with a connection of its own.
MODES_DAG_ID = "distributed_modes"
MODES = ("poke", "reschedule", "deferred", "deferred_to_the_end")


def are_waiting(tasks: list[dict]) -> bool:
    """Whether the waits in all modes have looked once, and go on."""
    states = {task["task_id"]: task["state"] for task in tasks}
    return states == dict(zip(MODES, ("running", "up_for_reschedule", "deferred", "deferred"), strict=True))


class Waits:
    """
    Waits for runs of their own, 25 in each DAG run. Every other one has a result, and ends on a worker.

    :param count: how many; a multiple of 25.
    """

    def __init__(self, cluster: Cluster, count: int, dag_id: str = DAG_ID) -> None:
        self._cluster = cluster
        self._dag_id = dag_id
        self.count = count
        self.run_ids = cluster.tallyfy.add_runs(count)
        cluster.airflow.wait_for_dags([dag_id])
        starts = range(0, count, PER_DAG_RUN)
        conf = [{"run_ids": self.run_ids[start : start + PER_DAG_RUN]} for start in starts]
        self._dag_runs = [cluster.airflow.trigger(dag_id, params) for params in conf]

    def states(self) -> Counter[tuple[str, int]]:
        """Return how many waits are in which state and try."""
        rows = self._query("SELECT state, try_number, count(*) FROM task_instance", "GROUP BY state, try_number")
        return Counter({(state, int(number)): int(count) for state, number, count in rows})

    def wait_until_looked_at(self) -> None:
        """Wait until all are in the triggerers, and some looks at Tallyfy are over since then."""
        self._cluster.airflow.wait_for(f"{self.count} waits are deferred", self._are_deferred)
        self.wait_for_looks()

    def wait_until_running(self) -> None:
        """Wait until all of these and of other waits run in the triggerers."""

        def all_run() -> bool:
            return self._are_deferred() and airflow.running_triggers() == self._cluster.waits_by_triggerer().total()

        airflow = self._cluster.airflow
        airflow.wait_for(f"{self.count} waits run", all_run)

    def wait_for_looks(self, count: int = 8) -> None:
        """Wait for some more looks at the list of runs."""
        begun = self.looks
        self._cluster.airflow.wait_for("some looks are over", lambda: self.looks >= begun + count)

    @property
    def looks(self) -> int:
        """How many looks at the list of runs began."""
        requests = list(self._cluster.tallyfy.requests)
        return sum(
            request.path.endswith("/runs") and dict(request.query).get("page", "1") == "1" for request in requests
        )

    def complete(self, start: int = 0, stop: int | None = None) -> None:
        """Do what people do to some of the runs."""
        for run_id in self.run_ids[start:stop]:
            self._cluster.tallyfy.complete_run(run_id)

    def wait_for_end(self) -> None:
        """Wait until every wait has ended, one way or the other."""

        def have_ended() -> bool:
            return {state for state, _ in self.states()} <= {"success", "failed", "skipped"}

        self._cluster.airflow.wait_for(f"{self.count} waits have ended", have_ended)

    def results(self) -> int:
        """Return how many gave a result."""
        [[count]] = self._query("SELECT count(*) FROM xcom", "AND key = 'return_value'")
        return int(count)

    def _are_deferred(self) -> bool:
        triggers = self._cluster.waits_by_triggerer()
        return set(self.states()) == {("deferred", 1)} and triggers.total() >= self.count

    def _query(self, select: str, end: str = "") -> list[list[str]]:
        dag_runs = ", ".join(f"'{dag_run}'" for dag_run in self._dag_runs)
        return self._cluster.database.query(
            f"{select} WHERE dag_id = '{self._dag_id}' AND run_id IN ({dag_runs}) {end}"
        )
