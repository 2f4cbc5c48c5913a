"""The notifier."""

from airflow_provider_tallyfy.notifications._notifier import TallyfyNotifier

__all__ = ["TallyfyNotifier"]

TallyfyNotifier.__module__ = __name__  # the public path, which Airflow stores for deadlines
