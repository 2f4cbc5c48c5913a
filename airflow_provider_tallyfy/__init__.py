"""Apache Airflow provider for Tallyfy. Imported on every ``import airflow``, so it loads nothing heavy."""

from airflow_provider_tallyfy.provider_info import get_provider_info

__version__ = "0.1.0"

__all__ = ["__version__", "get_provider_info"]
