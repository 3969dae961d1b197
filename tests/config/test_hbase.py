"""What counters.store may say of HBase."""

from __future__ import annotations

import pytest

from flurry_fast.config import ConfigError, load
from flurry_fast.config.hbase import HBaseAddress, parse_hbase


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("hbase://gateway", HBaseAddress("gateway", 9090, "flurry_")),
        ("hbase://10.0.0.1:9091/", HBaseAddress("10.0.0.1", 9091, "flurry_")),
        ("hbase://h:1/mine_", HBaseAddress("h", 1, "mine_")),
        ("hbase://h/analytics:", HBaseAddress("h", 9090, "analytics:")),
        ("hbase://h/analytics:mine-", HBaseAddress("h", 9090, "analytics:mine-")),
        ("hbase://[::1]:9090/x_", HBaseAddress("::1", 9090, "x_")),
    ],
)
def test_addresses(text: str, address: HBaseAddress) -> None:
    assert parse_hbase(text) == address
    assert parse_hbase(str(address)) == address
    assert load(None, {"counters.store": text}, {}).settings.counters.store == text


@pytest.mark.parametrize(
    "text",
    [
        "hbase:",
        "hbase:h:1",
        "hbase://",
        "hbase://h:0",
        "hbase://h:70000",
        "hbase://h/a/b",
        "hbase://h/-x",
        "hbase://h h",
    ],
)
def test_refusals(text: str) -> None:
    with pytest.raises(ConfigError, match=r"counters\.store"):
        load(None, {"counters.store": text}, {})
