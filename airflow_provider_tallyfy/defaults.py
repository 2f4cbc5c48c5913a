"""Defaults of arguments, in a module that DAG files can import at no cost."""

DEFAULT_CONN_ID = "tallyfy_default"

#: What Airflow's database takes as one XCom on every backend, with some room.
MAX_XCOM_BYTES = 48 * 1024
