"""Operators for one run, and the one that lists runs."""

from airflow_provider_tallyfy.operators._answers import TallyfyGetAnswersOperator
from airflow_provider_tallyfy.operators._approval import TallyfyApprovalOperator
from airflow_provider_tallyfy.operators._launch import TallyfyLaunchRunOperator
from airflow_provider_tallyfy.operators._launch_project import TallyfyLaunchProjectOperator
from airflow_provider_tallyfy.operators._lifecycle import TallyfyActivateRunOperator, TallyfyArchiveRunOperator
from airflow_provider_tallyfy.operators._list import TallyfyListRunsOperator
from airflow_provider_tallyfy.operators._records import (
    TallyfyExportRunOperator,
    TallyfyGetRunOperator,
    TallyfyRunActivityOperator,
)
from airflow_provider_tallyfy.operators._steps import TallyfyCommentOperator, TallyfyCompleteTaskOperator
from airflow_provider_tallyfy.operators._tags import TallyfyTagRunOperator
from airflow_provider_tallyfy.operators._update_delete import TallyfyDeleteRunOperator, TallyfyUpdateRunOperator

__all__ = [
    "TallyfyActivateRunOperator",
    "TallyfyApprovalOperator",
    "TallyfyArchiveRunOperator",
    "TallyfyCommentOperator",
    "TallyfyCompleteTaskOperator",
    "TallyfyDeleteRunOperator",
    "TallyfyExportRunOperator",
    "TallyfyGetAnswersOperator",
    "TallyfyGetRunOperator",
    "TallyfyLaunchProjectOperator",
    "TallyfyLaunchRunOperator",
    "TallyfyListRunsOperator",
    "TallyfyRunActivityOperator",
    "TallyfyTagRunOperator",
    "TallyfyUpdateRunOperator",
]

for _name in __all__:
    globals()[_name].__module__ = __name__  # the public path, in the UI and in what Airflow stores
