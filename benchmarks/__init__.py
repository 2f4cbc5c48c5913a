"""Benchmarks: each prints a table that compares this package with a named peer in the same run."""
