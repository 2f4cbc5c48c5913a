"""Notifiers: callbacks of tasks, DAG runs and deadlines that tell people."""
