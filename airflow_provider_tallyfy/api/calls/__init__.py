"""One small function per endpoint of the Tallyfy API. The paths, parameters and headers are written here only."""

from airflow_provider_tallyfy.api.calls.account import application_token, current_user, user_token
from airflow_provider_tallyfy.api.calls.catalog import list_catalog
from airflow_provider_tallyfy.api.calls.comments import add_comment, delete_comment, list_comments
from airflow_provider_tallyfy.api.calls.directory import get_person
from airflow_provider_tallyfy.api.calls.runs import (
    activate_run,
    archive_run,
    delete_run,
    export_run,
    get_run,
    launch_run,
    list_activity,
    list_form_fields,
    list_run_tags,
    list_runs,
    update_run,
)
from airflow_provider_tallyfy.api.calls.tasks import (
    complete_task,
    get_task,
    launch_project,
    list_tasks,
    reopen_task,
    tag_run,
    untag_run,
    update_task,
)
from airflow_provider_tallyfy.api.calls.templates import get_template

#: Headers of every request (documentation page "Open API"; without the client header: "endpoint not found").
HEADERS = {"Accept": "application/json", "X-Tallyfy-Client": "APIClient"}

__all__ = [
    "HEADERS",
    "activate_run",
    "add_comment",
    "application_token",
    "archive_run",
    "complete_task",
    "current_user",
    "delete_comment",
    "delete_run",
    "export_run",
    "get_person",
    "get_run",
    "get_task",
    "get_template",
    "launch_project",
    "launch_run",
    "list_activity",
    "list_catalog",
    "list_comments",
    "list_form_fields",
    "list_run_tags",
    "list_runs",
    "list_tasks",
    "reopen_task",
    "tag_run",
    "untag_run",
    "update_run",
    "update_task",
    "user_token",
]
