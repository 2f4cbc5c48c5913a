"""Tallyfy on the command line: ``airflow tallyfy ...``, and ``python -m airflow_provider_tallyfy ...``."""
