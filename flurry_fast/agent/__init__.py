"""Simulated devices: reports made by `_core.Simulator`, sent to Kafka or written to a file."""
