"""One API request, as the endpoints see it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from airflow_provider_tallyfy.sandbox.ids_and_times import Json
from airflow_provider_tallyfy.sandbox.process import Run
from airflow_provider_tallyfy.sandbox.responses import Answer, forbidden, invalid, missing

if TYPE_CHECKING:
    from airflow_provider_tallyfy.sandbox.behavior import Behavior
    from airflow_provider_tallyfy.sandbox.state import SandboxState
    from airflow_provider_tallyfy.sandbox.store import Store


def query_pairs(raw: str) -> list[tuple[str, str]]:
    """Split a query string; only ``%20`` is a space, a ``+`` is a plus, as on the real API."""
    parts = (part.partition("=") for part in raw.split("&") if part)
    return [(unquote(name), unquote(value)) for name, _, value in parts]


@dataclass
class Call:
    """A request to one endpoint."""

    state: SandboxState
    path: str
    params: dict[str, str]
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes
    user_id: int = 0

    @property
    def store(self) -> Store:
        """The organization's data."""
        return self.state.store

    @property
    def behavior(self) -> Behavior:
        """The answers to the open questions."""
        return self.state.behavior

    def json(self) -> Json:
        """Return the body as an object, which is empty if the body is."""
        try:
            value = json.loads(self.body) if self.body.strip() else {}
        except ValueError:
            value = None
        if isinstance(value, dict):
            return value
        raise invalid({"body": ["The request body must be a JSON object."]})

    def any_run(self) -> Run:
        """Return the run the path names, archived or not; 404 if it does not exist."""
        run = self.store.runs.get(self.params["run"])
        if run is None:
            raise missing()
        return run

    def run(self) -> Run:
        """Return the run the path names; archived ones only where this sandbox shows them."""
        run = self.any_run()
        if run.archived and not self.behavior.archived_visible_to_get:
            raise missing()
        return run

    def run_with_children(self) -> Run:
        """Return the run the path names, if its tasks can be read."""
        run = self.any_run()
        if run.archived and not self.behavior.archived_children_visible:
            raise missing()
        return run

    def task(self, run: Run, task_id: object) -> Json:
        """Return a task of a run; 404 if it does not exist."""
        task = run.task(str(task_id))
        if task is None:
            raise missing()
        return task

    def require_role(self, *roles: str) -> None:
        """Refuse a caller who has none of these roles."""
        user = self.store.users.get(self.user_id)
        if user is not None and user["role"] not in roles:
            raise forbidden("You do not have permission to perform this action.")


Handler = Callable[[Call], Answer]
