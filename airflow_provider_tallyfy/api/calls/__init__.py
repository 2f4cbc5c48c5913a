"""One small function per endpoint of the Tallyfy API. The paths, parameters and headers are written here only."""

from airflow_provider_tallyfy.api.calls.account import application_token, current_user, user_token
from airflow_provider_tallyfy.api.calls.runs import activate_run, archive_run, get_run, list_runs

#: Headers of every request (documentation page "Open API"; without the client header: "endpoint not found").
HEADERS = {"Accept": "application/json", "X-Tallyfy-Client": "APIClient"}

__all__ = [
    "HEADERS",
    "activate_run",
    "application_token",
    "archive_run",
    "current_user",
    "get_run",
    "list_runs",
    "user_token",
]
