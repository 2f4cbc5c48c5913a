"""Whether a task or form field that a run does not show may still appear, or its name is misspelt."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.errors import (
    TallyfyError,
    TallyfyNotFoundError,
    TallyfyPermissionError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.inputs.wording import did_you_mean, quoted_list
from airflow_provider_tallyfy.api.models.template import Template
from airflow_provider_tallyfy.api.text import quoted
from airflow_provider_tallyfy.waits.details import DetailGoal
from airflow_provider_tallyfy.waits.results import Outcome, WaitResult

#: Seconds between the first look that does not show the name and the one that ends the wait.
_APART = 60.0


class NameCheck:
    """
    Ends a wait for something that neither its run nor the run's template knows.

    Two looks at least a minute apart must not show it, since Tallyfy may show a new run without its last tasks.

    :param first_look_at: when the task looked first, if that was in another process.
    """

    def __init__(self, goal: DetailGoal, first_look_at: float | None = None) -> None:
        self._goal = goal
        self._absent_since = first_look_at
        #: Whether the name is not yet known to be right.
        self.is_open = not goal.may_appear_later

    def look(self, organization_id: str, seen: Any, now: float) -> Flow[WaitResult | None]:
        """
        Judge a look, and read the template if needed; give how the wait ends, or ``None`` if it goes on.

        :param seen: the run with its tasks or form fields, or ``None`` if it does not exist.
        :param now: in seconds, on the same clock at every look.
        """
        goal = self._goal
        if not self.is_open or seen is None or seen.run.is_archived or not goal.names(goal.things(seen)):
            return None
        if goal.matching(goal.things(seen)):
            self.is_open = False
            return None
        if self._absent_since is None:
            self._absent_since = now
        if now - self._absent_since < _APART:
            return None
        try:
            template = yield from _template_of(organization_id, seen.run.template_id)
        except (TallyfyNotFoundError, TallyfyPermissionError):
            template = None
        except TallyfyError:
            return None  # the next look asks again
        known = None if template is None else goal.template_things(template)
        self.is_open = False
        if template is None or known is None or goal.matching(known):
            return None
        return self._misspelt(seen, template, goal.names(goal.things(seen)) | goal.names(known))

    def _misspelt(self, seen: Any, template: Template, names: dict[str, str]) -> WaitResult:
        goal, run = self._goal, seen.run
        guess = did_you_mean(goal.name, names)
        hint = guess[0].upper() + guess[1:] if guess else f"There are: {quoted_list(dict.fromkeys(names.values()))}."
        return WaitResult(
            Outcome.ERROR,
            f"Run {run.id} ({quoted(run.name)}) has no {goal.kind} {quoted(goal.name)}, nor has its template "
            f"{quoted(template.title)}.\n{hint}\nSet may_appear_later=True if people may still add it.",
            error=TallyfyValidationError.__name__,
        )


def _template_of(organization_id: str, template_id: str | None) -> Flow[Template | None]:
    if template_id is None:
        return None
    template: Template = yield calls.get_template(organization_id, template_id)
    return template
