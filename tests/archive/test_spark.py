"""Our files as Spark reads them, by its vectorized reader and by its row reader: the same as pyarrow's, row by row.

Spark is too large for the locked dependencies. Where PySpark 4 is installed beside them, and Java 17, this runs:

    pip install pyspark && python -m pytest tests/archive/test_spark.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import corpora
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rows import chunk_of

from flurry_fast.archive.footer import Footer
from flurry_fast.archive.format import Parquet, PyArrowParquet

pyspark = pytest.importorskip("pyspark", reason="PySpark is not installed")

pytestmark = [pytest.mark.timeout(1800), pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    home = tmp_path_factory.mktemp("spark")
    builder = SparkSession.builder.master("local[1]")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.memory": "2g",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": str(home),
        "spark.sql.warehouse.dir": str(home / "warehouse"),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "4",
        # Device clocks may show the year 1; no calendar but ours.
        "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="module", params=["captures", "simulated", "edges", "hostile"])
def files(request: pytest.FixtureRequest, bodies: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same rows by our writer and by pyarrow's."""
    payloads = {
        "captures": lambda: bodies,
        "simulated": lambda: corpora.simulated(40_000, malformed=0.02),
        "edges": lambda: corpora.edges(20_000),
        "hostile": lambda: corpora.hostile(12_000),
    }[request.param]()
    chunk = chunk_of(payloads)
    footer = Footer("reports", 1, 3, chunk.start, chunk.end, chunk.rows, chunk.wire_bytes, chunk.checksum, "w")
    folder = tmp_path_factory.mktemp(request.param)
    for name, writer in (("ours", Parquet()), ("theirs", PyArrowParquet())):
        with pa.OSFile(str(folder / f"{name}.parquet"), "wb") as sink:
            writer.write(sink, footer, chunk)
    return [folder / "ours.parquet", folder / "theirs.parquet"]


@pytest.mark.parametrize("vectorized", ["true", "false"])
def test_spark_reads_the_same(spark: Any, files: list[Path], vectorized: str) -> None:
    spark.conf.set("spark.sql.parquet.enableVectorizedReader", vectorized)
    spark.conf.set("spark.sql.parquet.enableNestedColumnVectorizedReader", vectorized)
    ours, theirs = (spark.read.parquet(str(path)) for path in files)
    table = pq.read_table(files[0], columns=["offset", "api_key", "device_id", "outcome"])
    assert ours.schema == theirs.schema
    assert ours.count() == table.num_rows
    assert ours.exceptAll(theirs).count() == 0
    assert theirs.exceptAll(ours).count() == 0
    # What page indexes and bloom filters must not skip.
    for place in range(0, table.num_rows, max(1, table.num_rows // 4)):
        row = {name: table[name][place].as_py() for name in table.column_names}
        assert ours.filter(ours["offset"] == row["offset"]).count() == 1
        for name in ("api_key", "device_id"):
            if row[name] is not None:
                expected = pa.compute.sum(pa.compute.equal(table[name], row[name])).as_py()
                assert ours.filter(ours[name] == row[name]).count() == expected
    assert ours.filter(ours.api_key == "nobody has this key").count() == 0
