"""
Every procedure of more than one request, written once.

A flow is a generator: it yields calls and pauses and receives what the answers mean; errors are thrown into it. Two
drivers carry them out, one over requests and one over httpx, and neither knows any procedure.

A run that does not exist is a ``TallyfyNotFoundError``. ``known`` is the run as just seen, which spares reading it.
After a ``TallyfyUnknownOutcomeError`` it is not known yet whether the request was applied; a later try finds out.
"""

from airflow_provider_tallyfy.api.flows.change_task import (
    assign_task,
    complete_task,
    find_task,
    plan_completion,
    reopen_task,
)
from airflow_provider_tallyfy.api.flows.contents import (
    collect,
    export_run,
    get_form_values,
    list_activity,
    list_tasks,
    snapshot,
)
from airflow_provider_tallyfy.api.flows.last_actor import LastActor, last_actor
from airflow_provider_tallyfy.api.flows.launch import launch_marked, launch_project, launch_run
from airflow_provider_tallyfy.api.flows.lifecycle import (
    activate_run,
    archive_run,
    find_archived_run,
    find_run,
    locate_run,
    look_up_run,
    run_pager,
)
from airflow_provider_tallyfy.api.flows.lookup import PROJECTS, LaunchKey, find_marked
from airflow_provider_tallyfy.api.flows.names import KnownNames, resolve_filters, resolve_names
from airflow_provider_tallyfy.api.flows.read_answers import get_answers, look_up_person
from airflow_provider_tallyfy.api.flows.read_catalog import list_catalog
from airflow_provider_tallyfy.api.flows.tags import change_tags, tag_writes
from airflow_provider_tallyfy.api.flows.tokens import new_token
from airflow_provider_tallyfy.api.flows.update_delete import delete_located_run, delete_run, still_listed, update_run
from airflow_provider_tallyfy.api.flows.write_comment import comment
from airflow_provider_tallyfy.api.inputs.launch_request import ApprovalRequest, LaunchRequest, ProjectRequest

__all__ = [
    "PROJECTS",
    "ApprovalRequest",
    "KnownNames",
    "LastActor",
    "LaunchKey",
    "LaunchRequest",
    "ProjectRequest",
    "activate_run",
    "archive_run",
    "assign_task",
    "change_tags",
    "collect",
    "comment",
    "complete_task",
    "delete_located_run",
    "delete_run",
    "export_run",
    "find_archived_run",
    "find_marked",
    "find_run",
    "find_task",
    "get_answers",
    "get_form_values",
    "last_actor",
    "launch_marked",
    "launch_project",
    "launch_run",
    "list_activity",
    "list_catalog",
    "list_tasks",
    "locate_run",
    "look_up_person",
    "look_up_run",
    "new_token",
    "plan_completion",
    "reopen_task",
    "resolve_filters",
    "resolve_names",
    "run_pager",
    "snapshot",
    "still_listed",
    "tag_writes",
    "update_run",
]
