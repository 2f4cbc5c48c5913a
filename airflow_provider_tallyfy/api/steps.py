"""Settings of a launch's steps -> the ``tasks`` that Tallyfy makes tasks of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_provider_tallyfy.api.errors import TallyfyValidationError
from airflow_provider_tallyfy.api.models import format_request_time
from airflow_provider_tallyfy.api.people import checked_people
from airflow_provider_tallyfy.api.templates import Step, Template


def complete_steps(template: Template, tasks: Mapping[str, Any]) -> dict[str, Any]:
    """
    Name every step: Tallyfy makes tasks only of the steps that a launch's ``tasks`` names.

    :param template: the template, with its steps.
    :param tasks: settings by step id: ``deadline``, ``owners`` (which replace all of the step's own) and so on.
    :raises TallyfyValidationError: if the template does not show its steps, or shows no such step.
    """
    if template.steps is None:
        raise TallyfyValidationError(
            f"tasks cannot be set: template {template.id} does not show its steps, and Tallyfy would drop those that "
            f"tasks does not name.",
            fields={"tasks": ["the template shows no steps"]},
        )
    known = {step.id: step for step in template.steps}
    unknown = sorted(map(str, tasks.keys() - known.keys()))
    if unknown:
        steps = ", ".join(f"{step.id} ({step.title})" for step in known.values())
        raise TallyfyValidationError(
            f"tasks names steps that template {template.id} does not have: {', '.join(unknown)}. Its steps: {steps}.",
            fields={"tasks": unknown},
        )
    return {step_id: {**_as_it_is(step), **_settings(step, tasks.get(step_id))} for step_id, step in known.items()}


def _as_it_is(step: Step) -> dict[str, Any]:
    """Say something true of a step: it is not documented whether an empty object names it."""
    position = step.raw.get("position")
    return {"position": position} if isinstance(position, int) else {}


def _settings(step: Step, settings: Any) -> dict[str, Any]:
    if settings is None:
        return {}
    if not isinstance(settings, Mapping):
        raise TallyfyValidationError(
            f"tasks: the settings of step {step.id} ({step.title}) are {settings!r}; expected an object.",
            fields={"tasks": [step.id]},
        )
    written = {name: format_request_time(v) if isinstance(v, datetime) else v for name, v in settings.items()}
    if settings.get("owners") is not None:
        written["owners"] = checked_people(settings["owners"], f"tasks[{step.id!r}].owners")
    return written
