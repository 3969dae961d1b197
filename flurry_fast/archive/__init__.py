"""The raw data log archive: every record of the topic, once, in Parquet files that are claimed one after the other."""
