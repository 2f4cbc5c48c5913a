"""Everything one sandbox is: its organization, its behavior, its faults, and what was asked of it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from airflow_provider_tallyfy.sandbox import seeds
from airflow_provider_tallyfy.sandbox.accepted_credentials import Credentials, Token
from airflow_provider_tallyfy.sandbox.behavior import Behavior
from airflow_provider_tallyfy.sandbox.faults import Faults, RateLimit
from airflow_provider_tallyfy.sandbox.ids_and_times import Clock, Json, new_id
from airflow_provider_tallyfy.sandbox.process import Run
from airflow_provider_tallyfy.sandbox.store import Store


@dataclass(frozen=True)
class RecordedRequest:
    """A request the API got.

    :param method: HTTP method.
    :param path: Path as sent, prefix and percent-encoding included.
    :param query: Decoded query parameters in order.
    :param raw_query: Query string as sent.
    :param headers: Headers with lowercase names.
    :param body: Body as sent.
    """

    method: str
    path: str
    query: list[tuple[str, str]]
    raw_query: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body read as JSON."""
        return json.loads(self.body)


class Connections:
    """The TCP connections clients opened."""

    def __init__(self) -> None:
        self.opened = 0
        self.open: dict[tuple[str, int], asyncio.Transport] = {}


