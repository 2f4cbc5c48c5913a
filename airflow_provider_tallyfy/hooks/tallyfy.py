"""The hook: Tallyfy over ``requests``, and the package's public Python API."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cached_property
from itertools import islice
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import requests
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_tallyfy.api import calls, flows
from airflow_provider_tallyfy.api.call import Call, Flow, Pause, T
from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.flows import PROJECTS, KnownNames, LaunchKey, LaunchRequest, ProjectRequest
from airflow_provider_tallyfy.api.flows.driving import Done, advance, first_write
from airflow_provider_tallyfy.api.inputs.checks import (
    checked_count,
    checked_flag,
    checked_id,
    checked_object,
    checked_text,
    checked_time,
    free_text,
    listed,
    moment_before,
    required_organization,
)
from airflow_provider_tallyfy.api.inputs.people import checked_people
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.inputs.queries import RunQuery, refuse_empty
from airflow_provider_tallyfy.api.models.run import Run, RunChange
from airflow_provider_tallyfy.api.outputs import (
    DETAILS,
    ActivityResult,
    CommentResult,
    FormFieldResult,
    NamedResult,
    RunResult,
    TaskResult,
    TitledResult,
    UserResult,
    activity_result,
    changed_task_result,
    comment_result,
    deleted_result,
    field_results,
    named_results,
    run_result,
    task_result,
    titled_results,
    user_results,
)
from airflow_provider_tallyfy.api.retry import Accept, GiveUp, Renew, Retry
from airflow_provider_tallyfy.compat import mask_secret
from airflow_provider_tallyfy.connection import TallyfySettings, explain_missing, read_settings
from airflow_provider_tallyfy.connection_extras import EXTRAS, Extra
from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID
from airflow_provider_tallyfy.hooks import requests_transport
from airflow_provider_tallyfy.hooks.driver import Attempts
from airflow_provider_tallyfy.hooks.redaction import redacted_errors
from airflow_provider_tallyfy.provider_info import UI_FIELD_BEHAVIOR

__all__ = ["NOT_GIVEN", "TallyfyHook"]


class _Missing(Enum):
    NOT_GIVEN = "not given"


#: What an update leaves as it is.
NOT_GIVEN = _Missing.NOT_GIVEN
NotGiven: TypeAlias = Literal[_Missing.NOT_GIVEN]


class TallyfyHook(BaseHook):
    """
    Talk to Tallyfy with the credentials of an Airflow connection.

    One hook keeps one session, and so one TCP connection (one per thread that is using it at the same moment). Close it
    with :meth:`close` or ``with``.

    Methods return plain dicts, which a ``@task`` can return.

    :param tallyfy_conn_id: the Airflow connection, of type ``tallyfy``. Default: ``tallyfy_default``.
    :param organization_id: id of the Tallyfy organization. By default the connection's.
    """

    conn_name_attr = "tallyfy_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "tallyfy"
    hook_name = "Tallyfy"

    def __init__(self, tallyfy_conn_id: str = DEFAULT_CONN_ID, organization_id: str | None = None) -> None:
        super().__init__()
        self.tallyfy_conn_id = tallyfy_conn_id
        self._organization_id = organization_id
        self._session: requests.Session | None = None
        self._fetched_token: str | None = None
        # Lists by which names were resolved, kept for the next.
        self.known_names: KnownNames = {}
        self._lock = threading.RLock()

    # What the connection form shows on Airflow < 3.2; newer versions read the provider's metadata instead.

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """
        Return which standard fields the form shows, and under which names.

        :meta private:
        """
        return {key.replace("-", "_"): value for key, value in UI_FIELD_BEHAVIOR.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """
        Return the form's custom fields; Airflow has no field for a number that need not be whole.

        :meta private:
        """
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from wtforms import BooleanField, IntegerField, StringField
        from wtforms.validators import Optional

        def field(extra: Extra) -> Any:
            known = {"label": extra.label, "description": extra.form_field["description"], "validators": [Optional()]}
            if extra.kind == "flag":
                return BooleanField(**known)
            kind = IntegerField if extra.kind == "count" else StringField
            return kind(**known, widget=BS3TextFieldWidget())

        return {name: field(extra) for name, extra in EXTRAS.items()}

    @cached_property
    def settings(self) -> TallyfySettings:
        """
        The connection, read once, with the hook's organization in place of its own.

        :raises TallyfyConfigurationError: if it is missing, incomplete or malformed.
        :meta private:
        """
        return self.read_settings()

    def read_settings(self) -> TallyfySettings:
        """
        Read the connection as it is now.

        :raises TallyfyConfigurationError: if it is missing, incomplete or malformed.
        :meta private:
        """
        with explain_missing(self.tallyfy_conn_id):
            settings = read_settings(self.get_connection(self.tallyfy_conn_id), self._organization_id)
        for secret in settings.secrets:
            mask_secret(secret)
        return settings

    @property
    def base_url(self) -> str:
        """
        Address of the API, without a slash at the end: where to send requests with :meth:`get_conn`.

        :raises TallyfyConfigurationError: if the connection is missing, incomplete or malformed.
        """
        return self.settings.base_url

    @property
    def organization_id(self) -> str:
        """
        The organization that calls are about.

        :raises TallyfyConfigurationError: if neither the hook nor the connection names one.
        """
        return required_organization(self.settings.organization_id)

    def run_url(self, run_id: str) -> str:
        """
        Address of a run in the Tallyfy web app.

        :param run_id: id of the run.
        :raises TallyfyValidationError: if the id is not usable.
        """
        return self.settings.run_url(self.organization_id, checked_id(run_id))

    def get_conn(self) -> requests.Session:
        """
        Return the authenticated session: token, Tallyfy's headers, and timeouts on every request.

        With client credentials a token is fetched first. The session sends the token only to the host, port and scheme
        of the connection, and not to a webhook, an absolute link or a redirect elsewhere.
        With ``allow_redirects=False`` the response's ``next`` is ``None``.
        If the connection is read-only, the session sends only GET, HEAD and OPTIONS, and raises
        ``TallyfyConfigurationError`` for any other method.

        :raises TallyfyAuthError: if no token is granted.
        """
        session = self._open_session()
        token = self._token(None)
        requests_transport.authorize_session(session, self.settings, token)
        return session

    def close(self) -> None:
        """Close the session and its connection."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def __enter__(self) -> TallyfyHook:
        """Use the hook as a context manager that closes it."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the hook."""
        self.close()

    def test_connection(self) -> tuple[bool, str]:
        """Ask Tallyfy once whose token this is, and say what is wrong if that fails. Used by Airflow's UI."""
        try:
            return True, self.check_connection()
        except TallyfyError as error:
            return False, str(error)

    def check_connection(self) -> str:
        """
        Ask Tallyfy once whose token this is, and say it in a sentence.

        :raises TallyfyError: in the kind of what is wrong.
        """
        with self:
            organization_id = self.settings.organization_id or None
            user = self.execute(calls.current_user(organization_id), retry_budget=0)
        who = f"user {user.get('id', 'unknown')}"
        if organization_id is None:
            return (
                f"The token is accepted, as that of {who}. But the connection names no organization.\n"
                "Every task that does not name one itself will fail. Set organization_id in the extra."
            )
        return f"Connected to organization {organization_id} as {who}."

    def get_run(self, run_id: str, *, raw: bool = False) -> RunResult:
        """
        Read a run, archived or not.

        :param run_id: id of the run.
        :param raw: whether to add everything that Tallyfy sent. Default: ``False``.
        :raises TallyfyNotFoundError: if there is no such run.
        """
        run_id, raw = checked_id(run_id), checked_flag(raw, "raw")
        run = self.execute(flows.find_run(self.organization_id, run_id))
        return run_result(run, self.run_url(run.id), raw=raw)

    def list_runs(
        self,
        *,
        status: str | None = None,
        template_id: str | None = None,
        query: str | None = None,
        tags: Sequence[str] | str | None = None,
        exclude_tags: Sequence[str] | str | None = None,
        owners: Sequence[int | str] | str | None = None,
        folder: str | None = None,
        archived: str = "exclude",
        older_than: timedelta | str | None = None,
        sort: str = "created_at",
        limit: int | str | None = None,
        details: bool = False,
        raw: bool = False,
    ) -> list[RunResult]:
        """
        List runs, by pages of 100.

        If runs leave the list meanwhile, it is read again from the start. Runs that would have been missed come last.

        :param status: only runs in this status: ``active``, ``complete``, ``problem``, ``issue`` or ``archived``.
        :param template_id: only runs of this template: its title or id.
        :param query: only runs whose name matches this text. How it matches is up to Tallyfy.
        :param tags: only runs with one of these tags: titles or ids.
        :param exclude_tags: only runs with none of these tags: titles or ids.
        :param owners: only runs that one of these users owns or has tasks in: e-mail addresses, names or ids.
        :param folder: only runs in this folder: its name or id.
        :param archived: ``exclude``, ``include`` or ``only`` archived runs. Default: ``exclude``.
        :param older_than: only runs that have been in their state for longer than this: a timedelta, or text like
            ``"90d"``. The age counts from completion for ``status="complete"``, from archiving for
            ``archived="only"``, otherwise from launch.
        :param sort: ``name`` or ``created_at``, with ``-`` in front for descending. Default: ``created_at``.
        :param limit: at most this many runs. No more pages are read than needed. By default all runs.
        :param details: whether to add ``template_name``, and ``tags`` by title. Default: ``False``.
        :param raw: whether to add everything that Tallyfy sent. Default: ``False``.
        :raises TallyfyValidationError: if a filter is given and empty (``None`` is one that is not given), or a name is
            unknown or ambiguous.
        :raises TallyfyResponseError: if a page is not readable, the list holds fewer runs than Tallyfy counts, or runs
            keep leaving it.
        """
        raw = checked_flag(raw, "raw")
        filters = {
            "status": status,
            "template_id": template_id,
            "query": query,
            "tags": tags,
            "exclude_tags": exclude_tags,
            "owners": owners,
            "folder": folder,
            "archived": archived,
            "older_than": older_than,
            "sort": sort,
            "limit": limit,
        }
        shown = DETAILS if checked_flag(details, "details") else ()
        runs = self.each_run(filters, includes=("tags",) if shown else ())
        return [run_result(run, self.run_url(run.id), raw=raw, details=shown) for run in runs]

    def each_run(self, filters: Mapping[str, Any], includes: tuple[str, ...] = ()) -> Iterator[Run]:
        """
        Give the runs that :meth:`list_runs` lists, as pages of the list come, for operators and the command line.

        :param filters: arguments of :meth:`list_runs`, by name.
        :param includes: what to show of each run besides its own fields, for example ``tags``. Default: ``()``.
        :raises TallyfyError: in one of its kinds, as :meth:`list_runs`.
        :meta private:
        """
        query = dict(filters)
        own = {name: query.pop(name, None) for name in ("older_than", "limit")}
        refuse_empty({name: value for name, value in own.items() if value is not None})
        before = moment_before(datetime.now(UTC), own["older_than"], "older_than")
        at_most = checked_count(own["limit"], "limit")
        return islice(self._each_run(replace(RunQuery.checked(**query), before=before, includes=includes)), at_most)

    def _each_run(self, wanted: RunQuery) -> Iterator[Run]:
        wanted = self.execute(flows.resolve_filters(self.organization_id, wanted, self.known_names))
        pager = flows.run_pager(self.organization_id, wanted, whole=True)
        with redacted_errors(self._secrets):
            while (call := pager.next_call()) is not None:
                yield from filter(wanted.accepts, pager.accept(self.execute(call)))

    def list_templates(self, *, query: str | None = None, raw: bool = False) -> list[TitledResult]:
        """
        List the templates that are not archived, by pages of 100.

        :param query: only templates whose title matches this text. How it matches is up to Tallyfy.
        :param raw: whether to add everything that Tallyfy sent. Default: ``False``.
        :raises TallyfyResponseError: if the list is incomplete.
        """
        text, raw = None if query is None else checked_text(query, "query"), checked_flag(raw, "raw")
        return titled_results(self.execute(flows.list_catalog(self.organization_id, "templates", text)), raw=raw)

    def list_tags(self, *, raw: bool = False) -> list[TitledResult]:
        """
        List the organization's tags, by pages of 100.

        :param raw: whether to add everything that Tallyfy sent. Default: ``False``.
        :raises TallyfyResponseError: if the list is incomplete.
        """
        raw = checked_flag(raw, "raw")
        return titled_results(self.execute(flows.list_catalog(self.organization_id, "tags")), raw=raw)

    def list_folders(self, *, raw: bool = False) -> list[NamedResult]:
        """
        List the folders for runs, those in other folders included, by pages of 100.

        :param raw: whether to add everything that Tallyfy sent. Default: ``False``.
        :raises TallyfyResponseError: if the list is incomplete.
        """
        raw = checked_flag(raw, "raw")
        return named_results(self.execute(flows.list_catalog(self.organization_id, "folders")), raw=raw)

    def list_groups(self, *, raw: bool = False) -> list[NamedResult]:
        """
        List the organization's groups, by pages of 100.

        :param raw: whether to add everything that Tallyfy sent. Default: ``False``.
        :raises TallyfyResponseError: if the list is incomplete.
        """
        raw = checked_flag(raw, "raw")
        return named_results(self.execute(flows.list_catalog(self.organization_id, "groups")), raw=raw)

    def list_users(self, *, query: str | None = None, raw: bool = False) -> list[UserResult]:
        """
        List the organization's users, by pages of 100.

        :param query: only users whose name or address matches this text. How it matches is up to Tallyfy.
        :param raw: whether to add everything that Tallyfy sent. Default: ``False``.
        :raises TallyfyResponseError: if the list is incomplete.
        """
        text, raw = None if query is None else checked_text(query, "query"), checked_flag(raw, "raw")
        return user_results(self.execute(flows.list_catalog(self.organization_id, "users", text)), raw=raw)

    def with_ids(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """
        Give arguments with ids in place of names of templates, tags, folders, groups and users, for operators.

        Each list that is needed is read once, and kept.

        :param arguments: arguments by their names, such as ``template_id``, ``tags`` or ``owners``.
        :raises TallyfyValidationError: if a name is unknown or ambiguous, with all such names at once.
        :meta private:
        """
        return self.execute(flows.resolve_names(self.organization_id, arguments, self.known_names))

    def archive_run(self, run_id: str) -> RunResult:
        """
        Archive a run. An archived run is a success that changed nothing.

        :param run_id: id of the run.
        :return: the run as it is now; ``changed`` is false if it was archived before.
        :raises TallyfyNotFoundError: if there is no such run.
        """
        return self._changed(flows.archive_run(self.organization_id, checked_id(run_id)))

    def activate_run(self, run_id: str) -> RunResult:
        """
        Restore an archived run. A live run is a success that changed nothing.

        :param run_id: id of the run.
        :return: the run as it is now; ``changed`` is false if it was live before.
        :raises TallyfyNotFoundError: if there is no such run.
        """
        return self._changed(flows.activate_run(self.organization_id, checked_id(run_id)))

    def launch_run(
        self,
        template_id: str,
        *,
        launch_key: str | int | None = None,
        name: str | None = None,
        kickoff: Mapping[str, Any] | str | None = None,
        prerun: Mapping[str, Any] | str | None = None,
        summary: str | None = None,
        owner_id: int | str | None = None,
        user_id: int | str | None = None,
        tags: Sequence[str] | str | None = None,
        folders: Sequence[str] | str | None = None,
        users: Sequence[int | str] | str | None = None,
        groups: Sequence[str] | str | None = None,
        parent_id: str | None = None,
        tasks: Mapping[str, Any] | str | None = None,
        roles: Mapping[str, Any] | str | None = None,
        starred: bool | None = None,
        is_public: bool | None = None,
        publicly_hidden_fields: Sequence[str] | None = None,
        assign_someone_else: bool | None = None,
    ) -> RunResult:
        """
        Launch a run of a template, or adopt the one that was launched with the same key.

        What is ``None`` is not sent, and Tallyfy's own default holds.

        :param template_id: title or id of the template.
        :param launch_key: one run per key and template, which is looked for first. By default every call launches.
        :param name: name of the run, at most 550 characters.
        :param kickoff: kick-off form values by field label, alias or id.
        :param prerun: values by field id in Tallyfy's own encoding, sent as they are. They win over ``kickoff``.
        :param summary: description of the run. The launch's marker is added to it.
        :param owner_id: the user who owns the run: e-mail address, name or id.
        :param user_id: the user who starts the run, of the same organization, likewise. By default the token's user.
        :param tags: titles or ids of tags.
        :param folders: names or ids of folders.
        :param users: users who are assigned to the run: e-mail addresses, names or ids.
        :param groups: names or ids of groups that are assigned to the run.
        :param parent_id: id of the run that this one belongs to.
        :param tasks: deadline and owners by step id, as ``TallyfyLaunchRunOperator`` takes them.
        :param roles: ``{"users": [...], "guests": [...], "groups": [...]}`` by role id.
        :param starred: whether the run is marked with a star.
        :param is_public: whether everybody who has the link sees the run.
        :param publicly_hidden_fields: fields that a public run does not show.
        :param assign_someone_else: sent as it is; Tallyfy does not document it.
        :return: the run; ``changed`` is false if it was adopted.
        :raises TallyfyValidationError: with every problem of the values at once; nothing was launched.
        :raises TallyfyNotFoundError: if there is no such template.
        :raises TallyfyUnknownOutcomeError: if it is not known yet whether it was launched.
        """
        fields = {
            "template_id": template_id,
            "tasks": tasks,
            "name": name,
            "prerun": prerun,
            "summary": summary,
            "owner_id": owner_id,
            "user_id": user_id,
            "tags": tags,
            "folders": folders,
            "users": users,
            "groups": groups,
            "parent_id": parent_id,
            "roles": roles,
            "starred": starred,
            "is_public": is_public,
            "publicly_hidden_fields": publicly_hidden_fields,
            "assign_someone_else": assign_someone_else,
        }
        ids = self.with_ids(fields)
        template_id = checked_id(ids.pop("template_id"), "template_id")
        request = LaunchRequest(template_id, kickoff, ids.pop("tasks"), ids)
        return self._changed(flows.launch_run(self.organization_id, request, _key(launch_key, template_id)))

    def launch_project(
        self,
        title: str,
        owners: Mapping[str, Any],
        deadline: datetime | str,
        *,
        launch_key: str | int | None = None,
        task_kind: str = "task",
        summary: str | None = None,
    ) -> RunResult:
        """
        Launch a run without a template, or adopt the one that was launched with the same key.

        :param title: name of the run and its tasks, at most 600 characters.
        :param owners: ``{"users": [...], "guests": [...], "groups": [...]}``, or some of these; a task for each. Users
            go by e-mail address, name or id, guests by address, groups by name or id.
        :param deadline: when it is due: a datetime, or ISO 8601 text; without a time zone it is UTC.
        :param launch_key: one project per key, which is looked for first. By default every call launches.
        :param task_kind: ``task``, ``approval``, ``expiring``, ``email`` or ``expiring_email``. Default: ``task``.
        :param summary: what is to be done. The launch's marker is added to it.
        :return: the run; ``changed`` is false if it was adopted.
        :raises TallyfyValidationError: with every problem of the values at once; nothing was launched.
        :raises TallyfyUnknownOutcomeError: if it is not known yet whether it was launched.
        """
        owners = self.with_ids({"owners": owners})["owners"]
        body = ProjectRequest(title, owners, deadline, task_kind, summary).body()
        return self._changed(flows.launch_project(self.organization_id, body, _key(launch_key, PROJECTS)))

    def update_run(
        self,
        run_id: str,
        *,
        name: str | NotGiven = NOT_GIVEN,
        summary: str | NotGiven = NOT_GIVEN,
        owner_id: int | str | NotGiven = NOT_GIVEN,
        starred: bool | str | NotGiven = NOT_GIVEN,
        is_public: bool | str | NotGiven = NOT_GIVEN,
        publicly_hidden_fields: Sequence[str] | NotGiven = NOT_GIVEN,
        users: Sequence[int | str] | str | NotGiven = NOT_GIVEN,
        groups: Sequence[str] | str | NotGiven = NOT_GIVEN,
        prerun: Mapping[str, Any] | str | NotGiven = NOT_GIVEN,
    ) -> RunResult:
        """
        Change fields of a run and leave all others as they are, its users and groups included.

        A field that is ``NOT_GIVEN`` stays as it is. ``None`` is a value, and is refused where a field must have one.

        :param run_id: id of the run.
        :param name: the new name.
        :param summary: the new description; the marker by which a launch recognizes its run stays.
        :param owner_id: the user who owns the run from now on: e-mail address, name or id.
        :param starred: whether the run is marked with a star.
        :param is_public: whether everybody who has the link sees the run.
        :param publicly_hidden_fields: fields that a public run does not show.
        :param users: users instead of the current ones: e-mail addresses, names or ids. Only ``[]`` empties them.
        :param groups: names or ids of groups, instead of the current ones. Only ``[]`` empties them.
        :param prerun: kick-off values by field id, in Tallyfy's own encoding. Others stay.
        :return: the run as it is now; ``changed`` is false if it had these values before.
        :raises TallyfyValidationError: if nothing is given, or a value is invalid; nothing was sent.
        :raises TallyfyNotFoundError: if there is no such run.
        :raises TallyfyResponseError: if it does not show what must be kept, or afterwards something is lost or altered.
        """
        fields = {
            "name": name,
            "summary": summary,
            "owner_id": owner_id,
            "starred": starred,
            "is_public": is_public,
            "publicly_hidden_fields": publicly_hidden_fields,
            "users": users,
            "groups": groups,
            "prerun": prerun,
        }
        changes = {field: value for field, value in fields.items() if value is not NOT_GIVEN}
        return self._changed(flows.update_run(self.organization_id, checked_id(run_id), changes, self.known_names))

    def delete_run(
        self, run_id: str, *, confirm: str, archive_first: bool = False, may_be_gone: bool = False
    ) -> RunResult:
        """
        Delete an archived run for good.

        :param run_id: id of the run.
        :param confirm: the run's id or exact name, as a second key.
        :param archive_first: archive a live run on the way. Otherwise it is refused. Default: ``False``.
        :param may_be_gone: whether a missing run is a success, as after an earlier try. Default: ``False``.
        :return: the run as it was, with ``status`` ``deleted``; ``changed`` is false if it was gone before.
        :raises TallyfyValidationError: if ``confirm`` does not fit, or the run is live.
        :raises TallyfyNotFoundError: if there is no such run.
        """
        run_id = checked_id(run_id)
        flow = flows.delete_run(
            self.organization_id,
            run_id,
            confirm=confirm,
            archive_first=checked_flag(archive_first, "archive_first"),
            may_be_gone=checked_flag(may_be_gone, "may_be_gone"),
        )
        change = self.execute(flow)
        return deleted_result(change.run if change else None, run_id, self.run_url(run_id))

    def export_run(self, run_id: str) -> Any:
        """
        Let Tallyfy export a run, and return the JSON of its answer.

        :param run_id: id of the run.
        :raises TallyfyNotFoundError: if there is no such run, or it is archived and Tallyfy does not export those.
        """
        return self.execute(flows.export_run(self.organization_id, checked_id(run_id)))

    def list_tasks(self, run_id: str, *, raw: bool = False) -> list[TaskResult]:
        """
        Read all tasks of a run, hidden ones included.

        :param run_id: id of the run.
        :param raw: whether to add everything that Tallyfy sent. Default: ``False``.
        :raises TallyfyNotFoundError: if there is no such run, or it is archived and Tallyfy does not show its tasks.
        """
        run_id, raw = checked_id(run_id), checked_flag(raw, "raw")
        return [task_result(task, raw=raw) for task in self.execute(flows.list_tasks(self.organization_id, run_id))]

    def complete_task(
        self,
        run_id: str,
        task_name: str,
        is_approved: bool | None = None,
        *,
        answers: Mapping[str, Any] | str | None = None,
        raw: bool = False,
    ) -> TaskResult:
        """
        Fill in the form of a task and complete it. A task that is complete like this is a success that changes nothing.

        :param run_id: id of the task's run.
        :param task_name: id, alias or title of the task.
        :param is_approved: the decision, for approval tasks only.
        :param answers: values by field label, alias or id, encoded by the fields' types. Other fields stay.
        :param raw: whether to add everything that Tallyfy sent. Default: ``False``.
        :raises TallyfyValidationError: with every problem of the answers at once; also if the run is archived, the task
            is complete with other answers, required fields are empty, or somebody reported a problem.
        """
        run_id, name, raw = checked_id(run_id), checked_text(task_name, "task_name"), checked_flag(raw, "raw")
        if is_approved is not None:
            is_approved = checked_flag(is_approved, "is_approved")
        values = checked_object(answers, "answers")
        flow = flows.complete_task(self.organization_id, run_id, name, values, is_approved)
        return changed_task_result(self.execute(flow), raw=raw)

    def reopen_task(self, run_id: str, task_name: str, *, raw: bool = False) -> TaskResult:
        """
        Reopen a completed task. An open one is a success that changes nothing.

        :param run_id: id of the task's run, which must not be archived.
        :param task_name: id, alias or title of the task.
        :param raw: whether to add everything that Tallyfy sent. Default: ``False``.
        :raises TallyfyValidationError: if there is no such task, or the run is archived.
        """
        run_id, name, raw = checked_id(run_id), checked_text(task_name, "task_name"), checked_flag(raw, "raw")
        return changed_task_result(self.execute(flows.reopen_task(self.organization_id, run_id, name)), raw=raw)

    def assign_task(
        self,
        run_id: str,
        task_name: str,
        *,
        users: Sequence[int | str] | None = None,
        guests: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        replace: bool = False,
        raw: bool = False,
    ) -> TaskResult:
        """
        Assign a task to more people, or to others. Kinds of people that are not named stay as they are.

        :param run_id: id of the task's run, which must not be archived.
        :param task_name: id, alias or title of the task.
        :param users: e-mail addresses, names or ids of users.
        :param guests: e-mail addresses of guests.
        :param groups: names or ids of groups.
        :param replace: whether they take the place of those of their kind who are assigned now; ``[]`` then takes all
            of that kind off. Default: ``False``, which adds.
        :param raw: whether to add everything that Tallyfy sent. Default: ``False``.
        :raises TallyfyValidationError: if nobody is named, there is no such task, or the run is archived.
        :raises TallyfyResponseError: if the task does not show who is assigned now, or afterwards.
        """
        run_id, name, raw = checked_id(run_id), checked_text(task_name, "task_name"), checked_flag(raw, "raw")
        named = self.with_ids({"users": users, "guests": guests, "groups": groups})
        people = {kind: checked_people({kind: each}, kind)[kind] for kind, each in named.items() if each is not None}
        if not people:
            raise invalid("users", None, "is missing, and so are guests and groups", "Name whom to assign.")
        replaces = checked_flag(replace, "replace")
        flow = flows.assign_task(self.organization_id, run_id, name, people, replaces=replaces)
        return changed_task_result(self.execute(flow), raw=raw)

    def get_form_values(self, run_id: str) -> dict[str, Any]:
        """
        Read what people have filled in, as plain values by label.

        Fields of the same label are told apart by their step, as in ``Notes (Legal review)``. Dates are ISO 8601 text,
        options are text, tables are lists of rows, people have ``id``, ``name`` and ``email``, files ``name`` and
        ``url``. A field that is empty or hidden is ``None``. :meth:`list_form_fields` gives the values as Tallyfy
        stores them.

        :param run_id: id of the run.
        :raises TallyfyNotFoundError: if there is no such run, or it is archived and Tallyfy does not show its tasks.
        """
        answers = self.execute(flows.get_answers(self.organization_id, checked_id(run_id)))
        return dict(answers.by_label)

    def list_form_fields(self, run_id: str) -> list[FormFieldResult]:
        """
        Read the fields of a run's forms with what people have filled in, the kick-off form first.

        :param run_id: id of the run.
        :raises TallyfyNotFoundError: if there is no such run, or it is archived and Tallyfy does not show its tasks.
        """
        run_id = checked_id(run_id)
        return field_results(self.execute(flows.get_form_values(self.organization_id, run_id)))

    def list_activity(
        self,
        run_id: str,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        verbs: Sequence[str] | str = (),
    ) -> list[ActivityResult]:
        """
        Read the audit trail of a run, the oldest entry first.

        :param run_id: id of the run.
        :param since: only entries from this moment on: a datetime, or ISO 8601 text; without a time zone it is UTC.
        :param until: only entries before this moment, likewise.
        :param verbs: only entries with one of these verbs: a list, or text with commas. Default: ``()``, which is all.
        :raises TallyfyValidationError: if there is no such verb.
        :raises TallyfyNotFoundError: if there is no such run, or it is archived and Tallyfy hides its activity.
        """
        run_id = checked_id(run_id)
        since, until = checked_time(since, "since"), checked_time(until, "until")
        chosen = listed(verbs, "verbs")
        entries = self.execute(flows.list_activity(self.organization_id, run_id, since, until, chosen))
        return [activity_result(entry) for entry in entries]

    def add_comment(
        self,
        run_id: str,
        content: str,
        *,
        task_id: str | None = None,
        problem: bool = False,
        comment_key: str | int | None = None,
    ) -> CommentResult:
        """
        Comment on a run or on one of its tasks, or report a problem there.

        :param run_id: id of the run, which must not be archived.
        :param content: the words. A marker is added to them, by which a later call finds the comment.
        :param task_id: id of the task. By default the run itself.
        :param problem: whether to report a problem, which holds the run until somebody resolves it. Default:
            ``False``.
        :param comment_key: one comment per run or task and key, which is looked for first. By default every call
            comments.
        :return: the comment; ``changed`` is false if it was there before.
        :raises TallyfyValidationError: if the content or the key is empty.
        :raises TallyfyNotFoundError: if there is no such run or task, or the run is archived.
        :raises TallyfyUnknownOutcomeError: if it is not known yet whether the comment is there. A later try finds out.
        """
        run_id, problem = checked_id(run_id), checked_flag(problem, "problem")
        if task_id is not None:
            task_id = checked_id(task_id, "task_id")
        content = free_text(content, "content", may_be_empty=False)
        key = LaunchKey(uuid4().hex, pages=0)
        if comment_key is not None:
            key = LaunchKey("/".join(("comment", run_id, task_id or "", checked_text(comment_key, "comment_key"))))
        flow = flows.comment(self.organization_id, run_id, content, key, task_id=task_id, problem=problem)
        return comment_result(self.execute(flow), run_id, task_id)

    def add_tag(self, run_id: str, tag_id: str) -> bool:
        """
        Put a tag on a run.

        :param run_id: id of the run, which must not be archived.
        :param tag_id: title or id of the tag.
        :return: whether the tag is new; false if the run had it before.
        :raises TallyfyNotFoundError: if there is no such run.
        :raises TallyfyUnknownOutcomeError: if it is not known yet whether the tag is there. A later try finds out.
        """
        run_id, tag_id = checked_id(run_id), checked_id(self.with_ids({"tag_id": tag_id})["tag_id"], "tag_id")
        return self.execute(flows.change_tags(self.organization_id, run_id, add=[tag_id])).changed

    def remove_tag(self, run_id: str, tag_id: str) -> bool:
        """
        Take a tag off a run.

        :param run_id: id of the run.
        :param tag_id: title or id of the tag.
        :return: whether the run had the tag.
        :raises TallyfyNotFoundError: if there is no such run.
        """
        run_id, tag_id = checked_id(run_id), checked_id(self.with_ids({"tag_id": tag_id})["tag_id"], "tag_id")
        return self.execute(flows.change_tags(self.organization_id, run_id, remove=[tag_id])).changed

    def execute(self, work: Call[T] | Flow[T], *, retry_budget: float | None = None) -> T:
        """
        Carry out a call of ``api.calls`` or a flow of ``api.flows``.

        :param work: the call or flow.
        :param retry_budget: seconds within which each call may be repeated; by default the connection's.
        :raises TallyfyError: in one of its kinds.
        :meta private:
        """
        with redacted_errors(self._secrets):
            if isinstance(work, Call):
                return self._send(work, retry_budget)
            return self._drive(work, retry_budget)

    def first_write(self, flow: Flow[Any]) -> Call[Any] | None:
        """
        Carry out a flow up to the first request that would change something, and do not send that one.

        :param flow: the flow.
        :return: that request, or ``None`` if nothing would change.
        :raises TallyfyError: in one of its kinds.
        :meta private:
        """
        return self.execute(first_write(flow))

    def _changed(self, flow: Flow[RunChange]) -> RunResult:
        change = self.execute(flow)
        return run_result(change.run, self.run_url(change.run.id), changed=change.changed)

    def _drive(self, flow: Flow[T], budget: float | None) -> T:
        step = advance(flow)
        while not isinstance(step, Done):
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                step = advance(flow)
                continue
            try:
                reply = self._send(step, budget)
            except TallyfyError as error:
                step = advance(flow, error=error)
            else:
                step = advance(flow, reply)
        return step.value

    def _send(self, call: Call[T], budget: float | None) -> T:
        attempts = Attempts(call, self.settings, budget)
        while True:
            token = self._bearer(call, budget)
            outcome = requests_transport.exchange(self._open_session(), self.settings, call, token)
            match attempts.judge(outcome, token):
                case Accept(value):
                    return value
                case Retry(after, error):
                    attempts.failed(error)
                    self.log.warning("%s\nTrying again in %.1f s.", error, after)
                    time.sleep(after)
                case Renew(error):
                    if not self._has_another_token(token):
                        raise error
                    self.log.info("Tallyfy no longer accepts the token; using a new one.")
                    attempts.token_was_renewed()
                case GiveUp(error):
                    raise error

    def _secrets(self) -> tuple[str, ...]:
        settings: TallyfySettings | None = vars(self).get("settings")  # an error may come before the connection is read
        return (*settings.secrets, self._fetched_token or "") if settings else ()

    def _open_session(self) -> requests.Session:
        with self._lock:
            if self._session is None:
                self._session = requests_transport.new_session(self.settings)
            return self._session

    def _bearer(self, call: Call[Any], budget: float | None) -> str:
        if call.bearer is None:
            return self._token(budget)
        if call.bearer:
            mask_secret(call.bearer)
        return call.bearer

    def _token(self, budget: float | None) -> str:
        credentials = self.settings.credentials
        if isinstance(credentials, str):
            return credentials
        with self._lock:
            if self._fetched_token is None:
                flow = flows.new_token(credentials, self.settings.organization_id)
                self._fetched_token = self._drive(flow, budget)
                mask_secret(self._fetched_token)
            return self._fetched_token

    def _has_another_token(self, refused: str) -> bool:
        """Whether a token can be fetched, or was put into the connection, in place of one that Tallyfy refused."""
        with self._lock:
            if not isinstance(self.settings.credentials, str):
                if self._fetched_token == refused:  # another thread may have renewed it already
                    self._fetched_token = None
                return True
            if self.settings.credentials == refused:
                try:
                    now = self.read_settings()
                except Exception:  # noqa: BLE001 - what Tallyfy answered is what the user has to know
                    return False
                if self.settings.is_but_for_credentials(now):
                    self.settings = now
            return self.settings.credentials != refused


def _key(launch_key: str | int | None, scope: str) -> LaunchKey:
    if launch_key is None:
        return LaunchKey(uuid4().hex, pages=0)
    return LaunchKey.given(launch_key, scope)
