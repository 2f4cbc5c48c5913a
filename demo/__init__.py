"""A real Airflow on this machine, for the demonstration, the system tests and the benchmarks."""
