"""PySpark Structured Streaming: `availableNow` over the topic, every micro-batch handed over as Arrow columns.

In its favour: one local thread, no state store, no shuffle, no Python worker, since the driver counts, and the start
of Spark is not timed. The Kafka source is a jar (spark.xml) that Maven brings once, into build/frameworks-spark.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from bench.frameworks.job import Counter, serve
from bench.topic import Backlog

ROOT = Path(__file__).resolve().parents[2]
POM = Path(__file__).with_name("spark.xml")
JARS = ROOT / "build/frameworks-spark"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


def jars() -> str:
    """The Kafka source's jars, with commas. Raises CalledProcessError."""
    if not JARS.exists():
        temporary = JARS.with_suffix(f".{os.getpid()}")
        command = [shutil.which("mvn") or "mvn", "-B", "-q", "-f", str(POM), COPY, "-DincludeScope=runtime"]
        subprocess.run([*command, f"-DoutputDirectory={temporary}"], check=True, stdout=2)
        temporary.rename(JARS)
    return ",".join(map(str, sorted(JARS.glob("*.jar"))))


def session() -> SparkSession:
    """One thread, one gigabyte more than it needs, no web server."""
    settings = {
        "spark.jars": jars(),
        "spark.ui.enabled": "false",
        "spark.driver.memory": "3g",
        "spark.driver.maxResultSize": "2g",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.session.timeZone": "UTC",
    }
    builder: Any = SparkSession.builder.master("local[1]").appName("bench")
    for name, value in settings.items():
        builder = builder.config(name, value)
    made: SparkSession = builder.getOrCreate()
    made.sparkContext.setLogLevel("ERROR")
    return made


def run(spark: SparkSession, backlog: Backlog, counter: Counter) -> None:
    """Every record once."""
    source = {
        "kafka.bootstrap.servers": backlog.brokers,
        "subscribe": backlog.topic,
        "startingOffsets": "earliest",
        "maxOffsetsPerTrigger": "50000",
    }

    def count(frame: Any, _number: int) -> None:
        table = frame.select("value", "timestamp").toArrow()
        times = table.column("timestamp").cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())
        counter.absorb(table.column("value").to_pylist(), times.to_pylist())

    with tempfile.TemporaryDirectory() as folder:
        stream = spark.readStream.format("kafka").options(**source).load()
        query = (
            stream.writeStream.foreachBatch(count)
            .trigger(availableNow=True)
            .option("checkpointLocation", folder)
            .start()
        )
        query.awaitTermination()


if __name__ == "__main__":
    serve(partial(run, session()))
