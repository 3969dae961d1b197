"""parquet-rs (the crate `parquet`) as a contender of the archive: built once into build/bench-parquet-rs.

It is a process of its own that has the same Arrow columns as pyarrow, and times itself (contenders/parquet_rs).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.child import Child
from flurry_fast.archive import encoding
from flurry_fast.errors import FlurryFastError

ROOT = Path(__file__).resolve().parents[1]
CRATE = ROOT / "bench/contenders/parquet_rs"
TARGET = ROOT / "build/bench-parquet-rs"
BINARY = TARGET / "release/parquet-contender"
COLUMNS, DICTIONARIES = "columns", "dictionaries"  # which rows it is given
BARE = {"statistics": "none", "bloom": None}  # of a column

Settings = dict[str, Any]


class ParquetRsMissing(FlurryFastError):
    """There is no cargo on this machine, or the crate cannot be built."""


def built() -> Path:
    """The program; cargo builds what has changed. Raises ParquetRsMissing."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise ParquetRsMissing("parquet-rs needs cargo.", way_out="Install Rust from https://rustup.rs.")
    where = ["--manifest-path", str(CRATE / "Cargo.toml"), "--target-dir", str(TARGET)]
    ended = subprocess.run([cargo, "build", "--quiet", "--release", "--locked", *where], check=False)
    if ended.returncode:
        raise ParquetRsMissing("parquet-rs could not be built.", way_out="cargo says above what it lacks.")
    return BINARY


def settings(options: Mapping[str, Any]) -> Settings:
    """What `encoding.options` says to pyarrow, for parquet-rs. A batch of values is as the crate has it."""
    (level,) = set(options["compression_level"].values())
    bloom = options["bloom_filter_options"]
    columns = {
        path: {
            "encoding": options["column_encoding"].get(path),
            "compressed": codec != "none",
            "statistics": "page" if path in options["write_statistics"] else "none",
            "bloom": bloom.get(path),
        }
        for path, codec in options["compression"].items()
    }
    assert {path for path, column in columns.items() if column["encoding"] is None} == set(options["use_dictionary"])
    return {
        "rows": COLUMNS,
        "zstd": level,
        "offset_index": options["write_page_index"],
        "dictionary_bytes": options["dictionary_pagesize_limit"],
        "page_bytes": options["data_page_size"],
        "columns": columns,
    }


def variants(schema: pa.Schema, rows: int, level: int) -> dict[str, Settings]:
    """name -> settings; `rows` is the size of the largest row group, `level` Zstandard's."""
    ours = settings(encoding.options(schema, rows, level))
    named = ours["columns"]
    chunks = {
        path: column | {"statistics": "chunk" if column["statistics"] == "page" else "none"}
        for path, column in named.items()
    }
    bare = ours | {"offset_index": False, "columns": {path: column | BARE for path, column in named.items()}}
    batch, delta = {"batch_values": 65_536}, {"delta_block": (1024, 4)}
    return {
        "parquet-rs": ours,
        "parquet-rs, its defaults": {"rows": COLUMNS, "zstd": level, "columns": {}},
        "parquet-rs, no statistics, index, bloom": bare,
        "parquet-rs, statistics of chunks": ours | {"columns": chunks},
        "parquet-rs, write_batch_size 65,536": ours | batch,
        "parquet-rs, delta blocks of 1,024": ours | delta,
        "parquet-rs, pages of 4 MiB, 1 M rows": ours | {"page_bytes": 2**22, "page_rows": 10**6},
        "parquet-rs, 8,192 rows at a time": ours | {"rows_at_once": 8192},
        "parquet-rs, zstd 3": ours | {"zstd": 3},
        "parquet-rs, uncompressed": ours | {"zstd": None},
        "parquet-rs, all texts as DictionaryArray": ours | {"rows": DICTIONARIES},
        "parquet-rs, the least of all": bare | batch,
        "parquet-rs, the least of all, delta blocks of 1,024": bare | batch | delta,
    }


class ParquetRs(Child):
    """The process, with the rows that it was given. A context: it ends with it."""

    def __init__(self, program: Path, rows: Mapping[str, Iterable[pa.RecordBatch]], folder: Path) -> None:
        """`rows`: by COLUMNS and DICTIONARIES; they are handed over in files of `folder`. Raises ChildFailed."""
        files = []
        for name, batches in rows.items():
            path = folder / f"{name}.arrows"
            first, *others = batches
            with pa.ipc.new_stream(str(path), first.schema) as out:
                for batch in (first, *others):
                    out.write_batch(batch)
            files.append(f"{name}={path}")
        super().__init__("parquet-rs", [str(program), *files])
        self.expect("ready")

    def write(self, path: Path, wanted: Settings) -> float:
        """Makes the file, which must not be there; CPU seconds of it alone. Raises ChildFailed."""
        answer = json.loads(self.ask("write " + json.dumps(wanted | {"path": str(path)}), "done"))
        assert answer["bytes"] == path.stat().st_size, "another file was written"
        return float(answer["cpu_ns"]) / 1e9
