"""Waits, end to end: what is waited for, how it is read and judged, on a worker and in the triggerer."""

#: What the result of a wait for many runs says of each of them, unless a task asks for something else.
RESULT_FIELDS = ("id", "name", "status", "archived_at", "completed_at", "url", "changed", "outcome")
