"""
Every procedure of more than one request, written once.

A flow is a generator: it yields calls and pauses and receives what the answers mean; errors are thrown into it. Two
drivers run them, one over requests and one over httpx, and neither knows any procedure.
"""

from airflow_provider_tallyfy.api.flows.runs import activate_run, archive_run, find_archived_run, find_run, run_pager
from airflow_provider_tallyfy.api.flows.tokens import new_token

__all__ = ["activate_run", "archive_run", "find_archived_run", "find_run", "new_token", "run_pager"]
