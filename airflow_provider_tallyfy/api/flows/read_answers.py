"""What people answered in the forms of a run."""

from __future__ import annotations

from airflow_provider_tallyfy.api import calls
from airflow_provider_tallyfy.api.call import Flow
from airflow_provider_tallyfy.api.errors import TallyfyNotFoundError, TallyfyPermissionError
from airflow_provider_tallyfy.api.flows.contents import form_values_of, list_tasks
from airflow_provider_tallyfy.api.flows.lifecycle import find_run
from airflow_provider_tallyfy.api.models.answers import Answers, answers_of, people_in
from airflow_provider_tallyfy.api.models.form import FormValues
from airflow_provider_tallyfy.api.models.records import Task
from airflow_provider_tallyfy.api.models.run import Run


def get_answers(
    organization_id: str, run_id: str, directory: dict[tuple[str, str], tuple[str | None, str | None]] | None = None
) -> Flow[Answers]:
    """
    Read the answers in all forms of a run, as plain values by label.

    :param directory: names and e-mail addresses that are known; those that are asked for are added.
    :raises TallyfyNotFoundError: if there is no such run, or it is archived and Tallyfy does not show its tasks.
    """
    run: Run = yield from find_run(organization_id, run_id)
    tasks: list[Task] = yield from list_tasks(organization_id, run_id)
    form: FormValues = yield from form_values_of(organization_id, run, tasks)
    known = {} if directory is None else directory
    for person in people_in(form):
        if person not in known:
            known[person] = yield from look_up_person(organization_id, *person)
    return answers_of(run, form, tasks, known)


def look_up_person(organization_id: str, kind: str, person_id: str) -> Flow[tuple[str | None, str | None]]:
    """Read name and e-mail address of a person or group, or find out that Tallyfy does not show them."""
    if kind == "guests":
        return None, person_id
    try:
        found: tuple[str | None, str | None] = yield calls.get_person(organization_id, kind, person_id)
    except (TallyfyNotFoundError, TallyfyPermissionError):
        return None, None  # gone from the organization, or not for this token's eyes
    return found
