"""How far a wait is: judges each observation, tolerates passing errors, and logs each change once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.errors import TallyfyAuthError, TallyfyError
from airflow_provider_tallyfy.api.inputs.checks import checked_count
from airflow_provider_tallyfy.api.models.envelope import Page
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.waits.details import DetailGoal
from airflow_provider_tallyfy.waits.goals import Goal, RunsGoal
from airflow_provider_tallyfy.waits.name_check import NameCheck
from airflow_provider_tallyfy.waits.probes import Key, Observation, Probe, RunProbe
from airflow_provider_tallyfy.waits.results import Outcome, WaitResult
from airflow_provider_tallyfy.waits.scan import FEW, Scan

_SHOWN = 10

# So many failed looks in a row mean that Tallyfy is down: the others would fail as well.
_OUTAGE = 5


@dataclass(eq=False, slots=True)
class _RunProgress:
    """How far the wait for one run is."""

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
    #: Whether the last look failed, and Tallyfy was asked about this run.
    is_unreadable: bool = False


class WaitProgress:
    """
    Follows a wait, on a worker or in the triggerer. How each of many runs ended stands, whatever becomes of it later.

    :param run_url: gives the address of a run in the web app.
    :param max_poll_failures: how many looks in a row at one run may fail; ``None`` for any number.
    :param first_look_at: when the task looked first, if that was in another process.
    """

    def __init__(
        self,
        goal: Goal,
        organization_id: str,
        run_url: Callable[[str], str],
        max_poll_failures: int | None,
        log: Callable[[str], None],
        *,
        first_look_at: float | None = None,
    ) -> None:
        self._goal = goal
        self._organization_id = organization_id
        self._run_url = run_url
        self._max_poll_failures = checked_count(max_poll_failures, "max_poll_failures", least=0)
        self._log = log
        self._each = {run_id: _RunProgress(goal.probe(organization_id, run_id)) for run_id in goal.run_ids}
        self._logged_line: str | None = None
        self._logged_trouble: object = None
        self._names = NameCheck(goal, first_look_at) if isinstance(goal, DetailGoal) else None

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

    def accept(self, key: Key, seen: Observation, may_end: bool = True) -> bool:
        """
        Judge what a look at one run showed; the value is ``None`` if the run does not exist.

        :param may_end: whether it is certainly newer than the wait.
        :return: ``False`` if it would end the wait and may not.
        """
        one, goal, url = self._each[key.id], self._goal, self._run_url(key.id)
        if one.result is not None:
            return True
        if seen.error is not None:
            self._note_error(one, seen.error, seen.grace)
            return True
        verdict = goal.judge_absence(key.id) if seen.value is None else goal.judge(seen.value, url)
        is_end = verdict.outcome is not Outcome.WAITING
        if is_end and not may_end:
            return False
        one.latest, one.is_absent, one.description = seen.value, seen.value is None, verdict.message
        one.trouble, one.failures, one.is_unreadable = None, 0, False
        if isinstance(seen.value, Run):
            one.run = seen.value
        if is_end:
            # A wait for many runs lists them.
            waited = "\n  " if isinstance(goal, RunsGoal) else f"\nThe task waited for {goal.text}.\n"
            one.result = replace(verdict, message=f"{verdict.message}.{waited}{url}")
        return True

    def _note_error(
        self, one: _RunProgress, error: TallyfyError, grace: float = 0.0, *, was_asked: bool = True
    ) -> None:
        """
        Judge a look that failed.

        :param grace: seconds that may pass before it ends the wait; it does not count as failed until then.
        :param was_asked: whether Tallyfy was asked about this run, or only about others.
        """
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
        goal, each = self._goal, self._each.values()
        if not isinstance(goal, RunsGoal):
            (one,) = each
            goes_on = "" if one.result else f".\nWaiting for {goal.text}"
            self._log_changes(one.description and f"{one.description}{goes_on}.", f"run {goal.run_id}")
            return one.result
        results = [one.result for one in each if one.result is not None]
        bad = [result for result in results if result.outcome is not Outcome.REACHED]
        reached = len(results) - len(bad)
        description = f"{reached} of {len(each)} runs are {goal.state}"
        description += f", {len(bad)} ended otherwise" if bad else ""
        self._log_changes(f"{description}.", "all of the runs")
        if reached == len(each) or (goal.wait_for == "any" and reached):
            return WaitResult(Outcome.REACHED, description, self.facts(goal))
        if bad and (len(results) == len(each) or (goal.fail_fast and goal.wait_for == "all")):
            listed = "\n- ".join(result.message for result in bad[:_SHOWN])
            more = f"\n... and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
            return WaitResult(bad[0].outcome, f"{description}:\n- {listed}{more}", error=bad[0].error)
        return None

    def facts(self, goal: RunsGoal, outcomes: Iterable[str] | None = None) -> list[Any]:
        """
        Give the facts of each run when the wait for it ended, or as it was seen last, in the order they were given.

        :param outcomes: how the wait for each ended, if it is known from elsewhere.
        """
        known = outcomes or [one.result.outcome if one.result else Outcome.WAITING for one in self._each.values()]
        rows = zip(self._each.items(), known, strict=True)
        return [goal.facts(run_id, one.run, self._run_url(run_id), outcome) for (run_id, one), outcome in rows]

    @property
    def trouble(self) -> TallyfyError | None:
        """Why a run could not be read when it was looked at last."""
        return next((one.trouble for one in self._each.values() if one.trouble), None)

    def _log_changes(self, line: str | None, subject: str) -> None:
        trouble = next((one for one in self._each.values() if one.trouble), None)
        error = trouble.trouble if trouble else None
        # The texts of the same error differ by their request ids.
        kind = (type(error), error.status, error.code) if error else None
        if self._logged_trouble and not error:
            self._logged_line = None  # say again where things stand
        if line is not None and line != self._logged_line:
            self._logged_line = line
            self._log(line)
        if trouble and kind != self._logged_trouble:
            lines = f"Cannot see {subject} at the moment, still waiting.\n{error}"
            if trouble.grace:
                lines += f"\nThe wait fails after {trouble.grace:.0f} s."
                lines += "\nRenew the token in the Airflow connection by then."
            self._log(lines)
        self._logged_trouble = kind

    # -- a look at everything -------------------------------------------------------------------------------

    def read(self, *, is_last: bool = False) -> Flow[TallyfyError | None]:
        """
        Read once all that has not ended: in lists where that is cheaper, and the rest one by one.

        :param is_last: whether no look comes after it, so that the archive is searched for what was absent.
        :return: the trouble because of which Tallyfy was not asked about all of them, if any.
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
                self._note_error(self._each[run_id], trouble, was_asked=False)
                continue
            try:
                seen = yield from unseen[run_id].look()
            except TallyfyAuthError:
                raise
            except TallyfyError as error:
                self.accept(unseen[run_id].key, Observation(error=error))
                failures = 0 if error.permanent else failures + 1
                if failures and (error.retry_after or failures >= _OUTAGE):
                    trouble = error
            else:
                self.accept(unseen[run_id].key, Observation(seen))
                failures = 0
        return trouble

    def _read_lists(self, unseen: dict[str, Probe]) -> Flow[TallyfyError | None]:
        """Judge the runs that lists show, and remove them from ``unseen``, until a list fails."""
        for status in ("active", "complete"):
            sought = [run_id for run_id, probe in unseen.items() if probe.list_status in (status, "active")]
            scan = Scan(self._organization_id, status, sought if len(sought) > FEW else ())
            try:
                while scan.missing and (call := scan.next_call()) is not None:
                    page: Page = yield call
                    for run in scan.accept(page):
                        probe = unseen.get(run.id)
                        if isinstance(probe, RunProbe) and self.accept(
                            probe.key, Observation(run), may_end=probe.is_newer(run)
                        ):
                            probe.remember(run)
                            del unseen[run.id]
            except TallyfyAuthError:
                raise
            except TallyfyError as error:
                return error
        return None
