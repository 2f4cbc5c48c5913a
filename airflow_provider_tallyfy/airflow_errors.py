"""The two exceptions that Airflow acts on. ``api`` gets them here, and nothing else of Airflow."""

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

__all__ = ["AirflowException", "AirflowFailException"]
