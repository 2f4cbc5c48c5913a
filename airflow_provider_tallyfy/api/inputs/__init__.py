"""What users write: readers of arguments, and what becomes of them in requests."""
