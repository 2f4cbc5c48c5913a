"""A real Airflow (API server, scheduler, DAG processor, triggerer; SQLite) in a folder of its own, over REST."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

ROOT = Path(__file__).resolve().parents[1]

#: The processes of Airflow >= 3, with their command lines.
COMPONENTS = {
    "api-server": ["api-server", "--host", "127.0.0.1", "--workers", "1"],
    "scheduler": ["scheduler"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer"],
}

_STARTUP_SECONDS = 120
_STOP_SECONDS = 5
_POLL_SECONDS = 0.5
FINISHED = frozenset({"success", "failed"})


class AirflowProblem(Exception):
    """Something in Airflow did not come out as it should; the message holds the log's end."""


class LocalAirflow:
    """
    A real Airflow that starts with the ``with`` block and is gone, with every process, after it.

    :param home: its ``AIRFLOW_HOME``; emptied first.
    :param dags: folder of the DAG files.
    :param connections: connections as JSON, by id.
    :param settings: further configuration, by environment variable, for example ``AIRFLOW__CORE__PARALLELISM``.
    :param port: of the API server; a free one by default.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        connections: Mapping[str, str],
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self.home = home
        self.port = port or _free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        # How the calling process (a test run, say) has set Airflow up for itself is not for this one.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        self._environment = inherited | self._configuration(dags) | dict(settings or {})
        self._environment |= {f"AIRFLOW_CONN_{name.upper()}": text for name, text in connections.items()}
        self._session = requests.Session()
        self._session.trust_env = False

    def _configuration(self, dags: Path) -> dict[str, str]:
        settings = {
            "CORE__DAGS_FOLDER": dags,
            "CORE__LOAD_EXAMPLES": False,
            "CORE__PARALLELISM": 4,
            "CORE__FERNET_KEY": "",
            "CORE__TEST_CONNECTION": "Enabled",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": True,
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "API__PORT": self.port,
            "API__BASE_URL": self.url,
            "API__SECRET_KEY": secrets.token_hex(16),
            "API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "LOGGING__BASE_LOG_FOLDER": self.home / "logs",
            "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": 1,
            "DAG_PROCESSOR__REFRESH_INTERVAL": 5,
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 5,
        }
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        own = {"AIRFLOW_HOME": str(self.home), "PYTHONPATH": path, "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"}
        return own | {f"AIRFLOW__{name}": str(value) for name, value in settings.items()}

    @property
    def url(self) -> str:
        """Where its UI and API are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def version(self) -> str:
        """Of Airflow."""
        return str(self.get("/version")["version"])

    def __enter__(self) -> LocalAirflow:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    # -- processes --

    def start(self) -> None:
        """
        Make the database, start every component and wait until all are healthy.

        :raises AirflowProblem: if one ends or does not become healthy.
        """
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        migrate = self._spawn("migrate", ["db", "migrate"])
        if migrate.wait(_STARTUP_SECONDS):
            raise AirflowProblem(f"airflow db migrate failed:\n{self._component_log('migrate')}")
        for name in COMPONENTS:
            self.start_component(name)
        self.wait_for("Airflow is healthy", self._is_healthy, _STARTUP_SECONDS)

    def start_component(self, name: str) -> None:
        """
        Start a component, for the first time or again.

        :param name: of :data:`COMPONENTS`.
        """
        port = ["--port", str(self.port)] if name == "api-server" else []
        self.processes[name] = self._spawn(name, COMPONENTS[name] + port)

    def kill_component(self, name: str, with_signal: int = signal.SIGKILL) -> None:
        """
        End a component and everything it started.

        :param name: of :data:`COMPONENTS`.
        :param with_signal: what to send to its process group.
        """
        process = self.processes.pop(name)
        _signal_group(process, with_signal)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _signal_group(process, signal.SIGKILL)
            process.wait()
        _signal_group(process, signal.SIGKILL)  # what the component itself left behind

    def stop(self) -> None:
        """End every component."""
        for process in self.processes.values():
            _signal_group(process, signal.SIGTERM)
        for name in list(self.processes):
            self.kill_component(name, signal.SIGTERM)
        self._session.close()

    def run_command(self, *arguments: str) -> str:
        """
        Run an ``airflow`` command and give what it printed.

        :param arguments: of the command.
        :raises AirflowProblem: if it fails.
        """
        done = subprocess.run(
            _command(arguments), env=self._environment, capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode:
            raise AirflowProblem(f"airflow {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
        return done.stdout

    def _spawn(self, name: str, arguments: Iterable[str]) -> subprocess.Popen[bytes]:
        with (self.home / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                _command(arguments),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _component_log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")[-3000:]

    def _is_healthy(self) -> bool:
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise AirflowProblem(f"airflow {name} ended:\n{self._component_log(name)}")
        try:
            health = self.get("/monitor/health")
        except requests.RequestException:
            return False
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return all(health.get(part, {}).get("status") == "healthy" for part in parts)

    # -- REST --

    def get(self, path: str, **params: Any) -> Any:
        """
        Ask the REST API.

        :param path: below ``/api/v2``.
        :param params: query parameters.
        """
        return self._request("GET", path, params=params)

    def post(self, path: str, body: Any) -> Any:
        """
        Tell the REST API something.

        :param path: below ``/api/v2``.
        :param body: JSON.
        """
        return self._request("POST", path, json=body)

    def patch(self, path: str, body: Any) -> Any:
        """
        Change something through the REST API.

        :param path: below ``/api/v2``.
        :param body: JSON.
        """
        return self._request("PATCH", path, json=body)

    def _request(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Accept": "application/json"}
        response = self._session.request(method, f"{self.url}/api/v2{path}", timeout=60, headers=headers, **options)
        if response.status_code >= 400:
            raise requests.HTTPError(f"{method} {path}: {response.status_code} {response.text[:500]}")
        return response.json() if response.content else None

    def wait_for_dags(self, dag_ids: Iterable[str]) -> None:
        """
        Wait until DAGs are there, and unpause them.

        :param dag_ids: which.
        :raises AirflowProblem: if a DAG file cannot be imported.
        """
        wanted = set(dag_ids)

        def all_there() -> bool:
            problems = self.get("/importErrors")["import_errors"]
            if problems:
                raise AirflowProblem(f"A DAG file cannot be imported:\n{problems[0]['stack_trace']}")
            return wanted <= {dag["dag_id"] for dag in self.get("/dags", limit=100)["dags"]}

        self.wait_for(f"there are {', '.join(sorted(wanted))}", all_there, _STARTUP_SECONDS)
        for dag_id in wanted:
            self.patch(f"/dags/{dag_id}", {"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """
        Start a DAG run and give its id; the scheduler does the rest.

        :param dag_id: the DAG.
        :param conf: its params.
        """
        run = self.post(f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": dict(conf or {})})
        return str(run["dag_run_id"])

    def wait_for_scheduled_run(self, dag_id: str, seconds: float = 60) -> str:
        """
        Wait until a DAG's schedule has started a DAG run, and give the id of the first.

        :param dag_id: the DAG.
        :param seconds: how long it may take.
        :raises AirflowProblem: if it takes longer.
        """
        runs: list[dict[str, Any]] = []

        def there_is_one() -> bool:
            runs[:] = self.get(f"/dags/{dag_id}/dagRuns", run_type="scheduled", order_by="id")["dag_runs"]
            return bool(runs)

        self.wait_for(f"the schedule of {dag_id} starts it", there_is_one, seconds)
        return str(runs[0]["dag_run_id"])

    def dag_run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a DAG run."""
        return str(self.get(f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")["state"])

    def wait_for_dag_run(
        self, dag_id: str, run_id: str, seconds: float = 120, watch: Callable[[], object] = lambda: None
    ) -> str:
        """
        Wait until a DAG run has ended, and give its state.

        :param dag_id: the DAG.
        :param run_id: its run.
        :param seconds: how long it may take.
        :param watch: called at every look.
        :raises AirflowProblem: if it takes longer.
        """

        def ended() -> bool:
            watch()
            return self.dag_run_state(dag_id, run_id) in FINISHED

        self.wait_for(f"{dag_id} has ended", ended, seconds)
        return self.dag_run_state(dag_id, run_id)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a DAG run, mapped ones included."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        found: list[dict[str, Any]] = []
        while True:
            page = self.get(path, limit=100, offset=len(found))
            found += page["task_instances"]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return found

    def wait_for_task_states(
        self, dag_id: str, run_id: str, satisfied: Callable[[list[dict[str, Any]]], bool], seconds: float = 60
    ) -> list[dict[str, Any]]:
        """
        Wait until the task instances of a DAG run are as they should be, and give them.

        :param dag_id: the DAG.
        :param run_id: its run.
        :param satisfied: judges the task instances.
        :param seconds: how long it may take.
        :raises AirflowProblem: if it takes longer.
        """
        self.wait_for(
            f"the tasks of {dag_id} are as expected", lambda: satisfied(self.task_instances(dag_id, run_id)), seconds
        )
        return self.task_instances(dag_id, run_id)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return a value that a task instance pushed."""
        path = f"{self._task_path(dag_id, run_id, task_id)}/xcomEntries/{key}"
        return self.get(path, map_index=map_index, deserialize="true")["value"]

    def links(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> dict[str, str | None]:
        """Return the extra links of a task instance."""
        path = f"{self._task_path(dag_id, run_id, task_id)}/links"
        links: dict[str, str | None] = self.get(path, map_index=map_index)["extra_links"]
        return links

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task, so that it runs again."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        self.post(f"/dags/{dag_id}/clearTaskInstances", body | {"reset_dag_runs": True})

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """Return the log of a try of a task instance, one line an event."""
        path = f"{self._task_path(dag_id, run_id, task_id)}/logs/{try_number}"
        content = self.get(path, map_index=map_index, full_content="true")["content"]
        return "\n".join(_log_line(entry) for entry in content)

    def failures(self, dag_id: str, run_id: str) -> list[str]:
        """Return the log of the last try of every failed task instance of a DAG run."""
        failed = [task for task in self.task_instances(dag_id, run_id) if task["state"] == "failed"]
        logs = [self.task_log(dag_id, run_id, t["task_id"], t["try_number"], t["map_index"]) for t in failed]
        return [f"{task['task_id']} failed:\n{log}" for task, log in zip(failed, logs, strict=True)]

    def _task_path(self, dag_id: str, run_id: str, task_id: str) -> str:
        return f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}"

    def wait_for(self, what: str, condition: Callable[[], bool], seconds: float = 60) -> None:
        """
        Wait until something is so.

        :param what: a sentence, for the error.
        :param condition: asked again and again.
        :param seconds: how long it may take.
        :raises AirflowProblem: if it takes longer; with the logs of all components.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(f"--- {name}\n{self._component_log(name)}" for name in self.processes)
                raise AirflowProblem(f"Waited {seconds:.0f} s in vain until {what}.\n{logs}")
            time.sleep(_POLL_SECONDS)


def _command(arguments: Iterable[str]) -> list[str]:
    return [sys.executable, "-m", "airflow", *arguments]


def _log_line(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        return str(entry)
    details = entry.get("error_detail") or []
    causes = [f"{detail.get('exc_type')}: {detail.get('exc_value')}" for detail in details]
    return " ".join([str(entry.get("event", "")), *causes])


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
