"""A real Airflow (API server, scheduler, DAG processor, triggerer; SQLite) in a folder of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import requests

from demo.airflow_api import AIRFLOW_2, AirflowApi, AirflowProblem

ROOT = Path(__file__).resolve().parents[1]

#: The processes of Airflow, with their command lines. With SQLite the scheduler of Airflow 2 reads the DAGs itself.
COMPONENTS = {
    "api-server": ["api-server", "--host", "127.0.0.1", "--workers", "1"],
    "scheduler": ["scheduler"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer"],
}
if AIRFLOW_2:
    COMPONENTS["api-server"] = ["webserver", "--hostname", "127.0.0.1", "--workers", "1"]
    del COMPONENTS["dag-processor"]

_STARTUP_SECONDS = 120
_STOP_SECONDS = 5


class LocalAirflow(AirflowApi):
    """
    A real Airflow that starts with the ``with`` block and is gone, with every process, after it.

    :param home: its ``AIRFLOW_HOME``.
    :param dags: folder of the DAG files.
    :param connections: connections as JSON, by id.
    :param settings: further configuration, by environment variable, for example ``AIRFLOW__CORE__PARALLELISM``.
    :param port: of the API server; a free one by default.
    :param keep: go on with what ``home`` holds; otherwise it is emptied first.
    """

    #: Command line by name; several components may have the same.
    components: Mapping[str, Sequence[str]] = COMPONENTS

    def __init__(
        self,
        home: Path,
        dags: Path,
        connections: Mapping[str, str],
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        *,
        keep: bool = False,
    ) -> None:
        self.home = home
        self.port = port or free_port()
        self._keep = keep
        super().__init__(f"http://127.0.0.1:{self.port}")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        # How the calling process (a test run, say) has set Airflow up for itself is not for this one.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        self._environment = inherited | self._configuration(dags) | dict(settings or {})
        self._environment |= {f"AIRFLOW_CONN_{name.upper()}": text for name, text in connections.items()}

    def _configuration(self, dags: Path) -> dict[str, str]:
        settings = {
            "CORE__DAGS_FOLDER": dags,
            "CORE__LOAD_EXAMPLES": False,
            "OPENLINEAGE__DISABLED": True,
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
            "LOGGING__WORKER_LOG_SERVER_PORT": free_port(),
            "LOGGING__TRIGGER_LOG_SERVER_PORT": free_port(),
            "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": 1,
            "DAG_PROCESSOR__REFRESH_INTERVAL": 5,
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 5,
        }
        if AIRFLOW_2:
            settings |= {
                "CORE__EXECUTOR": "SequentialExecutor",  # the only one that goes with SQLite there
                "API__AUTH_BACKENDS": "airflow.api.auth.backend.default",
                "API__ENABLE_XCOM_DESERIALIZE_SUPPORT": True,
                "WEBSERVER__CONFIG_FILE": self.home / "webserver_config.py",
                "WEBSERVER__SECRET_KEY": secrets.token_hex(16),
                "SCHEDULER__DAG_DIR_LIST_INTERVAL": 5,
                "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": 5,
            }
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        own = {"AIRFLOW_HOME": str(self.home), "PYTHONPATH": path, "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"}
        # Airflow 2 starts tasks with the command `airflow`.
        own["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
        return own | {f"AIRFLOW__{name}": str(value) for name, value in settings.items()}

    def __enter__(self) -> LocalAirflow:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """
        Make the database, start every component and wait until all are healthy.

        :raises AirflowProblem: if one ends or does not become healthy.
        """
        if not self._keep:
            shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "webserver_config.py").write_text('AUTH_ROLE_PUBLIC = "Admin"\n')  # no login in Airflow 2
        migrate = self._spawn("migrate", ["db", "migrate"])
        if migrate.wait(_STARTUP_SECONDS):
            raise AirflowProblem(f"airflow db migrate failed:\n{self._component_log('migrate')}")
        for name in self.components:
            self.start_component(name)
        self.wait_for("Airflow is healthy", self._is_healthy, _STARTUP_SECONDS)

    def start_component(self, name: str) -> None:
        """
        Start a component, for the first time or again.

        :param name: of :attr:`components`.
        """
        port = ["--port", str(self.port)] if name == "api-server" else []
        self.processes[name] = self._spawn(name, [*self.components[name], *port])

    def kill_component(self, name: str, with_signal: int = signal.SIGKILL) -> None:
        """
        End a component and everything it started.

        :param name: of :attr:`components`.
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
        self.close()

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

    def wait_for(self, what: str, condition: Callable[[], bool], seconds: float = 300) -> None:
        """Wait as the base class does; the error also holds the ends of the components' logs."""
        try:
            super().wait_for(what, condition, seconds)
        except AirflowProblem as problem:
            logs = "\n".join(f"--- {name}\n{self._component_log(name)}" for name in self.processes)
            raise AirflowProblem(f"{problem}\n{logs}") from None

    def _spawn(self, name: str, arguments: Iterable[str]) -> subprocess.Popen[bytes]:
        with (self.home / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                _command(arguments),
                env=self._environment | {"LOGNAME": name},  # so Airflow's database tells who did what
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
            health = self.get("/health" if AIRFLOW_2 else "/monitor/health")
        except requests.RequestException:
            return False
        parts = {"metadatabase", "scheduler", "triggerer"} | (set() if AIRFLOW_2 else {"dag_processor"})
        return all(health.get(part, {}).get("status") == "healthy" for part in parts)


def _command(arguments: Iterable[str]) -> list[str]:
    return [sys.executable, "-m", "airflow", *arguments]


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
