"""Real consumers that count into HBase, killed, through a proxy that spoils replies; and an operator of its tables."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flurry_fast.cli import main
from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.stores.hbase import HBaseStore

from ..consumer.pipeline import Pipeline, wait_until
from ..faults.proxy import FaultProxy, Kind

Open = Callable[..., HBaseStore]
NOVEMBER = "counters_201311"  # the reports are of then


@pytest.fixture
def pipeline(tmp_path: Path, hbase_address: HBaseAddress) -> Iterator[Pipeline]:
    made = Pipeline(tmp_path, partitions=2, overrides={"counters.store": str(hbase_address)})
    yield made
    made.close()


def run(pipeline: Pipeline, *arguments: str, typed: str | None = None) -> Result:
    flags = [item for key, value in pipeline.overrides.items() for item in ("--set", f"{key}={value}")]
    return CliRunner().invoke(main, [*arguments, *flags], input=typed)


def consume_all(pipeline: Pipeline) -> None:
    consumer = pipeline.consumer()
    wait_until(lambda: pipeline.committed() == pipeline.truth.ends(), "everything committed", consumer=consumer)
    assert consumer.stop() == 0


def test_counters_are_exact_over_kills_and_spoiled_replies(pipeline: Pipeline, hbase_address: HBaseAddress) -> None:
    chance = random.Random(7)
    with FaultProxy(hbase_address.host, hbase_address.port) as proxy:
        through = HBaseAddress("127.0.0.1", proxy.port, hbase_address.prefix)
        hurried = {"counters.store": str(through), "counters.write_timeout": "2s", "counters.retry_wait": "50ms"}
        end = pipeline.keep_producing(100)
        consumer = pipeline.consumer(**hurried)
        for number in range(9):
            target = proxy.calls + chance.randrange(5, 40)
            while proxy.calls < target:
                if consumer.process.poll() is not None:  # a start that met a fault ends with a sentence
                    assert "can not be used now" in consumer.said()
                    consumer = pipeline.consumer(**hurried)
                time.sleep(0.02)
            method = chance.choice([b"mutateRowsTs", b"checkAndPut", b"getRow"])
            kind = chance.choice([Kind.CUT, Kind.RESET, Kind.RESET_BEFORE, Kind.HOLD, Kind.REPLACE, Kind.SWALLOW])
            proxy.spoil(kind, method, keep=9)
            if number % 3 == 2:
                consumer.kill()
                consumer = pipeline.consumer(**hurried)
        end()
        consumer.kill()
    consume_all(pipeline)
    pipeline.assert_exact()


def test_tables_are_made_checked_and_dropped(
    pipeline: Pipeline, hbase_address: HBaseAddress, hbase_opener: Open
) -> None:
    missing = run(pipeline, "tables", "check")
    assert (missing.exit_code, "There is no store" in missing.stderr) == (1, True)
    made = run(pipeline, "tables", "create", "2013-11", "201312", "--compression", "gz")
    assert made.exit_code == 0, made.stderr
    assert made.stdout.count(" made.") == 2
    assert run(pipeline, "tables", "create", "2013-11").stdout.endswith("201311 is there.\n")
    checked = run(pipeline, "tables", "check", "--json")
    assert checked.exit_code == 0, checked.stderr
    tables = {
        found["table"].removeprefix(hbase_address.prefix): found
        for found in map(json.loads, checked.stdout.splitlines())
    }
    assert set(tables) == {"control", "counters_201311", "counters_201312"}
    assert tables[NOVEMBER]["compression"] == "GZ"
    said = run(pipeline, "tables", "check")
    assert (said.exit_code, "Fit: 3 tables" in said.stdout, "Not there yet" in said.stderr) == (0, True, True)

    pipeline.produce(200)
    consume_all(pipeline)
    pipeline.assert_exact()
    audited = run(pipeline, "audit", "--complete")
    assert audited.exit_code == 0, audited.stderr

    refused = run(pipeline, "tables", "drop", "2013-11", "--yes")
    assert refused.exit_code == 1
    assert "Reports may still count in" in str(refused.stderr)
    pipeline.sent += 60 * 86_400 // 20  # two months later
    pipeline.produce(100)
    unread = run(pipeline, "tables", "drop", "2013-11", "--yes")
    assert (unread.exit_code, "Reports may still count in" in unread.stderr) == (1, True), unread.stderr
    consume_all(pipeline)
    assert "Would drop" in run(pipeline, "tables", "drop", "2013-11", "--dry-run").stdout
    declined = run(pipeline, "tables", "drop", "2013-11", typed="n\n")
    assert (declined.exit_code, "Nothing was changed" in declined.stderr) == (1, True)
    dropped = run(pipeline, "tables", "drop", "2013-11", "2001-01", "--yes")
    assert dropped.exit_code == 0, dropped.stderr
    assert "There is no table" in dropped.stderr
    assert NOVEMBER not in hbase_opener(create=False).tables()
    assert "not made again" in run(pipeline, "tables", "create", "2013-11").stderr
    assert run(pipeline, "tables", "drop", "2013-11", "--yes").exit_code == 0  # as after a death in the midst
    audited = run(pipeline, "audit", "--complete")
    assert audited.exit_code == 0, audited.stderr
    assert "their months were dropped" in audited.stdout


def test_an_unfit_table_stops_the_start(pipeline: Pipeline, hbase_opener: Open) -> None:
    from importlib import import_module

    store = hbase_opener()
    family = import_module("Hbase_thrift").ColumnDescriptor(name=b"d:", maxVersions=1, timeToLive=3600)
    store.gateway.call("createTable", store.admin.full_name(NOVEMBER), [family])
    checked = run(pipeline, "tables", "check")
    assert (checked.exit_code, "Counters would be wrong" in checked.stderr) == (1, True)
    consumer = pipeline.consumer()
    assert consumer.process.wait(60) == 3
    assert "TTL => 'FOREVER'" in consumer.said()
    assert "Traceback" not in consumer.said()


def test_splits_need_the_tool(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HBASE_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run(pipeline, "tables", "create", "2013-11", "--splits", "4")
    assert (result.exit_code, "HBASE_HOME" in result.stderr) == (1, True)
    result = run(pipeline, "tables", "create", "2013-11", "--splits", "4", "--hbase", "/bin/false")
    assert (result.exit_code, "RegionSplitter" in result.stderr) == (1, True)
    assert run(pipeline, "tables", "create", "--splits", "4", "--compression", "GZ").exit_code == 2
