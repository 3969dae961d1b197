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

BASE_PORT = 29_500  # beside the stacks of people (19000) and of tests
Product = Literal["kafka", "hbase"]


@contextmanager
def folder_of(*wanted: Product) -> Iterator[Path]:
    """The folder of a stack that runs as long as the context. Raises StackError."""
    hbase = "hbase" in wanted
    with tempfile.TemporaryDirectory(prefix="bench-stack-") as folder:
        options = StackOptions(
            base_port=BASE_PORT,
            kafka="kafka" in wanted,
            hdfs=False,
            hbase=hbase,
            hbase_on="file" if hbase else None,
        )
        stack = Stack.up(Path(folder), options)
        try:
            yield Path(folder)
        finally:
            stack.down(wipe=True)


@contextmanager
def servers(options: argparse.Namespace, *wanted: Product) -> Iterator[Addresses]:
    """Where they are. `options.stack_dir`: a stack that runs. Raises StackError."""
    if options.stack_dir is not None:
        yield Stack.at(options.stack_dir).addresses
        return
    with folder_of(*wanted) as folder:
        yield Stack.at(folder).addresses
