"""``python -m airflow_provider_tallyfy``: the commands of ``airflow tallyfy`` on every supported Airflow."""

from airflow_provider_tallyfy.cli.definition import main

if __name__ == "__main__":
    main()
