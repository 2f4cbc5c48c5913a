"""Many runs in one task: operators make an action and give it to a :class:`BulkJob`. The rest is not for them."""

from airflow_provider_tallyfy.bulk.job import BulkJob
from airflow_provider_tallyfy.bulk.launch_action import LaunchAction
from airflow_provider_tallyfy.bulk.run_actions import ActivateAction, ArchiveAction, DeleteAction

__all__ = ["ActivateAction", "ArchiveAction", "BulkJob", "DeleteAction", "LaunchAction"]
