"""What the demonstration and the tests ask of a running Airflow: its REST API, in the words of those who write DAGs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import requests

#: Whether this is Airflow 2, which has an older REST API.
AIRFLOW_2 = version("apache-airflow").startswith("2.")

_BASE = "/api/v1" if AIRFLOW_2 else "/api/v2"
_FINISHED = frozenset({"success", "failed"})

# A guard against waiting for ever, not a measure of speed.
_LONGEST = 600.0
_POLL_SECONDS = 0.5


class AirflowProblem(Exception):
    """Something in Airflow did not come out as it should; the message says what, and what its logs hold of it."""


class AirflowApi:
    """
    A running Airflow, through its REST API; who asks needs no password.

    :param url: where its UI and API are.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    @property
    def version(self) -> str:
        """Of Airflow."""
        return str(self.get("/version")["version"])

    def get(self, path: str, **params: Any) -> Any:
        """
        Ask the REST API.

        :param path: below ``/api/v2``, or ``/api/v1`` of Airflow 2.
        :param params: query parameters.
        """
        return self._request("GET", path, params=params)

    def post(self, path: str, body: Any) -> Any:
        """
        Tell the REST API something.

        :param path: below ``/api/v2``, or ``/api/v1`` of Airflow 2.
        :param body: JSON.
        """
        return self._request("POST", path, json=body)

    def patch(self, path: str, body: Any) -> Any:
        """
        Change something through the REST API.

        :param path: below ``/api/v2``, or ``/api/v1`` of Airflow 2.
        :param body: JSON.
        """
        return self._request("PATCH", path, json=body)

    def _request(self, method: str, path: str, **options: Any) -> Any:
        response = self._send(method, _BASE + path, **options)
        if response.status_code == 401:  # Airflow 3.0 and 3.1 want a token even where everybody may do everything
            token = self._send("GET", "/auth/token").json()["access_token"]
            self._session.headers["Authorization"] = f"Bearer {token}"
            response = self._send(method, _BASE + path, **options)
        if response.status_code >= 400:
            raise requests.HTTPError(f"{method} {path}: {response.status_code} {response.text[:500]}")
        return response.json() if response.content else None

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Accept": "application/json"}
        return self._session.request(method, self.url + path, timeout=60, headers=headers, **options)

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

        self.wait_for(f"there are {', '.join(sorted(wanted))}", all_there, _LONGEST)
        for dag_id in wanted:
            self.patch(f"/dags/{dag_id}", {"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """
        Start a DAG run and give its id; the scheduler does the rest.

        :param dag_id: the DAG.
        :param conf: its params.
        """
        when = {} if AIRFLOW_2 else {"logical_date": None}
        run = self.post(f"/dags/{dag_id}/dagRuns", when | {"conf": dict(conf or {})})
        return str(run["dag_run_id"])

    def wait_for_scheduled_run(self, dag_id: str, seconds: float = _LONGEST) -> str:
        """
        Wait until a DAG's schedule has started a DAG run, and give the id of the first.

        :param dag_id: the DAG.
        :param seconds: how long it may take.
        :raises AirflowProblem: if it takes longer.
        """
        runs: list[dict[str, Any]] = []

        def has_started() -> bool:
            found = self.get(f"/dags/{dag_id}/dagRuns", order_by="id")["dag_runs"]
            runs[:] = [run for run in found if run["run_type"] == "scheduled"]
            return bool(runs)

        self.wait_for(f"the schedule of {dag_id} starts it", has_started, seconds)
        return str(runs[0]["dag_run_id"])

    def dag_run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a DAG run."""
        return str(self.get(f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")["state"])

    def wait_for_dag_run(
        self, dag_id: str, run_id: str, seconds: float = _LONGEST, watch: Callable[[], object] = lambda: None
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
            return self.dag_run_state(dag_id, run_id) in _FINISHED

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
        self, dag_id: str, run_id: str, satisfied: Callable[[list[dict[str, Any]]], bool], seconds: float = _LONGEST
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
        if AIRFLOW_2:  # it has no links of mapped tasks
            return dict(self.get(path))
        return dict(self.get(path, map_index=map_index)["extra_links"])

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task, so that it runs again."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        self.post(f"/dags/{dag_id}/clearTaskInstances", body | {"reset_dag_runs": True})

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
        """Return the log of a try of a task instance, one line an event."""
        path = f"{self._task_path(dag_id, run_id, task_id)}/logs/{try_number}"
        content = self.get(path, map_index=map_index, full_content="true")["content"]
        return str(content) if AIRFLOW_2 else "\n".join(_log_line(entry) for entry in content)

    def failures(self, dag_id: str, run_id: str) -> list[str]:
        """Return the log of the last try of every failed task instance of a DAG run."""
        failed = [task for task in self.task_instances(dag_id, run_id) if task["state"] == "failed"]
        logs = [self.task_log(dag_id, run_id, t["task_id"], t["try_number"], t["map_index"]) for t in failed]
        return [f"{task['task_id']} failed:\n{log}" for task, log in zip(failed, logs, strict=True)]

    def _task_path(self, dag_id: str, run_id: str, task_id: str) -> str:
        return f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}"

    def wait_for(self, what: str, condition: Callable[[], bool], seconds: float = _LONGEST) -> None:
        """
        Wait until something is so.

        :param what: a sentence, for the error.
        :param condition: asked again and again.
        :param seconds: how long it may take.
        :raises AirflowProblem: if it takes longer.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AirflowProblem(f"Waited {seconds:.0f} s in vain until {what}.")
            time.sleep(_POLL_SECONDS)


def _log_line(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        return str(entry)
    details = entry.get("error_detail") or []
    causes = [f"{detail.get('exc_type')}: {detail.get('exc_value')}" for detail in details]
    return " ".join([str(entry.get("event", "")), *causes])
