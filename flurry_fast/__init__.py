"""Exact counters and a Parquet archive from device reports on Kafka."""