class SandboxState:
    """The state behind the endpoints. Every method may be called from any thread."""

    #: The faults that are switched on: ``sandbox.faults.add("status", status=503)``.
    faults: Faults
    #: The requests that the API got, the oldest first.
    requests: list[RecordedRequest]
    #: How it answers open questions.
    behavior: Behavior
    #: Seconds by which every answer is delayed.
    latency: float
    #: The organization.
    organization_id: str
    #: A personal access token.
    token: str

    def __init__(
        self,
        behavior: Behavior | str = "lenient",
        *,
        organization_id: str | None = None,
        token: str | None = None,
        seed: Json | None = None,
        prefix: str = "/api",
    ) -> None:
        self.lock = threading.RLock()
        self.connections = Connections()
        self.faults = Faults()
        self.prefix = prefix
        self.reset(behavior, organization_id=organization_id, token=token, seed=seed)

    def reset(
        self,
        behavior: Behavior | str = "lenient",
        *,
        organization_id: str | None = None,
        token: str | None = None,
        seed: Json | None = None,
    ) -> None:
        """Start again with another organization, no faults and nothing recorded.

        :param behavior: ``lenient``, ``strict`` or a :class:`Behavior`.
        :param organization_id: 32 hexadecimal digits; random by default.
        :param token: The personal access token; random by default.
        :param seed: What the organization holds at the start, as for :meth:`load`; nothing by default.
        """
        with self.lock:
            self.faults.clear()
            self.reset_connection_count()
            self.behavior = Behavior.named(behavior) if isinstance(behavior, str) else behavior
            self.organization_id = organization_id or new_id()
            self.clock = Clock()
            self.latency = 0.0
            self.requests = []
            self.limiter: RateLimit | None = None
            self._hidden_template: Json | None = None
            self.credentials = Credentials(self.clock)
            self.store = Store(self.clock)
            self.user = self.store.add_user("ada.service@sandbox.example", "Ada Service")
            self.token = self.credentials.issue("personal", self.user["id"], text=token)
            if seed is not None:
                self.load(seed)

    def save(self, path: Path) -> None:
        """Write what the organization holds, and what it accepts as credentials, to a file for :meth:`load_saved`.

        :param path: The file; one that exists is replaced.
        """
        with self.lock:
            saved = {
                "organization_id": self.organization_id,
                "user_id": self.user["id"],
                "token": self.token,
                "client": [self.client_id, self.client_secret],
                "tokens": [asdict(token) | {"text": text} for text, token in self.credentials.tokens.items()],
                "hidden_template": self._hidden_template and self._hidden_template["id"],
                "clock_ahead": self.clock.ahead,
                "store": self.store.contents(),
            }
            text = json.dumps(saved)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(text)
        new.replace(path)

    def load_saved(self, path: Path) -> None:
        """Hold what :meth:`save` wrote, instead of anything else. Behavior, faults and recorded requests are not saved.

        :param path: The file.
        :raises SeedError: If the file holds no saved sandbox.
        """
        with self.lock:
            try:
                saved = json.loads(path.read_bytes())
                store = Store(self.clock)
                store.fill(saved["store"])
                self.store, self.user = store, store.users[saved["user_id"]]
                self.organization_id, self.token = saved["organization_id"], saved["token"]
                self.credentials.client_id, self.credentials.client_secret = saved["client"]
                self.credentials.tokens = {token.pop("text"): Token(**token) for token in saved["tokens"]}
                self.clock.ahead = saved["clock_ahead"]
                self._hidden_template = store.templates.get(saved["hidden_template"])
            except (OSError, ValueError, LookupError, TypeError) as error:
                raise seeds.SeedError(f"{path} holds no saved sandbox ({error}). Delete it to begin anew.") from error

    # -- users and tokens --------------------------------------------------------------------------------------

    @property
    def client_id(self) -> str:
        """Client id of the application that may ask for tokens."""
        return self.credentials.client_id

    @property
    def client_secret(self) -> str:
        """Client secret of that application."""
        return self.credentials.client_secret

    @property
    def user_email(self) -> str:
        """Email address of the member whose token is ``token``."""
        return str(self.user["email"])

    @property
    def user_role(self) -> str:
        """Role of that member: ``admin``, ``standard`` or ``light``."""
        return str(self.user["role"])

    @user_role.setter
    def user_role(self, role: str) -> None:
        self.user["role"] = role

    def issue_token(self, lifetime: float | None = None) -> str:
        """Make another personal access token, and return it.

        :param lifetime: Seconds until it expires; None for never.
        """
        with self.lock:
            return self.credentials.issue("personal", self.user["id"], lifetime)

    def revoke_token(self, token: str | None = None) -> None:
        """Make a token invalid, as logging out of the web app does.

        :param token: The token; every token by default.
        """
        with self.lock:
            self.credentials.revoke(token)

    # -- how it behaves -----------------------------------------------------------------------------------

    @property
    def rate_limit(self) -> tuple[int, float] | None:
        """So many requests in so many seconds; None for no limit."""
        return (self.limiter.requests, self.limiter.seconds) if self.limiter else None

    @rate_limit.setter
    def rate_limit(self, limit: tuple[int, float] | None) -> None:
        self.limiter = RateLimit(*limit, self.clock) if limit else None

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock forward: scheduled completions, tokens and the rate limit follow it.

        :param seconds: How far.
        """
        self.clock.ahead += seconds

    # -- what the organization holds ----------------------------------------------------------------------

    def load(self, seed: Json) -> None:
        """Add templates, tags and runs: ``{"templates": [...], "tags": [...], "runs": [...]}``.

        :param seed: Templates and runs are objects with the arguments of :meth:`add_template` and
            :meth:`add_run`; tags are titles.
        """
        loaders: dict[str, Callable[[Any], object]] = {
            "templates": lambda template: self.add_template(**template),
            "tags": self.add_tag,
            "runs": lambda run: self.add_run(**run),
        }
        with self.lock:
            seeds.load(seed, loaders)

    def add_template(self, title: str = "Generic review", **fields: Any) -> Json:
        """Add a template, and return it as the API shows it.

        :param title: Its title.
        :param fields: ``kickoff``: its kick-off fields, with ``label``, ``field_type`` and, where they apply,
            ``required``, ``options`` (texts or objects) and ``columns``. ``steps``: titles, or objects with
            ``title``, ``task_type`` and ``form_fields``. ``complete_after``: its runs complete after so many
            seconds of being live. ``archived``: whether it is archived. Further fields of the template,
            such as ``id``. Ids and aliases that are not given are made up.
        """
        with self.lock:
            return self.store.add_template(title, **fields)

    def add_tag(self, title: str) -> Json:
        """Add a tag, and return it.

        :param title: Its title.
        """
        with self.lock:
            return self.store.add_tag(title)

    def add_user(self, email: str, full_name: str = "Sam Member", role: str = "standard") -> Json:
        """Add a member, and return it as the API shows it.

        :param email: Email address.
        :param full_name: First and last name.
        :param role: ``admin``, ``standard`` or ``light``.
        """
        with self.lock:
            return self.store.add_user(email, full_name, role)

    def add_group(self, name: str) -> Json:
        """Add a group, and return it.

        :param name: Its name.
        """
        with self.lock:
            return self.store.add_group(name)

    def add_folder(self, name: str, parent_id: str | None = None, folder_type: str = "run") -> Json:
        """Add a folder, and return it.

        :param name: Its name.
        :param parent_id: Id of the folder that it is in.
        :param folder_type: ``run``, or ``checklist`` for a folder that holds templates.
        """
        with self.lock:
            return self.store.add_folder(name, parent_id, folder_type)

    def add_run(self, template: str | None = None, **fields: Any) -> Json:
        """Add a run, and return it as :meth:`run` does.

        :param template: Id or title of its template; the first template by default.
        :param fields: ``complete_after``: the run completes after so many seconds of being live. ``archived``:
            whether it is archived. ``tags``: ids or titles. ``steps``: ids of the steps that get tasks; all by
            default. Further fields of the run; a moment may be an age such as ``"3 days ago"``.
        """
        with self.lock:
            return self._add_run(template, fields).snapshot()

    def add_runs(self, count: int, template: str | None = None, **fields: Any) -> list[str]:
        """Add many runs, and return their ids.

        :param count: How many.
        :param template: Id or title of their template; the first template by default.
        :param fields: As for :meth:`add_run`; the name gets a number.
        """
        name = fields.pop("name", "Run")
        with self.lock:
            numbers = range(1, count + 1)
            return [self._add_run(template, fields | {"name": f"{name} {number}"}).id for number in numbers]

    def _add_run(self, template: str | None, fields: Json) -> Run:
        known = [t for t in self.store.templates.values() if t is not self._hidden_template]
        if template is not None:
            parent = self.store.template(template)
        else:
            parent = known[0] if known else self.store.add_template("Generic review")
        tags = [self._tag_id(tag) for tag in fields.get("tags", ())]
        return self.store.add_run(parent, **fields | {"tags": tags})

    def _tag_id(self, wanted: str) -> str:
        titled = (tag["id"] for tag in self.store.tags.values() if tag["title"] == wanted)
        return wanted if wanted in self.store.tags else next(titled, None) or self.store.add_tag(wanted)["id"]

    def hidden_template(self) -> Json:
        """Return the system template of template-less runs.

        :meta private:
        """
        if self._hidden_template is None:
            self._hidden_template = self.store.add_template("MISC", steps=(), archived=True)
        return self._hidden_template

    def run(self, run_id: str) -> Json:
        """Return a run as it is stored, with its ``tasks``, ``threads`` and ``tags``; a KeyError if it does not exist.

        :param run_id: Id of the run.
        """
        with self.lock:
            self.store.complete_due_runs()
            return self.store.find(run_id).snapshot()

    @property
    def runs(self) -> list[Json]:
        """Every run as it is stored, in the order they were added."""
        with self.lock:
            self.store.complete_due_runs()
            return [run.snapshot() for run in self.store.runs.values()]

    def complete_run(self, run_id: str, after: float | None = None) -> None:
        """Complete a run.

        :param run_id: Id of the run.
        :param after: Seconds of being live after which it completes; at once by default.
        """
        with self.lock:
            self.store.complete(self.store.find(run_id), after=after)

    def archive_run(self, run_id: str) -> None:
        """Archive a run, as somebody else would.

        :param run_id: Id of the run.
        """
        with self.lock:
            run = self.store.find(run_id)
            if not run.archived:
                self.store.archive(run)

    def restore_run(self, run_id: str) -> None:
        """Restore a run, as somebody else would.

        :param run_id: Id of the run.
        """
        with self.lock:
            run = self.store.find(run_id)
            if run.archived:
                self.store.restore(run)

    def delete_run(self, run_id: str) -> None:
        """Delete a run for good, as somebody else would.

        :param run_id: Id of the run.
        """
        with self.lock:
            self.store.delete(self.store.find(run_id))

    def update_run(self, run_id: str, **fields: Any) -> None:
        """Change fields of a run, as somebody else would; also to what Tallyfy never sends.

        :param run_id: Id of the run.
        :param fields: New values, for example ``status="brand-new"``.
        """
        with self.lock:
            self.store.change(self.store.find(run_id), fields)

    def add_problem(self, run_id: str, content: str = "Something is wrong", *, on_run: bool = False) -> str:
        """Report a problem on a run's first task, or an issue on the run itself; return the id of its thread.

        :param run_id: Id of the run.
        :param content: What is wrong.
        :param on_run: Whether it is about the run itself (status ``issue`` instead of ``problem``).
        """
        with self.lock:
            run = self.store.find(run_id)
            task = None if on_run or not run.tasks else run.tasks[0]
            return str(run.open_issue(content, self.store.now(), self.user["id"], task)["id"])

    def resolve_problems(self, run_id: str) -> None:
        """Resolve everything reported on a run.

        :param run_id: Id of the run.
        """
        with self.lock:
            run = self.store.find(run_id)
            for thread in run.threads:
                run.resolve(thread, self.store.now())

    def complete_task(self, run_id: str, task: str, approved: bool | None = None) -> None:
        """Complete one task of a run.

        :param run_id: Id of the run.
        :param task: Id, alias or title of the task.
        :param approved: Whether an approval is given or refused.
        """
        with self.lock:
            run, now = self.store.find(run_id), self.store.now()
            found = next(t for t in run.tasks if task in (t["id"], t["alias"], t["title"]))
            run.complete_task(found, now, self.user["id"], approved)
            run.refresh(now)

    @property
    def webhooks(self) -> list[Json]:
        """The webhooks Tallyfy would have fired."""
        return self.store.webhooks

    def clear_requests(self) -> None:
        """Forget the recorded requests."""
        self.requests.clear()

    def reset_connection_count(self) -> None:
        """Count connections from zero again."""
        self.connections.opened = 0
