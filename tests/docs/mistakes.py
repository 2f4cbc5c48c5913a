"""Ways to use this package wrongly, each against a Tallyfy of its own."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.notifications.tallyfy import TallyfyNotifier
from airflow_provider_tallyfy.operators.bulk import (
    TallyfyArchiveRunsOperator,
    TallyfyDeleteRunsOperator,
    TallyfyLaunchRunsOperator,
)
from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyApprovalOperator,
    TallyfyArchiveRunOperator,
    TallyfyCompleteTaskOperator,
    TallyfyGetRunOperator,
    TallyfyLaunchProjectOperator,
    TallyfyLaunchRunOperator,
    TallyfyListRunsOperator,
)
from airflow_provider_tallyfy.sandbox import Sandbox
from airflow_provider_tallyfy.sandbox.__main__ import main as serve_sandbox
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyRunStatusSensor
from tests.airflow_driver import deferral, only_event, resume
from tests.contract.hooks.wire import full_backlog
from tests.task_contexts import context_of

RUN_ID = "0123456789abcdef0123456789abcdef"
KICKOFF = [
    {"label": "Company", "field_type": "text", "required": True},
    {"label": "Plan", "field_type": "radio", "options": ["Basic", "Full"]},
    {"label": "Start", "field_type": "date"},
    {"label": "Contact", "field_type": "email", "alias": "contact"},
]
STEPS = [
    {"title": "Collect", "form_fields": [{"label": "Verdict", "field_type": "text"}]},
    "Sign",
    "Sign",
    {"title": "Review", "task_type": "approval"},
]


class Mistakes:
    """
    A Tallyfy with one template and one run, and ways to use it wrongly.

    :param folder: an empty folder.
    :param until_the_end: what is entered here ends with the test.
    """

    def __init__(
        self, tallyfy: Sandbox, monkeypatch: pytest.MonkeyPatch, folder: Path, until_the_end: ExitStack
    ) -> None:
        self.tallyfy = tallyfy
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._until_the_end = until_the_end
        tallyfy.add_template("Onboarding", kickoff=KICKOFF, steps=STEPS)
        tallyfy.add_run(id=RUN_ID, name="Acme")
        self.connect()

    # -- circumstances --------------------------------------------------------------------------------------

    def connect(self, extra: dict[str, Any] | None = None, **fields: Any) -> Mistakes:
        """Give Airflow a connection that differs in some fields, or keys of its extra."""
        connection = self.tallyfy.connection(**{"retry_budget": 0} | (extra or {})) | fields
        self._monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(connection))
        return self

    def as_application(self, **fields: Any) -> Mistakes:
        """Connect with client credentials."""
        return self.connect({"auth": "client_credentials"}, **fields)

    def fault(self, kind: str = "status", **what: Any) -> Mistakes:
        """Let requests fail."""
        self.tallyfy.faults.add(kind, times=None, **what)
        return self

    def archived(self) -> Mistakes:
        """Archive the run, as somebody else does."""
        self.tallyfy.archive_run(RUN_ID)
        return self

    def with_tags(self, *titles: str) -> Mistakes:
        """Add tags."""
        for title in titles:
            self.tallyfy.add_tag(title)
        return self

    def with_problem(self) -> Mistakes:
        """Report a problem on the run's first task."""
        self.tallyfy.add_problem(RUN_ID)
        return self

    def completed(self, task: str, **decision: bool) -> Mistakes:
        """Complete a task of the run."""
        self.tallyfy.complete_task(RUN_ID, task, **decision)
        return self

    @property
    def file(self) -> str:
        """The path of a file with the id of the run."""
        path = self._folder / "runs.jsonl"
        path.write_text(f'{{"id": "{RUN_ID}"}}\n')
        return str(path)

    def closed_port(self) -> str:
        """Give an address where nothing listens."""
        with socket.create_server(("127.0.0.1", 0)) as gone:
            return f"http://127.0.0.1:{gone.getsockname()[1]}"

    def silent_port(self) -> str:
        """Give an address where no connection is accepted."""
        return f"http://127.0.0.1:{self._until_the_end.enter_context(full_backlog())}"

    # -- tasks ----------------------------------------------------------------------------------------------

    def run(self, operator: Any, **arguments: Any) -> Any:
        """Run a task."""
        return operator(task_id="task", **arguments).execute(context_of())

    def on_run(self, operator: Any, **arguments: Any) -> Any:
        """Run a task on the run."""
        return self.run(operator, **{"run_id": RUN_ID} | arguments)

    def get(self, **arguments: Any) -> Any:
        """Read the run."""
        return self.on_run(TallyfyGetRunOperator, **arguments)

    def archive(self, **arguments: Any) -> Any:
        """Archive the run."""
        return self.on_run(TallyfyArchiveRunOperator, **arguments)

    def list(self, **filters: Any) -> Any:
        """List runs."""
        return self.run(TallyfyListRunsOperator, **filters)

    def launch(self, kickoff: Any = None, **arguments: Any) -> Any:
        """Launch a run of the template."""
        values = {"Company": "Acme"} | (kickoff or {})
        return self.run(TallyfyLaunchRunOperator, **{"template_id": "Onboarding", "kickoff": values} | arguments)

    def launch_project(self, **arguments: Any) -> Any:
        """Launch a project."""
        owners = {"users": [self.tallyfy.user["id"]]}
        return self.run(TallyfyLaunchProjectOperator, **{"title": "Move", "owners": owners} | arguments)

    def complete(self, task_name: str = "Collect", **arguments: Any) -> Any:
        """Complete a task of the run."""
        return self.on_run(TallyfyCompleteTaskOperator, task_name=task_name, **arguments)

    def ask(self, **arguments: Any) -> Any:
        """Ask people, and wait for no time at all."""
        people = {} if "template_id" in arguments else {"assignees": {"users": [self.tallyfy.user["id"]]}}
        given = {"subject": "Deploy?", "response_timeout": 0} | people | arguments
        return self.run(TallyfyApprovalOperator, **given)

    def tell(self, **arguments: Any) -> None:
        """Tell people of a failed task."""
        context = context_of()
        context["ti"].start_date = datetime.now(UTC)
        TallyfyNotifier(content="It failed.", **arguments).notify({"dag": None, **context})

    # -- many runs ------------------------------------------------------------------------------------------

    def archive_many(self, *run_ids: Any, **arguments: Any) -> Any:
        """Archive runs."""
        chosen = {"run_ids": list(run_ids)} if run_ids else {}
        return self.run(TallyfyArchiveRunsOperator, **chosen | arguments)

    def delete_many(self, **arguments: Any) -> Any:
        """Delete the run with the operator for many."""
        guards = {"max_runs": 5, "confirm": self.tallyfy.organization_id}
        return self.run(TallyfyDeleteRunsOperator, run_ids=[RUN_ID], **guards | arguments)

    def launch_many(self, rows: Any, **arguments: Any) -> Any:
        """Launch a run for each row."""
        return self.run(TallyfyLaunchRunsOperator, template_id="Onboarding", rows=rows, **arguments)

    # -- waits ----------------------------------------------------------------------------------------------

    def wait(self, sensor: Any = TallyfyRunStatusSensor, **arguments: Any) -> Any:
        """Wait on a worker, for no time at all."""
        return self.on_run(sensor, **{"poke_interval": 0.01, "timeout": 0} | arguments)

    def wait_for_many(self, sensor: Any, **arguments: Any) -> Any:
        """Wait for several runs on a worker, for no time at all."""
        return self.run(sensor, **{"run_ids": [RUN_ID], "poke_interval": 0.01, "timeout": 0} | arguments)

    def misspell(self, sensor: Any, **name: str) -> Any:
        """Wait for what neither the run nor its template has, and see that at the first look."""
        self._monkeypatch.setattr("airflow_provider_tallyfy.waits.name_check._APART", 0)
        return self.wait(sensor, **name)

    def wait_deferred(self) -> Any:
        """Wait in the triggerer, for no time at all."""
        waiting = deferral(self._deferrable())
        return resume(self._deferrable(), waiting, only_event(waiting.trigger))

    def resume_with(self, payload: Any) -> Any:
        """Resume a deferred wait with the event of another version."""
        waiting = deferral(self._deferrable())
        event = only_event(waiting.trigger)
        event.payload = payload
        return resume(self._deferrable(), waiting, event)

    def lose_token_during_a_wait(self) -> None:
        """Revoke the token of a deferred wait before its last look."""
        self.connect({"timeout": 120})  # for the last look, longer than the pause after a refusal
        waiting = deferral(self._deferrable())
        self.tallyfy.revoke_token()
        only_event(waiting.trigger)

    def wait_without_secrets_backend(self) -> Any:
        """Wait on a worker that cannot read Airflow's connections."""

        def fail(*_: Any) -> Any:
            raise OSError("the secrets backend is down")

        self._monkeypatch.setattr("airflow_provider_tallyfy.waits.worker.DEFAULT_RETRY_BUDGET", 0)
        self._monkeypatch.setattr(TallyfyHook, "get_connection", fail)
        return self.wait()

    def _deferrable(self) -> TallyfyRunStatusSensor:
        return TallyfyRunStatusSensor(task_id="task", run_id=RUN_ID, timeout=0, deferrable=True)

    # -- the sandbox's command ------------------------------------------------------------------------------

    def serve_at_a_taken_port(self) -> int:
        """Begin a sandbox where another process listens."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            return serve_sandbox(["--port", str(taken.getsockname()[1])])
