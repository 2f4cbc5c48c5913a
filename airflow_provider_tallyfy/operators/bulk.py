"""Operators that restore, archive, delete or launch many runs in one task, and their base."""

from airflow_provider_tallyfy.operators._bulk import TallyfyActivateRunsOperator, TallyfyArchiveRunsOperator
from airflow_provider_tallyfy.operators._bulk_base import TallyfyBulkOperator
from airflow_provider_tallyfy.operators._bulk_delete import TallyfyDeleteRunsOperator
from airflow_provider_tallyfy.operators._bulk_launch import TallyfyLaunchRunsOperator

__all__ = [
    "TallyfyActivateRunsOperator",
    "TallyfyArchiveRunsOperator",
    "TallyfyBulkOperator",
    "TallyfyDeleteRunsOperator",
    "TallyfyLaunchRunsOperator",
]

for _name in __all__:
    globals()[_name].__module__ = __name__  # the public path, in the UI and in what Airflow stores
