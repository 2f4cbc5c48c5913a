"""Airflow as larger installations run it: two Celery workers, two triggerers, PostgreSQL and Redis."""

from __future__ import annotations

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import requests
from cryptography.fernet import Fernet

from airflow_provider_tallyfy.sandbox import Sandbox
from demo.airflow_api import AirflowProblem
from demo.local_airflow import COMPONENTS, LocalAirflow
from tests.distributed.servers import PostgreSQL, Redis

WORKERS = ("worker-1", "worker-2")
TRIGGERERS = ("triggerer-1", "triggerer-2")

# A lost answer soon becomes a task retry, and a request may hang as long as a test wants.
_EXTRA = {"retry_budget": 2, "timeout": 300}

# Guards against waiting for ever, not measures of speed: a dozen processes share the machine's cores.
_LONGEST = 900.0
_MOST_RESTARTS = 4

# A lost process is noticed within seconds instead of minutes; otherwise as Airflow has it.
_SETTINGS = {
    "CORE__EXECUTOR": "CeleryExecutor",
    "CORE__PARALLELISM": 32,
    "CORE__MAX_ACTIVE_RUNS_PER_DAG": 64,
    "CORE__MAX_ACTIVE_TASKS_PER_DAG": 1024,
    "CELERY__WORKER_CONCURRENCY": 3,
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 20,
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": 2,
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 3,
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 10,
}


class DistributedAirflow(LocalAirflow):
    """
    An Airflow with several processes of a kind. What ends by itself is started again, as a service manager does.

    :param folder: of its ``AIRFLOW_HOME``.
    :param dags: folder of the DAG files.
    """

    def __init__(self, folder: Path, dags: Path, database: PostgreSQL, broker: Redis) -> None:
        home = folder / "home"
        self.fernet_key = Fernet.generate_key().decode()
        #: What ended by itself, and was started again.
        self.ended: list[str] = []
        command = ["celery", "worker", "--skip-serve-logs", "--celery-hostname"]
        self.components = (
            {name: COMPONENTS[name] for name in ("api-server", "scheduler", "dag-processor")}
            | {name: ["triggerer", "--skip-serve-logs"] for name in TRIGGERERS}
            | {name: [*command, name, "--pid", f"{home}/{name}.pid"] for name in WORKERS}
        )
        settings = _SETTINGS | {
            "CORE__FERNET_KEY": self.fernet_key,
            "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database.url}",
            "CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database.url}",
            "CELERY__BROKER_URL": broker.url,
        }
        super().__init__(home, dags, {}, {f"AIRFLOW__{name}": str(value) for name, value in settings.items()})

    def wait_for(self, what: str, condition: Callable[[], bool], seconds: float = _LONGEST) -> None:
        """Wait as the base class does, but longer, and start again what ended by itself meanwhile."""

        def satisfied() -> bool:
            self._restart_ended()
            return condition()

        super().wait_for(what, satisfied, max(seconds, _LONGEST))

    def _restart_ended(self) -> None:
        for name, process in list(self.processes.items()):
            if name in self.components and process.poll() is not None:
                self.ended.append(name)
                if self.ended.count(name) > _MOST_RESTARTS:
                    raise AirflowProblem(f"airflow {name} ends again and again:\n{self._component_log(name)}")
                self.kill_component(name)  # and what it left behind
                self.start_component(name)

    def wait_until_healthy(self) -> None:
        """Wait until the API server answers, and says that the others are there."""
        self.wait_for("Airflow is healthy", self._is_healthy)

    def stop_gracefully(self, name: str, meanwhile: Callable[[], object]) -> None:
        """
        Ask a component to end, as an orchestrator does, and wait until it has: only its first process is told.

        :param name: of :attr:`components`.
        :param meanwhile: called when it has been asked.
        """
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        meanwhile()
        self.wait_for(f"{name} has ended", lambda: process.poll() is not None)

    def living(self, name: str = "") -> list[int]:
        """
        Return the processes of this Airflow that live, whatever their parents.

        :param name: only those of this component.
        """
        marks = {f"AIRFLOW_HOME={self.home}".encode()} | ({f"LOGNAME={name}".encode()} if name else set())
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if marks <= _environment(pid)]

    def running_triggers(self) -> int:
        """Return how many triggers run, as the triggerers say once a minute."""
        logs = [(self.home / f"{name}.log").read_text() for name in TRIGGERERS]
        counts = [re.findall(r"(\d+) triggers currently running", log)[-1:] for log in logs]
        return sum(int(count) for last in counts for count in last)


def _environment(pid: int) -> set[bytes]:
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()


@dataclass(frozen=True)
class Cluster:
    """
    A running Airflow, what it stands on, and the Tallyfy that its connection ``tallyfy_default`` leads to.

    :param tallyfy: empty at the start of every test.
    :param folder: of all their files.
    :param secrets: every token and client secret of a connection, or fetched with one.
    """

    airflow: DistributedAirflow
    database: PostgreSQL
    broker: Redis
    tallyfy: Sandbox
    folder: Path
    secrets: set[str] = field(default_factory=set)

    def connect(self, connection_id: str, secret: str, **extra: object) -> None:
        """
        Write a connection to Tallyfy into Airflow's database, where it can be changed while tasks use it.

        :param connection_id: added, or changed if it is there.
        :param secret: its password.
        :param extra: further keys of its extra.
        """
        self.secrets.add(secret)
        connection = self.tallyfy.connection(**_EXTRA | extra)
        connection |= {"password": secret, "connection_id": connection_id}
        connection["extra"] = json.dumps(connection["extra"])
        try:
            self.airflow.post("/connections", connection)
        except requests.HTTPError:
            self.airflow.patch(f"/connections/{connection_id}", connection)

    def note_secrets(self) -> None:
        """Keep the tokens that Tallyfy has given out; its next organization forgets them."""
        self.secrets.update(self.tallyfy.credentials.tokens)

    def end_dag_runs(self) -> None:
        """End every DAG run that has not ended."""
        for run in self.airflow.get("/dags/~/dagRuns", state=["running", "queued"], limit=100)["dag_runs"]:
            self.airflow.patch(f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}", {"state": "failed"})

    def waits_by_triggerer(self) -> Counter[str]:
        """Return how many triggers each triggerer runs, or is given to run."""
        rows = self.database.query(
            "SELECT job.unixname, count(*) FROM trigger JOIN job ON job.id = triggerer_id GROUP BY job.unixname"
        )
        return Counter({name: int(count) for name, count in rows})
