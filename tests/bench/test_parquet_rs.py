"""parquet-rs as a contender of the archive: told what our files are like, and its files hold what it was given."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import bench_archive, parquet_rs
from bench.child import ChildFailed
from bench.corpus import make_corpus
from flurry_fast._core import archive_schema
from flurry_fast.archive import encoding

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = pa.record_batch(archive_schema()).schema
LEAVES = [path for path, _ in encoding.leaves(SCHEMA)]


def test_it_is_of_the_arrow_version_that_we_use() -> None:
    def dependencies(path: Path) -> dict[str, str]:
        found = tomllib.loads(path.read_text(encoding="utf-8"))["dependencies"]
        return {name: value["version"] if isinstance(value, dict) else value for name, value in found.items()}

    ours = tomllib.loads((ROOT / "rust/Cargo.toml").read_text(encoding="utf-8"))["dependencies"]["arrow-array"]
    theirs = dependencies(parquet_rs.CRATE / "Cargo.toml")
    assert theirs["parquet"] == theirs["arrow-array"] == theirs["arrow-ipc"] == ours["version"]
    locked = tomllib.loads((parquet_rs.CRATE / "Cargo.lock").read_text(encoding="utf-8"))["package"]
    assert {p["version"] for p in locked if p["name"] in ("parquet", "arrow-array")} == {ours["version"]}


def test_every_variant_says_something_else_of_every_column() -> None:
    variants = parquet_rs.variants(SCHEMA, 1000, 1)
    told = list(variants.values())
    assert all(one != other for at, one in enumerate(told) for other in told[:at])
    assert [name for name, one in variants.items() if list(one["columns"]) != LEAVES] == ["parquet-rs, its defaults"]
    known = re.findall(
        r"^    (?:pub )?(\w+): ", (parquet_rs.CRATE / "src/settings.rs").read_text("utf-8"), re.MULTILINE
    )
    assert {key for one in told for key in one} <= set(known)


def test_the_policy_of_our_files_is_handed_on() -> None:
    columns = parquet_rs.variants(SCHEMA, 1000, 1)["parquet-rs"]["columns"]
    assert columns["device_id"] == {
        "encoding": "DELTA_BYTE_ARRAY",
        "compressed": True,
        "statistics": "page",
        "bloom": {"ndv": 1000, "fpp": encoding.BLOOM_FALSE_POSITIVES},
    }
    assert columns["imei_sha1"] == {
        "encoding": "DELTA_LENGTH_BYTE_ARRAY",
        "compressed": False,
        "statistics": "none",
        "bloom": None,
    }
    name = "sessions.list.element.events.list.element.name"
    assert columns[name] == {"encoding": None, "compressed": True, "statistics": "none", "bloom": None}


def test_a_file_that_is_much_larger_is_not_the_fastest() -> None:
    best = {bench_archive.OURS: 1.0, "pyarrow": 4.0, "pyarrow, uncompressed": 2.0, "parquet-rs": 3.0}
    best |= {bench_archive.WHOLE: 2.0, bench_archive.WHOLE_PYARROW: 6.0}
    best |= {bench_archive.DECODE: 0.5, bench_archive.COLUMNS: 1.0}
    sizes = {bench_archive.OURS: 200, "pyarrow": 220, "pyarrow, uncompressed": 300, "parquet-rs": 210}
    sizes |= {bench_archive.WHOLE: 200}
    found = bench_archive.ratios(best, sizes)
    assert found["pyarrow_vs_native_writer"] == 4.0
    assert found["parquet_rs_vs_native_writer"] == 3.0
    assert found["parquet_rs_vs_native_whole"] == 2.0
    del sizes["parquet-rs"]
    assert not any("parquet_rs" in name for name in bench_archive.ratios(best, sizes))


def test_without_cargo_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(parquet_rs.ParquetRsMissing, match=r"^parquet-rs needs cargo\. Install Rust"):
        parquet_rs.built()


@pytest.fixture
def program() -> Path:
    if not parquet_rs.BINARY.exists() or shutil.which("cargo") is None:
        pytest.skip("NOT TESTED: parquet-rs is not built (python -m bench.bench_archive builds it)")
    return parquet_rs.built()


@pytest.fixture
def batches() -> list[pa.RecordBatch]:
    return [pa.record_batch(batch) for batch in bench_archive.gather(make_corpus(500)).batches]


def test_its_files_hold_what_it_was_given(program: Path, batches: list[pa.RecordBatch], tmp_path: Path) -> None:
    rows = {
        parquet_rs.COLUMNS: batches,
        parquet_rs.DICTIONARIES: bench_archive.all_interned(batches),
    }
    table = pa.Table.from_batches(batches)
    variants = parquet_rs.variants(SCHEMA, len(table), 1)
    sizes = {}
    with parquet_rs.ParquetRs(program, rows, tmp_path) as child:
        for number, (name, settings) in enumerate(variants.items()):
            path = tmp_path / f"{number}.parquet"
            assert child.write(path, settings) > 0
            sizes[name] = path.stat().st_size
            assert pq.read_table(path).equals(table), name
    assert sizes["parquet-rs"] < sizes["parquet-rs, its defaults"] < sizes["parquet-rs, uncompressed"]
    _is_as_told(tmp_path / "0.parquet", variants["parquet-rs"])


def _is_as_told(path: Path, told: parquet_rs.Settings) -> None:
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(0)
        for number, name in enumerate(LEAVES):
            column, wanted = group.column(number), told["columns"][name]
            assert column.path_in_schema == name
            assert (wanted["encoding"] or "RLE_DICTIONARY") in column.encodings
            assert column.compression == ("ZSTD" if wanted["compressed"] else "UNCOMPRESSED")
            assert column.is_stats_set == (wanted["statistics"] != "none")
            assert column.has_column_index == (wanted["statistics"] == "page")


def test_a_column_that_is_not_there_is_refused(program: Path, batches: list[pa.RecordBatch], tmp_path: Path) -> None:
    settings = parquet_rs.variants(SCHEMA, 500, 1)["parquet-rs"]
    columns = settings["columns"] | {"sessions.list.item.start": settings["columns"]["offset"]}
    with parquet_rs.ParquetRs(program, {parquet_rs.COLUMNS: batches}, tmp_path) as child:
        with pytest.raises(ChildFailed):
            child.write(tmp_path / "x.parquet", settings | {"columns": columns})
        assert not (tmp_path / "x.parquet").exists()
