"""How the archive's columns are written to Parquet: measured choices (docs/archive.md has the figures).

A library's defaults cost a third more time and a fifth more bytes: statistics of everything, dictionaries of values
that never repeat, plain numbers where neighbours are close.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

# Texts and bytes that hardly ever repeat: a dictionary would hash each for nothing.
UNIQUE = {"device_id", "user_id", "message", "trace", "push_token", "raw", "imei_sha1"}
# Of these, those that begin alike.
PREFIXED = {"device_id"}
# Numbers that nearly always are the same.
CONSTANT = {"ad_cache_ms", "pause_ms"}
# Random bits: no encoding and no compressor gains anything.
RANDOM = {"imei_sha1", "crc32c", "fingerprint"}
# Where minima and maxima let a reader skip pages and row groups.
STATISTICS = ["offset", "kafka_timestamp", "api_key", "device_id", "reported_at"]
# Looked up by equality.
BLOOM = ["api_key", "device_id"]
BLOOM_FALSE_POSITIVES = 0.01


def leaves(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """Parquet path and type of every leaf column."""
    found: list[tuple[str, pa.DataType]] = []

    def walk(path: str, data_type: pa.DataType) -> None:
        if pa.types.is_struct(data_type):
            for field in data_type:
                walk(f"{path}.{field.name}", field.type)
        elif pa.types.is_list(data_type):
            walk(f"{path}.list.element", data_type.value_type)
        else:
            found.append((path, data_type))

    for field in schema:
        walk(field.name, field.type)
    return found


def _encoding(name: str, data_type: pa.DataType) -> str | None:
    """The encoding of a leaf; None: a dictionary."""
    if name in CONSTANT:
        return None
    if name in PREFIXED:
        return "DELTA_BYTE_ARRAY"
    if name in UNIQUE:
        return "DELTA_LENGTH_BYTE_ARRAY"
    if pa.types.is_int64(data_type) or pa.types.is_timestamp(data_type):
        return "PLAIN" if name in RANDOM else "DELTA_BINARY_PACKED"
    if name in RANDOM or pa.types.is_floating(data_type) or pa.types.is_boolean(data_type):
        return "PLAIN"
    return None


def options(schema: pa.Schema, rows: int, compression_level: int) -> dict[str, Any]:
    """Arguments of `pq.ParquetWriter` for batches of `schema`; `rows` is the size of the largest row group."""
    dictionaries, encodings, compression = [], {}, {}
    for path, data_type in leaves(schema):
        name = path.rpartition(".")[2]
        encoding = _encoding(name, data_type)
        if encoding is None:
            dictionaries.append(path)
        else:
            encodings[path] = encoding
        compression[path] = "none" if name in RANDOM else "zstd"
    return {
        "version": "2.6",
        "use_dictionary": dictionaries,
        "column_encoding": encodings,
        "compression": compression,
        "compression_level": {path: compression_level for path, codec in compression.items() if codec == "zstd"},
        "write_statistics": STATISTICS,
        "write_page_index": True,
        "bloom_filter_options": {name: {"ndv": max(rows, 1), "fpp": BLOOM_FALSE_POSITIVES} for name in BLOOM},
        # One dictionary a column and row group; past the limit a column goes on without.
        "dictionary_pagesize_limit": 16 * 2**20,
        "data_page_size": 2**20,
        # Levels of nested columns are made a batch at a time; a large one costs a tenth less.
        "write_batch_size": 65_536,
        "store_schema": False,
    }
