"""Real servers for the parts that need them: a stack that runs already, or one of our own while a part runs."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from flurry_fast.stack import Stack, StackOptions
from flurry_fast.stack.addresses import Addresses
from flurry_fast.stack.errors import StackRefused

BASE_PORT = 29_500  # beside the stacks of people (19000) and of tests
Product = Literal["kafka", "hdfs", "hbase"]
ALL: tuple[Product, ...] = ("kafka", "hdfs", "hbase")


@contextmanager
def folder_of(*wanted: Product) -> Iterator[Path]:
    """The folder of a stack that runs as long as the context; HBase is on HDFS if that is wanted. Raises StackError."""
    hbase, hdfs = "hbase" in wanted, "hdfs" in wanted
    with tempfile.TemporaryDirectory(prefix="bench-stack-") as folder:
        options = StackOptions(
            base_port=BASE_PORT,
            kafka="kafka" in wanted,
            hdfs=hdfs,
            hbase=hbase,
            hbase_on=("hdfs" if hdfs else "file") if hbase else None,
        )
        stack = Stack.up(Path(folder), options)
        try:
            yield Path(folder)
        finally:
            stack.down(wipe=True)


@contextmanager
def servers(options: argparse.Namespace, *wanted: Product) -> Iterator[Addresses]:
    """Where they are. `options.stack_dir`: a stack that runs. Raises StackError."""
    with a_stack(options, *wanted) as stack:
        yield stack.addresses


@contextmanager
def a_stack(options: argparse.Namespace, *wanted: Product) -> Iterator[Stack]:
    """The same, with its processes. Raises StackError."""
    if options.stack_dir is not None:
        stack = Stack.at(options.stack_dir)
        lacking = [name for name in wanted if name not in stack.options.parts]
        if lacking:
            raise StackRefused(
                f"The stack in {options.stack_dir} has no {' and no '.join(lacking)}.",
                way_out="Start one with it, or leave out --stack-dir.",
            )
        yield stack
        return
    with folder_of(*wanted) as folder:
        yield Stack.at(folder)
