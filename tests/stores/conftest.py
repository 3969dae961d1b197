"""HBase for store tests: the shared stack's."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

from flurry_fast.config.hbase import HBaseAddress
from flurry_fast.stack import Stack
from flurry_fast.stores.hbase import HBaseStore
from flurry_fast.stores.hbase.tables import CONTROL, Tables
from flurry_fast.stores.hbase.wire import Gateway


@pytest.fixture(scope="session")
def hbase_gateway(stack: Stack) -> HBaseAddress:
    """Where the gateway listens."""
    assert stack.addresses.hbase_thrift is not None
    return HBaseAddress(*stack.addresses.hbase_thrift, "")


@pytest.fixture
def hbase_address(hbase_gateway: HBaseAddress) -> Iterator[HBaseAddress]:
    """A prefix of one's own, whose tables go after the test."""
    address = HBaseAddress(hbase_gateway.host, hbase_gateway.port, f"test_{secrets.token_hex(4)}_")
    yield address
    gateway = Gateway(address, 60)
    tables = Tables(gateway, address.prefix)
    try:
        for name in (*tables.names(), CONTROL):
            tables.drop(name)
    finally:
        gateway.close()


@pytest.fixture
def hbase_store(hbase_address: HBaseAddress) -> Iterator[HBaseStore]:
    """A store of one's own."""
    store = HBaseStore(hbase_address, timeout=30)
    yield store
    store.close()


@pytest.fixture
def hbase_opener(hbase_address: HBaseAddress) -> Iterator[Callable[..., HBaseStore]]:
    """Opens the same store several times, with whatever settings; all are closed."""
    opened: list[HBaseStore] = []

    def open_(address: HBaseAddress = hbase_address, timeout: float = 30, **kwargs: bool) -> HBaseStore:
        opened.append(HBaseStore(address, timeout=timeout, **kwargs))
        return opened[-1]

    yield open_
    for store in opened:
        store.close()
