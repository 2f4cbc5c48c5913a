"""The hook: Tallyfy over ``requests``, and the package's public Python API."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import requests
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_tallyfy.api import calls, flows
from airflow_provider_tallyfy.api.call import Call, Flow, Pause, T
from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.api.flows.driving import Done, advance, first_write
from airflow_provider_tallyfy.api.inputs.checks import checked_count, checked_flag, checked_id, required_organization
from airflow_provider_tallyfy.api.inputs.queries import RunQuery
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.api.results import RunResult, run_result
from airflow_provider_tallyfy.api.retry import Accept, GiveUp, Renew, Retry
from airflow_provider_tallyfy.compat import mask_secret
from airflow_provider_tallyfy.connection import TallyfySettings, defined, read_settings
from airflow_provider_tallyfy.connection_extras import EXTRAS
from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID
from airflow_provider_tallyfy.hooks import requests_transport
from airflow_provider_tallyfy.hooks.driver import Attempts
from airflow_provider_tallyfy.hooks.redaction import redacted_errors
from airflow_provider_tallyfy.hooks.runs import RunMethods, argument
from airflow_provider_tallyfy.provider_info import UI_FIELD_BEHAVIOR


class TallyfyHook(RunMethods, BaseHook):
    """
    Talk to Tallyfy with the credentials of an Airflow connection.

    One hook keeps one session, and so one TCP connection (one per thread that is using it at the same moment); close it
    with :meth:`close` or ``with``.

    :param tallyfy_conn_id: the Airflow connection, of type ``tallyfy``.
    :param organization_id: the Tallyfy organization; by default the connection's.
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
        self._lock = threading.RLock()

    # What the connection form shows on Airflow < 3.2; newer versions read the provider's metadata instead.

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return which standard fields the form shows, and under which names."""
        return {key.replace("-", "_"): value for key, value in UI_FIELD_BEHAVIOR.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's custom fields."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from wtforms import StringField

        return {
            name: StringField(extra.label, description=extra.form_field["description"], widget=BS3TextFieldWidget())
            for name, extra in EXTRAS.items()
        }

    @cached_property
    def settings(self) -> TallyfySettings:
        """
        The connection, read once, with the hook's organization in place of its own.

        :raises TallyfyConfigurationError: if it is missing, incomplete or malformed.
        """
        with defined(self.tallyfy_conn_id):
            settings = read_settings(self.get_connection(self.tallyfy_conn_id), self._organization_id)
        for secret in settings.secrets:
            mask_secret(secret)
        return settings

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

        :param run_id: the run.
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
        """Ask Tallyfy who the token is, without retries; say what is wrong if that fails. Used by Airflow's UI."""
        try:
            with self:
                organization_id = self.settings.organization_id or None
                user = self.execute(calls.current_user(organization_id), retry_budget=0)
        except TallyfyError as error:
            return False, str(error)
        who = f"user {user.get('id', 'unknown')}"
        if organization_id is None:
            return True, f"Connected to Tallyfy as {who}; no organization is set."
        return True, f"Connected to organization {organization_id} as {who}."

    def get_run(self, run_id: str, *, raw: bool = False) -> RunResult:
        """
        Read a run, archived or not.

        :param run_id: the run.
        :param raw: whether to add everything Tallyfy sent.
        :raises TallyfyNotFoundError: if there is no such run.
        """
        run = self.execute(flows.find_run(self.organization_id, argument(checked_id, run_id, "run_id")))
        raw = argument(checked_flag, raw, "raw")
        return run_result(run, self.run_url(run.id), raw=raw)

    def list_runs(
        self,
        *,
        status: str | None = None,
        template_id: str | None = None,
        query: str | None = None,
        tags: Sequence[str] | None = None,
        owners: Sequence[str | int] | None = None,
        folder: str | None = None,
        archived: str = "exclude",
        sort: str = "created_at",
        limit: int | None = None,
        raw: bool = False,
    ) -> list[RunResult]:
        """
        List runs, by pages of 100.

        If runs leave the list meanwhile, it is read again from the start, and the runs that would have been missed are
        given last.

        :param status: only runs in this status: ``active``, ``complete``, ``problem``, ``issue`` or ``archived``.
        :param template_id: only runs of this template.
        :param query: only runs whose name matches this text; how it matches is up to Tallyfy.
        :param tags: only runs with one of these tag ids.
        :param owners: only runs owned by, or with tasks of, these user ids.
        :param folder: only runs in this folder.
        :param archived: ``exclude`` (default), ``include`` or ``only`` archived runs.
        :param sort: ``name`` or ``created_at``, with ``-`` in front for descending.
        :param limit: at most so many runs; no more pages are read than that takes. By default all.
        :param raw: whether to add everything Tallyfy sent.
        :raises TallyfyValidationError: if a filter is given and empty; ``None`` is one that is not given.
        :raises TallyfyResponseError: if a page is not readable, the list holds fewer runs than Tallyfy counts, or runs
            keep leaving it.
        """
        at_most, raw = checked_count(limit, "limit"), checked_flag(raw, "raw")
        wanted = RunQuery.checked(
            status=status,
            template_id=template_id,
            query=query,
            tags=tags,
            owners=owners,
            folder=folder,
            archived=archived,
            sort=sort,
        )
        runs = islice(self.each_run(wanted), at_most)
        return [run_result(run, self.run_url(run.id), raw=raw) for run in runs]

    def each_run(self, wanted: RunQuery) -> Iterator[Run]:
        """
        Give runs as pages of the list come, for operators.

        :param wanted: which ones.
        :raises TallyfyError: in one of its kinds, as :meth:`list_runs`.
        """
        pager = flows.run_pager(self.organization_id, wanted, whole=True)
        with redacted_errors(self._secrets):
            while (call := pager.next_call()) is not None:
                yield from filter(wanted.accepts, pager.accept(self.execute(call)))

    def archive_run(self, run_id: str) -> RunResult:
        """
        Archive a run; an archived one is a success that changed nothing.

        :param run_id: the run.
        :raises TallyfyNotFoundError: if there is no such run.
        """
        return self._changed(
            self.execute(flows.archive_run(self.organization_id, argument(checked_id, run_id, "run_id")))
        )

    def activate_run(self, run_id: str) -> RunResult:
        """
        Restore an archived run; a live one is a success that changed nothing.

        :param run_id: the run.
        :raises TallyfyNotFoundError: if there is no such run.
        """
        return self._changed(
            self.execute(flows.activate_run(self.organization_id, argument(checked_id, run_id, "run_id")))
        )

    def execute(self, work: Call[T] | Flow[T], *, retry_budget: float | None = None) -> T:
        """
        Carry out a call of ``api.calls`` or a flow of ``api.flows``.

        :param work: the call or flow.
        :param retry_budget: seconds within which each call may be repeated; by default the connection's.
        :raises TallyfyError: in one of its kinds.
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
        """
        return self.execute(first_write(flow))

    def _drive(self, flow: Flow[T], budget: float | None) -> T:
        step = advance(flow)
        while not isinstance(step, Done):
            try:
                reply = self._take(step, budget)
            except TallyfyError as error:
                step = advance(flow, error=error)
            else:
                step = advance(flow, reply)
        return step.value

    def _take(self, step: Call[Any] | Pause, budget: float | None) -> Any:
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        return self._send(step, budget)

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
                    self.log.warning("%s Trying again in %.1f s.", error, after)
                    time.sleep(after)
                case Renew():
                    self.log.info("Tallyfy no longer accepts the token; getting a new one.")
                    self._forget_token(token)
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

    def _forget_token(self, token: str) -> None:
        with self._lock:
            if self._fetched_token == token:  # another thread may have renewed it already
                self._fetched_token = None
