"""What storms stand on: three brokers, HBase on HDFS; and where their figures go."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console

from flurry_fast.stack import Stack, StackOptions, free_base

DOCS = Path("docs/exactness.md")
FILE = click.Path(dir_okay=False, path_type=Path)


def own_stack(root: Path, cleanup: ExitStack, console: Console) -> Stack:
    """In a folder under `root`; gone when `cleanup` is over."""
    console.print("Starting three Kafka brokers, HDFS and HBase", highlight=False)
    options = StackOptions(brokers=3, hbase_on="hdfs", quick=True, base_port=free_base())
    stack = Stack.up(root / "stack", options)
    cleanup.callback(stack.down, wipe=True)
    return stack
