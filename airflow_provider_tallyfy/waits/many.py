"""Waiting for many runs at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.errors import TallyfyAuthError, TallyfyError
from airflow_provider_tallyfy.api.inputs.checks import checked_ids, list_in_text
from airflow_provider_tallyfy.api.inputs.facts import RUN_FACTS, Fields, facts_of, picked, shortened
from airflow_provider_tallyfy.api.inputs.problems import invalid
from airflow_provider_tallyfy.api.models.envelope import Page
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.waits.goals import Ending, Outcome, RunWait, WaitLog, kind_of_trouble, refusal
from airflow_provider_tallyfy.waits.probes import RunWatch
from airflow_provider_tallyfy.waits.scan import FEW, Scan

WAIT_FOR = ("all", "any")

#: The facts of each run that a wait for many can hand on, and those that it does hand on unless told otherwise.
KNOWN_FIELDS = (*RUN_FACTS, "changed", "outcome")
RESULT_FIELDS = ("id", "name", "status", "archived_at", "completed_at", "url", "changed", "outcome")

_SHOWN = 10

# So many looks that fail one after the other are Tallyfy's trouble: the rest would only take long to fail as well.
_OUTAGE = 5


@dataclass(frozen=True)
class RunsWait:
    """
    A wait for many runs to get into a status.

    :param waits: for one run each.
    :param goal: the statuses that end the wait for a run well.
    :param wait_for: ``all``, or ``any`` for the first of them.
    :param fail_fast: whether, waiting for all, the first bad end ends the wait.
    """

    waits: tuple[RunWait, ...]
    goal: str
    wait_for: str = "all"
    fail_fast: bool = True

    @classmethod
    def checked(
        cls,
        run_ids: object,
        target: str | Iterable[str],
        failure: str | Iterable[str],
        missing: str,
        *,
        wait_for: str,
        fail_fast: bool,
    ) -> RunsWait:
        """
        Check what a user asked to wait for.

        :param run_ids: the runs, ids or dicts with an ``id``, or text of such a list; for ``all`` there may be no run.
        :param target: a status or several.
        :param failure: a status, several, or none.
        :param missing: ``fail`` or ``wait``.
        :param wait_for: ``all`` or ``any``.
        :param fail_fast: whether the first bad end ends the wait.
        :raises TallyfyValidationError: naming the bad value and the valid ones.
        """
        if isinstance(run_ids, str):
            given = list_in_text(run_ids)
            if given is None:
                raise invalid("run_ids", run_ids, "is not a list of ids")
            run_ids = given
        if isinstance(run_ids, bytes | Mapping) or not isinstance(run_ids, Iterable):
            raise invalid("run_ids", run_ids, "is not a list of ids")
        if wait_for not in WAIT_FOR:
            raise invalid("wait_for", wait_for, "is neither 'all' nor 'any'")
        ids = checked_ids(run_ids)
        if not ids and wait_for == "any":
            raise invalid("run_ids", run_ids, "is empty", "A wait for any of no runs would never end.")
        pattern = RunWait.checked("any", target, failure, missing)
        return cls(tuple(replace(pattern, run_id=run_id) for run_id in ids), pattern.goal, wait_for, fail_fast)

    def is_end(self, run: Run | None) -> bool:
        """
        Whether what is seen of any of the runs ends the wait for it.

        :param run: the run, or ``None`` if it does not exist.
        """
        return self.waits[0].outcome(run) is not Outcome.WAITING

    def watches(self, organization_id: str, newer_than: str | None = None) -> dict[str, RunWatch]:
        """
        Make what looks at the runs.

        :param organization_id: the runs' organization.
        :param newer_than: the latest ``last_updated`` of all runs when they were last read, if all of them were.
        """
        return {wait.run_id: wait.watch(organization_id, newer_than) for wait in self.waits}


class RunsLog:
    """
    Follows a wait for many runs: keeps how each ended, and tells the sum and the trouble whenever that changes.

    :param wait: what it is for.
    :param run_url: gives the address of a run in the web app.
    :param max_poll_failures: how many looks in a row at one run may fail; ``None`` for any number.
    :param tell: where a line for the task's log goes.
    :param fields: which facts of the runs are the result.
    :param is_for_xcom: whether the result has to be small, so that long names are cut.
    """

    def __init__(
        self,
        wait: RunsWait,
        run_url: Callable[[str], str],
        max_poll_failures: int | None,
        tell: Callable[[str], None],
        *,
        fields: Fields,
        is_for_xcom: bool = True,
    ) -> None:
        self._wait = wait
        self._run_url = run_url
        self._fields = fields
        self._is_for_xcom = is_for_xcom
        self._seen: dict[str, Run] = {}
        self._tell = tell
        self._last_told = ""
        self._last_trouble: object = None
        self._troubles: dict[str, TallyfyError] = {}
        self._grace = 0.0
        self._logs = {
            each.run_id: WaitLog(each, run_url(each.run_id), max_poll_failures, tell=lambda line: None)
            for each in wait.waits
        }
        self.endings: dict[str, Ending] = {}
        #: Runs that were asked for last time, in vain.
        self.unreadable: set[str] = set()
        #: Runs that did not exist when last seen.
        self.absent: set[str] = set()

    def saw(self, run_id: str, run: Run | None) -> None:
        """
        Judge a look at one run. How it ended stands, whatever becomes of it later.

        :param run_id: the run.
        :param run: what was seen, or ``None`` if it does not exist.
        """
        self._troubles.pop(run_id, None)
        self.unreadable.discard(run_id)
        (self.absent.add if run is None else self.absent.discard)(run_id)
        if run is not None and run_id not in self.endings:
            self._seen[run_id] = run.without_raw()
        self._keep(run_id, self._logs[run_id].saw(run))

    def stumbled(self, run_id: str, error: TallyfyError, grace: float = 0.0) -> None:
        """
        Judge a look at one run that failed.

        :param run_id: the run.
        :param error: why.
        :param grace: seconds that may pass before it ends the wait.
        """
        self.passed_over(run_id, error, grace)
        self.unreadable.add(run_id)

    def passed_over(self, run_id: str, error: TallyfyError, grace: float = 0.0) -> None:
        """
        Judge a look at one run that was not even tried.

        :param run_id: the run.
        :param error: what came of looks at other runs.
        :param grace: seconds that may pass before it ends the wait.
        """
        self.unreadable.discard(run_id)
        self._troubles[run_id] = error
        self._grace = grace
        self._keep(run_id, self._logs[run_id].stumbled(error, grace))

    def ending(self) -> Ending | None:
        """Give how the whole wait ends, or ``None`` if it goes on, and tell how far it is if that changed."""
        counts = Counter(ending.outcome.value for ending in self.endings.values())
        news = f"{counts[Outcome.REACHED]} of {len(self._logs)} runs are {self._wait.goal}"
        bad = [ending for ending in self.endings.values() if ending.outcome is not Outcome.REACHED]
        if bad:
            news += f", {len(bad)} ended otherwise"
        if news != self._last_told:
            self._last_told = news
            self._tell(f"{news}.")
        self._tell_trouble()
        if self._is_reached(counts[Outcome.REACHED]):
            return Ending(Outcome.REACHED, news, result=self.results())
        if bad and (len(self.endings) == len(self._logs) or (self._wait.fail_fast and self._wait.wait_for == "all")):
            listed = "\n- ".join(ending.message for ending in bad[:_SHOWN])
            more = f"\n... and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
            return Ending(bad[0].outcome, f"{news}:\n- {listed}{more}", error=bad[0].error)
        return None

    def results(self, outcomes: Iterable[str] | None = None) -> list[Any]:
        """
        Give the facts of each run when the wait for it ended, or as it was seen last, in the order they were given.

        :param outcomes: how the wait for each ended, if it is known from elsewhere.
        """
        rows = zip(self._logs, outcomes or map(self._outcome, self._logs), strict=True)
        return [picked(self._facts(run_id) | {"outcome": outcome}, self._fields) for run_id, outcome in rows]

    def _outcome(self, run_id: str) -> str:
        ending = self.endings.get(run_id)
        return (Outcome.WAITING if ending is None else ending.outcome).value

    def _facts(self, run_id: str) -> dict[str, Any]:
        run, url = self._seen.get(run_id), self._run_url(run_id)
        if run is None:
            return {"id": run_id, "url": url, "changed": False}
        facts = facts_of(run, url)
        return facts | {"name": shortened(run.name)} if self._is_for_xcom else facts

    def _keep(self, run_id: str, ending: Ending | None) -> None:
        if ending is not None:
            self._troubles.pop(run_id, None)
            self.endings.setdefault(run_id, ending)

    @property
    def trouble(self) -> TallyfyError | None:
        """Why a run could not be read when it was looked at last."""
        return next(iter(self._troubles.values()), None)

    def _tell_trouble(self) -> None:
        error = self.trouble
        trouble = None if error is None else kind_of_trouble(error)
        if error is not None and trouble != self._last_trouble:
            reason = refusal(error, self._grace) if self._grace else error
            self._tell(f"Cannot see all of the runs at the moment, still waiting. {reason}")
        self._last_trouble = trouble

    def _is_reached(self, reached: int) -> bool:
        return reached == len(self._logs) or (self._wait.wait_for == "any" and reached > 0)


def look_at_runs(
    organization_id: str, watches: Mapping[str, RunWatch], is_end: Callable[[Run | None], bool], log: RunsLog
) -> Flow[TallyfyError | None]:
    """
    Look at many runs once: in lists where that is cheaper, and one by one at the rest.

    :param organization_id: the runs' organization.
    :param watches: what looks at each of them.
    :param is_end: whether what is seen ends the wait for a run.
    :param log: takes in what is seen.
    :return: the trouble because of which Tallyfy was not asked about all of them, if any.
    :raises TallyfyAuthError: if Tallyfy does not accept the token.
    """
    unseen = {run_id: watch for run_id, watch in watches.items() if run_id not in log.endings}
    error = yield from _look_at_lists(organization_id, unseen, is_end, log)
    # Otherwise reading them one by one tells whether Tallyfy or only this list is in trouble.
    is_limited = error is not None and not error.permanent and error.retry_after
    return (yield from _look_one_by_one(unseen, log, error if is_limited else None))


def _look_at_lists(
    organization_id: str, unseen: dict[str, RunWatch], is_end: Callable[[Run | None], bool], log: RunsLog
) -> Flow[TallyfyError | None]:
    """Take the runs that lists show out of those that are to be seen, until a list fails."""
    for status in ("active", "complete"):
        sought = [run_id for run_id, watch in unseen.items() if watch.list_status in (status, "active")]
        scan = Scan(organization_id, status, sought if len(sought) > FEW else ())
        try:
            while scan.missing and (call := scan.next_call()) is not None:
                page: Page = yield call
                for run in scan.accept(page):
                    watch = unseen.get(run.id)
                    if watch is not None and watch.is_believable(run, ends_a_wait=is_end(run)):
                        log.saw(run.id, run)
                        del unseen[run.id]
        except TallyfyAuthError:
            raise
        except TallyfyError as error:
            return error
    return None


def _look_one_by_one(
    watches: Mapping[str, RunWatch], log: RunsLog, trouble: TallyfyError | None
) -> Flow[TallyfyError | None]:
    """Look at some runs, last at those that could not be read last time, until Tallyfy turns out to be in trouble."""
    failures = 0
    for run_id in sorted(watches, key=log.unreadable.__contains__):
        if trouble is not None:
            log.passed_over(run_id, trouble)
            continue
        try:
            seen = yield from watches[run_id].look()
        except TallyfyAuthError:
            raise
        except TallyfyError as error:
            log.stumbled(run_id, error)
            failures = 0 if error.permanent else failures + 1
            if failures and (error.retry_after or failures >= _OUTAGE):
                trouble = error
        else:
            log.saw(run_id, seen)
            failures = 0
    return trouble
