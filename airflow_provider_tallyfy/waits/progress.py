"""How far a wait is: judges each observation, tolerates passing errors, and logs each change once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Any

from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.errors import TallyfyAuthError, TallyfyError, TallyfyNotFoundError
from airflow_provider_tallyfy.api.inputs.checks import checked_count
from airflow_provider_tallyfy.api.models.envelope import Page
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.api.outputs import run_result, select_fields, shortened
from airflow_provider_tallyfy.waits.details import DetailGoal
from airflow_provider_tallyfy.waits.goals import Goal, Wait
from airflow_provider_tallyfy.waits.name_check import NameCheck
from airflow_provider_tallyfy.waits.probes import Key, Observation, Probe, RunProbe
from airflow_provider_tallyfy.waits.results import Outcome, WaitResult
from airflow_provider_tallyfy.waits.scan import FEW, Scan

_SHOWN = 10

# So many looks that fail one after the other are Tallyfy's trouble: the rest would only take long to fail as well.
_OUTAGE = 5


@dataclass(eq=False, slots=True)
class _RunProgress:
    """How far the wait for one run is."""

    goal: Goal
    probe: Probe
    result: WaitResult | None = None
    #: What the last look showed; ``None`` if it failed or the run does not exist.
    latest: Any = None
    #: Whether the run did not exist when last seen.
    is_absent: bool = False
    #: The run as it was seen last.
    run: Run | None = None
    #: What the last look showed, in words.
    description: str | None = None
    #: Why the last look failed, unless it ended the wait.
    trouble: TallyfyError | None = None
    grace: float = 0.0
    failures: int = 0
    #: Whether the last look asked in vain.
    is_unreadable: bool = False


class WaitProgress:
    """
    Follows a wait, on a worker or in the triggerer. How each of many runs ended stands, whatever becomes of it later.

    :param run_url: gives the address of a run in the web app.
    :param max_poll_failures: how many looks in a row at one run may fail; ``None`` for any number.
    :param log: where a line for the task's log goes.
    :param newer_than: the latest ``last_updated`` of all runs when they were last read, if all of them were.
    :param first_look_at: when the task looked first, if that was in another process.
    :raises TallyfyValidationError: if ``max_poll_failures`` is invalid.
    """

    def __init__(
        self,
        wait: Wait,
        organization_id: str,
        run_url: Callable[[str], str],
        max_poll_failures: int | None,
        log: Callable[[str], None],
        *,
        newer_than: str | None = None,
        first_look_at: float | None = None,
    ) -> None:
        self._wait = wait
        self._organization_id = organization_id
        self._run_url = run_url
        self._max_poll_failures = checked_count(max_poll_failures, "max_poll_failures", least=0)
        self._log = log
        self._each = {goal.run_id: _RunProgress(goal, goal.probe(organization_id, newer_than)) for goal in wait.goals}
        self._logged_description: str | None = None
        self._logged_trouble: object = None
        first = wait.goals[0] if wait.goals else None
        self._names = NameCheck(first, first_look_at) if isinstance(first, DetailGoal) else None

    # -- what is still to be read ---------------------------------------------------------------------------

    @property
    def probes(self) -> list[Probe]:
        """What reads all that is waited for."""
        return [one.probe for one in self._each.values()]

    @property
    def absent(self) -> list[Probe]:
        """What reads the runs that did not exist when last seen."""
        return [one.probe for one in self._each.values() if one.is_absent]

    @property
    def done(self) -> Set[Key]:
        """Keys of probes that need no look any more, though the wait goes on."""
        return {one.probe.key for one in self._each.values() if one.result is not None}

    @property
    def newer_than(self) -> str | None:
        """The latest ``last_updated`` of all runs, for the trigger; ``None`` if one of them could not be read."""
        moments = [one.probe.newer_than for one in self._each.values() if not one.is_absent]
        known = [moment for moment in moments if moment is not None]
        return max(known).isoformat() if known and len(known) == len(moments) else None

    @property
    def is_name_open(self) -> bool:
        """Whether the name of a task or form field is not yet known to be right, so that every look counts."""
        return self._names is not None and self._names.is_open

    @property
    def may_be_misspelt(self) -> bool:
        """Whether what was just seen may show that the name is wrong."""
        return self.is_name_open and any(one.latest is not None for one in self._each.values())

    # -- what came of looks ---------------------------------------------------------------------------------

    def accept(self, key: Key, seen: Observation, may_end: bool) -> bool:
        """Judge what came of a look of the watcher; see :meth:`on_result` for what is returned."""
        if seen.error is None:
            return self.on_result(key.id, seen.value, may_end=may_end)
        self.on_error(key.id, seen.error, seen.grace)
        return True

    def on_result(self, run_id: str, seen: Any, *, may_end: bool = True) -> bool:
        """
        Judge a look at one run, whose ``seen`` is ``None`` if the run does not exist.

        :param may_end: whether it is certainly newer than the wait.
        :return: whether it counts; otherwise it would end the wait, and may not.
        """
        one = self._each[run_id]
        if one.result is not None:
            return True
        verdict = one.goal.judge(seen, self._run_url(run_id))
        if verdict.outcome is not Outcome.WAITING and not may_end:
            return False
        one.latest, one.is_absent = seen, seen is None
        one.trouble, one.failures, one.is_unreadable = None, 0, False
        if isinstance(seen, Run):
            one.run = seen
        one.description = verdict.description
        if verdict.outcome is not Outcome.WAITING:
            error = TallyfyNotFoundError.__name__ if verdict.outcome is Outcome.MISSING else None
            one.result = WaitResult(verdict.outcome, self._end_message(one), verdict.result, error)
        return True

    def on_error(self, run_id: str, error: TallyfyError, grace: float = 0.0, *, was_asked: bool = True) -> None:
        """
        Judge a look at one run that failed.

        :param grace: seconds that may pass before it ends the wait; it does not count as failed until then.
        :param was_asked: whether Tallyfy was asked about this run, or only about others.
        """
        one = self._each[run_id]
        if one.result is not None:
            return
        one.latest, one.description, one.is_unreadable = None, None, was_asked
        one.trouble, one.grace = error, grace
        if grace:
            return
        one.failures += 1
        is_tolerated = self._max_poll_failures is None or one.failures <= self._max_poll_failures
        if error.permanent or not is_tolerated:
            gave_up = "" if error.permanent else f"\nGave up after {one.failures} failed looks in a row."
            one.trouble, one.result = None, WaitResult.of_error(error, gave_up)

    def check_name(self, now: float) -> Flow[WaitResult | None]:
        """End the wait for a task or form field that neither the run nor its template knows."""
        if self._names is None:
            return None
        (one,) = self._each.values()
        return (yield from self._names.look(self._organization_id, one.latest, now))

    def result(self) -> WaitResult | None:
        """Give how the whole wait ends, or ``None`` if it goes on, and log what is new."""
        results = [one.result for one in self._each.values() if one.result is not None]
        bad = [result for result in results if result.outcome is not Outcome.REACHED]
        reached = len(results) - len(bad)
        description = f"{reached} of {len(self._each)} runs are {self._wait.state}"
        description += f", {len(bad)} ended otherwise" if bad else ""
        self._log_changes(description, results)
        if self._wait.is_for_one:
            return results[0] if results else None
        if reached == len(self._each) or (self._wait.wait_for == "any" and reached):
            return WaitResult(Outcome.REACHED, description, self.facts())
        if bad and (len(results) == len(self._each) or (self._wait.fail_fast and self._wait.wait_for == "all")):
            listed = "\n- ".join(result.message for result in bad[:_SHOWN])
            more = f"\n... and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
            return WaitResult(bad[0].outcome, f"{description}:\n- {listed}{more}", error=bad[0].error)
        return None

    def facts(self, outcomes: Iterable[str] | None = None) -> list[Any]:
        """
        Give the facts of each run when the wait for it ended, or as it was seen last, in the order they were given.

        :param outcomes: how the wait for each ended, if it is known from elsewhere.
        """
        known = outcomes or [one.result.outcome if one.result else Outcome.WAITING for one in self._each.values()]
        rows = zip(self._each.items(), known, strict=True)
        return [
            select_fields(self._facts(run_id, one.run) | {"outcome": str(outcome)}, self._wait.fields)
            for (run_id, one), outcome in rows
        ]

    @property
    def trouble(self) -> TallyfyError | None:
        """Why a run could not be read when it was looked at last."""
        return next((one.trouble for one in self._each.values() if one.trouble), None)

    def _facts(self, run_id: str, run: Run | None) -> dict[str, Any]:
        url = self._run_url(run_id)
        if run is None:
            return {"id": run_id, "url": url, "changed": False}
        facts = dict(run_result(run, url))
        return facts | {"name": shortened(run.name)} if self._wait.is_for_xcom else facts

    # -- words ----------------------------------------------------------------------------------------------

    def _end_message(self, one: _RunProgress) -> str:
        url = self._run_url(one.goal.run_id)
        if not self._wait.is_for_one:
            return f"{one.description}: {url}"  # one of the lines about many runs
        return f"{one.description}.\nThe task waited for {one.goal.text}.\n{url}"

    def _log_changes(self, summary_of_many: str, results: list[WaitResult]) -> None:
        trouble = next((one for one in self._each.values() if one.trouble), None)
        error = trouble.trouble if trouble else None
        # Each answer has another request id, and may be of the same trouble.
        kind = (type(error), error.status, error.code) if error else None
        if self._logged_trouble and not error:
            self._logged_description = None  # say again where things stand
        description: str | None = summary_of_many
        subject, goes_on = "all of the runs", ""
        if self._wait.is_for_one:
            (one,) = self._each.values()
            description, subject = one.description, f"run {one.goal.run_id}"
            goes_on = "" if results else f"; waiting for {one.goal.text}"
        if description is not None and description != self._logged_description:
            self._logged_description = description
            self._log(f"{description}{goes_on}.")
        if trouble and kind != self._logged_trouble:
            line = f"Cannot see {subject} at the moment, still waiting.\n{error}"
            if trouble.grace:
                line += f"\nThe wait fails after {trouble.grace:.0f} s."
                line += "\nRenew the token in the Airflow connection by then."
            self._log(line)
        self._logged_trouble = kind

    # -- a look at everything -------------------------------------------------------------------------------

    def read(self, *, is_last: bool = False) -> Flow[TallyfyError | None]:
        """
        Read once all that has not ended: in lists where that is cheaper, and one by one at the rest.

        :param is_last: whether no look comes after it, so that the archive is searched for what was absent.
        :return: the trouble because of which Tallyfy was not asked about all of them, if any.
        :raises TallyfyAuthError: if Tallyfy does not accept the token.
        """
        unseen = {
            run_id: one.probe.fresh() if is_last and one.is_absent else one.probe
            for run_id, one in self._each.items()
            if one.result is None
        }
        trouble: TallyfyError | None = None
        if len(unseen) > FEW:
            error = yield from self._read_lists(unseen)
            # Otherwise reading them one by one shows whether Tallyfy or only this list is in trouble.
            trouble = error if error is not None and not error.permanent and error.retry_after else None
        failures = 0
        for run_id in sorted(unseen, key=lambda run_id: self._each[run_id].is_unreadable):
            if trouble is not None:
                self.on_error(run_id, trouble, was_asked=False)
                continue
            try:
                seen = yield from unseen[run_id].look()
            except TallyfyAuthError:
                raise
            except TallyfyError as error:
                self.on_error(run_id, error)
                failures = 0 if error.permanent else failures + 1
                if failures and (error.retry_after or failures >= _OUTAGE):
                    trouble = error
            else:
                self.on_result(run_id, seen)
                failures = 0
        return trouble

    def _read_lists(self, unseen: dict[str, Probe]) -> Flow[TallyfyError | None]:
        """Take the runs that lists show out of those that are to be seen, until a list fails."""
        for status in ("active", "complete"):
            sought = [run_id for run_id, probe in unseen.items() if probe.list_status in (status, "active")]
            scan = Scan(self._organization_id, status, sought if len(sought) > FEW else ())
            try:
                while scan.missing and (call := scan.next_call()) is not None:
                    page: Page = yield call
                    for run in scan.accept(page):
                        probe = unseen.get(run.id)
                        if isinstance(probe, RunProbe) and self.on_result(run.id, run, may_end=probe.is_newer(run)):
                            probe.remember(run)
                            del unseen[run.id]
            except TallyfyAuthError:
                raise
            except TallyfyError as error:
                return error
        return None
