"""What Tallyfy is and says: calls, answers, errors and procedures. No Airflow, no network, no clock."""
