"""Slow, plain Python readers and writers of the wire format, from the tables of docs/wire-format.md alone."""
