"""Benchmarks: what flurry_fast costs a report, and against whom. See README.md beside this file."""
