"""
Launch a run once, although Tallyfy has no idempotency key.

The key of a launch travels as a short marker in the run's summary, in the same request that launches it. Whoever tries
again looks for the marker first and adopts the run that carries it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.errors import TallyfyError, TallyfyResponseError, TallyfyUnknownOutcomeError
from airflow_provider_tallyfy.api.exchange import Flow, Pause
from airflow_provider_tallyfy.api.flows.runs import REPLICA_LAG_PAUSES, archive_run, run_pager
from airflow_provider_tallyfy.api.models import Run, RunChange
from airflow_provider_tallyfy.api.queries import RunQuery

# Clocks of Airflow and Tallyfy may differ; a marker is looked for a little further back than its launch can be.
_CLOCK_TOLERANCE = timedelta(days=1)


@dataclass(frozen=True)
class LaunchKey:
    """
    By which every later try recognises the run that a launch made.

    :param text: what makes the launch unique, of any length.
    :param may_exist: whether an earlier try may have launched the run already.
    :param since: no run launched before this moment can be it; ``None`` looks through all of the template's.
    """

    text: str
    may_exist: bool = True
    since: datetime | None = None

    @property
    def marker(self) -> str:
        """What stands in the run's summary."""
        return f"[airflow:{hashlib.sha256(self.text.encode()).hexdigest()[:20]}]"

    def mark(self, summary: str | None) -> str:
        """
        Add the marker to a summary.

        :param summary: the user's own.
        """
        return f"{summary}\n{self.marker}" if summary else self.marker

    def is_on(self, run: Run) -> bool:
        """Whether a run carries the marker."""
        return self.marker in str(run.raw.get("summary") or "")

    def is_older_than(self, run: Run) -> bool:
        """Whether a run was launched too early to be it, and so were all runs before it."""
        if self.since is None or run.created_at is None:
            return False
        return run.created_at < self.since - _CLOCK_TOLERANCE


def launch_run(organization_id: str, body: Mapping[str, Any], key: LaunchKey) -> Flow[RunChange]:
    """
    Launch a run of a template, or adopt the one that an earlier try launched.

    :param organization_id: where to launch.
    :param body: the request's body without the key; ``checklist_id`` names the template.
    :param key: the launch's key.
    :return: the run; ``changed`` is ``False`` if it was adopted.
    :raises TallyfyUnknownOutcomeError: if nobody can tell yet whether it was launched; a later try can.
    """
    look = _Lookup(organization_id, key, template_id=body["checklist_id"])
    if key.may_exist:
        earlier: Run | None = yield from look.patiently()
        if earlier is not None:
            return RunChange(earlier, changed=False)
    request = calls.launch_run(organization_id, {**body, "summary": key.mark(body.get("summary"))})
    try:
        launched: Run = yield request
    except (TallyfyUnknownOutcomeError, TallyfyResponseError) as doubt:
        return (yield from _adopt_after(doubt, look))
    return (yield from _keep_first(organization_id, launched, look, patient=key.may_exist))


class _Lookup:
    """Looks for the run that carries a key."""

    def __init__(self, organization_id: str, key: LaunchKey, template_id: str | None) -> None:
        self._organization_id = organization_id
        self._key = key
        self._template_id = template_id

    def patiently(self) -> Flow[Run | None]:
        """Look again after pauses: the list is read from replicas that lag behind a launch."""
        for pause in (*REPLICA_LAG_PAUSES, None):
            found: list[Run] = yield from self.all()
            if found:
                return found[0]
            if pause is not None:
                yield Pause(pause)
        return None

    def all(self) -> Flow[list[Run]]:
        """Give every run that carries the key, the first launched first."""
        found: dict[str, Run] = {}
        # Two lists, since it is not documented that archived=true shows archived and live runs alike.
        for archived in ("include", "only"):
            query = RunQuery(template_id=self._template_id, archived=archived, sort="-created_at")
            yield from self._scan(query, found)
            if found:
                break
        return sorted(found.values(), key=lambda run: (str(run.raw.get("created_at")), run.id))

    def _scan(self, query: RunQuery, found: dict[str, Run]) -> Flow[None]:
        pager = run_pager(self._organization_id, query)
        while (call := pager.next_call()) is not None:
            page = yield call
            for run in pager.accept(page):
                if self._key.is_older_than(run):
                    return
                if self._key.is_on(run):
                    found[run.id] = run


def _adopt_after(doubt: TallyfyError, look: _Lookup) -> Flow[RunChange]:
    found: Run | None = yield from look.patiently()
    if found is not None:
        return RunChange(found, changed=False)
    raise TallyfyUnknownOutcomeError(
        f"{doubt} No run with this launch's marker is visible yet; a retry looks again before it launches.",
        method=doubt.method,
        path=doubt.path,
        status=doubt.status,
        code=doubt.code,
        request_id=doubt.request_id,
    )


def _keep_first(organization_id: str, launched: Run, look: _Lookup, *, patient: bool) -> Flow[RunChange]:
    """If another try launched at the same time, both keep the run that was first and archive the other."""
    for pause in (*(REPLICA_LAG_PAUSES if patient else ()), None):
        rivals: list[Run] = yield from look.all()
        if any(run.id == launched.id for run in rivals) or pause is None:
            break
        yield Pause(pause)
    first = rivals[0] if rivals else launched
    if first.id == launched.id:
        return RunChange(launched, changed=True)
    yield from archive_run(organization_id, launched.id)
    return RunChange(first, changed=False)
