"""Files that tasks read and write, anywhere that Airflow's object storage reaches."""
