"""Settings of a launch's steps -> the ``tasks`` that Tallyfy makes tasks of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_tallyfy.api.inputs.checks import checked_time, parse_rendered
from airflow_provider_tallyfy.api.inputs.people import checked_people
from airflow_provider_tallyfy.api.inputs.problems import Problems, invalid
from airflow_provider_tallyfy.api.models.run import format_request_time
from airflow_provider_tallyfy.api.models.template import Step, Template
from airflow_provider_tallyfy.api.text import one_line

#: What can be set of a step (page "Launch process"; the last two: official Python client).
STEP_SETTINGS = ("deadline", "owners", "position", "max_assignable")


def complete_steps(template: Template, tasks: Mapping[str, Any]) -> dict[str, Any]:
    """Name every step with its settings: Tallyfy makes tasks only of the steps that a launch's ``tasks`` names."""
    tasks = parse_rendered(tasks)
    if not isinstance(tasks, Mapping):
        raise invalid("tasks", tasks, "is not an object with settings by step id")
    if template.steps is None:
        raise invalid(
            "tasks",
            tasks,
            f"cannot be set: template {template.id} does not show its steps",
            "Tallyfy would drop the steps that tasks does not name.",
        )
    problems = Problems()
    problems.collect(_check_known, template.id, template.steps, tasks)
    settings = {step.id: problems.collect(_settings, step, tasks.get(step.id)) or {} for step in template.steps}
    problems.raise_all()
    return {step.id: {**_as_it_is(step), **settings[step.id]} for step in template.steps}


def _check_known(template_id: str, steps: tuple[Step, ...], tasks: Mapping[str, Any]) -> None:
    unknown = sorted(map(str, tasks.keys() - {step.id for step in steps}))
    if unknown:
        known = ", ".join(f"{step.id} ({one_line(step.title)})" for step in steps)
        problem = f"names steps that template {template_id} does not have: {', '.join(unknown)}"
        raise invalid("tasks", tasks, problem, f"Its steps: {known}.")


def _as_it_is(step: Step) -> dict[str, Any]:
    """Give a setting of the step as it is: whether an empty object counts is not documented."""
    position = step.raw.get("position")
    return {"position": position} if isinstance(position, int) else {}


def _settings(step: Step, settings: Any) -> dict[str, Any]:
    settings = parse_rendered(settings)
    if settings is None:
        return {}
    if not isinstance(settings, Mapping):
        raise invalid(f"tasks[{step.id!r}]", settings, f"is not an object, for step {one_line(step.title)}")
    given = {name: value for name, value in settings.items() if value not in (None, "")}
    problems = Problems()
    problems.collect(_check_names, step, given)
    if "deadline" in given:
        given["deadline"] = problems.collect(_deadline, given["deadline"], f"tasks[{step.id!r}].deadline")
    if "owners" in given:
        given["owners"] = problems.collect(checked_people, given["owners"], f"tasks[{step.id!r}].owners")
    problems.raise_all()
    return given


def _check_names(step: Step, given: Mapping[str, Any]) -> None:
    unknown = [name for name in given if name not in STEP_SETTINGS]
    if unknown:
        problem = f"sets {', '.join(map(repr, unknown))} of step {one_line(step.title)}, which Tallyfy does not take"
        raise invalid(f"tasks[{step.id!r}]", given, problem, f"It takes {', '.join(STEP_SETTINGS)}.")


def _deadline(value: Any, name: str) -> str | None:
    moment = checked_time(value, name)
    return None if moment is None else format_request_time(moment)
