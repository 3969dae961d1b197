"""What is aimed at: ratios of one run on one machine, by the names that parts give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Target:
    """`most`: the ratio shall be the limit or less; `least`: or more."""

    kind: Literal["most", "least"]
    limit: float
    what: str

    def met(self, ratio: float) -> bool:
        """Whether a ratio reaches it."""
        return ratio <= self.limit if self.kind == "most" else ratio >= self.limit

    def __str__(self) -> str:
        return f"{'≤' if self.kind == 'most' else '≥'} {self.limit:g}"


TARGETS: Mapping[str, Target] = {
    "decode_vs_crc": Target("most", 4.2, "decode and validate, in CRC-32 of the same bytes"),
    "aggregate_vs_crc": Target("most", 9, "decode + five rollups, in CRC-32"),
    "aggregate_vs_java_stream": Target("least", 8, "Java DataInputStream + HashMap costs … times ours"),
    "aggregate_vs_java_fast": Target("least", 2.5, "optimised Java costs … times ours"),
    "aggregate_vs_python": Target("least", 40, "optimised Python costs … times ours"),
    "aggregate_vs_msgspec": Target("least", 15, "msgspec on the same records costs … times ours"),
    "ns_per_counter_update": Target("most", 30, "default plan beyond decode, ns an update"),
    "topic_to_counters_vs_drain_plus_aggregate": Target("most", 1.1, "topic to counters, in its parts alone"),
    "topic_to_counters_vs_python": Target("least", 30, "a plain Python consumer costs … times ours"),
    "topic_to_counters_vs_java_stream": Target("least", 3, "a Java consumer as Flurry's costs … times ours"),
    "topic_to_counters_vs_best_framework_with_our_decoder": Target("least", 3, "the best framework, our decoder in it"),
    "hbase_write_vs_happybase": Target("least", 6, "happybase's client CPU a row, in ours"),
    "archive_us_per_report": Target("most", 3.5, "decode, encode, compress and write, µs CPU a report"),
    "archive_bytes_per_report": Target("most", 200, "bytes of archive a report"),
    "pyarrow_vs_native_writer": Target("least", 2, "ready columns to file: pyarrow at its fastest costs … times ours"),
    "pyarrow_vs_native_whole": Target("least", 2, "decode, columns and pyarrow with our settings cost … times ours"),
    "parquet_rs_vs_native_writer": Target(
        "least", 2, "ready columns to file: parquet-rs at its fastest costs … times ours"
    ),
    "parquet_rs_vs_native_whole": Target("least", 2, "decode, columns and parquet-rs at its fastest cost … times ours"),
    "whole_million_points_per_s": Target("least", 1.5, "Kafka to HBase and HDFS on this machine, exactly once"),
    "latency_p99_s_at_half_load": Target("most", 1.5, "from due at a device to read in HBase, seconds"),
    "steady_rss_gb": Target("most", 1.5, "resident, 400,000 apps, 60 s flush"),
    "steady_base_reads_per_report": Target("most", 0.02, "blocks read before they were counted"),
    "steady_rows_per_report": Target("most", 0.3, "rows of HBase that a report costs"),
}
