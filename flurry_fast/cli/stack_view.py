"""A stack for people and for scripts."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from flurry_fast.config.units import format_duration
from flurry_fast.stack import Stack, StackStatus
from flurry_fast.stack.options import NAMES

_MIB = 1 << 20


def shown(root: Path) -> str:
    """A folder as the user would write it."""
    return str(root.relative_to(Path.cwd())) if root.is_relative_to(Path.cwd()) else str(root)


def as_object(stack: Stack, status: StackStatus) -> dict[str, Any]:
    """Everything as plain values; `ok` is whether all of it is usable."""
    return {
        "dir": str(stack.folder.root),
        "ok": status.ok,
        "addresses": asdict(stack.addresses),
        "settings": dict(stack.addresses.settings),
        "settings_file": str(stack.folder.settings),
        "options": stack.options.model_dump(),
        "parts": {name: {"ok": problem is None, "problem": problem} for name, problem in status.parts.items()},
        "servers": {
            server.name: {
                "part": server.part,
                "pid": server.pid,
                "ok": server.problem is None,
                "problem": server.problem,
                "rss_bytes": server.usage.rss if server.usage else None,
                "peak_rss_bytes": server.usage.peak if server.usage else None,
                "cpu_seconds": server.usage.cpu if server.usage else None,
                "age_seconds": server.usage.age if server.usage else None,
                "log": str(stack.folder.log_of(server.name)),
            }
            for server in status.servers
        },
    }


def print_addresses(stack: Stack) -> None:
    """Where it is, and the settings that use it."""
    addresses = stack.addresses
    lines = []
    if addresses.kafka is not None:
        lines.append(("Kafka", addresses.kafka))
    if addresses.hdfs is not None:
        lines.append(("HDFS", f"{addresses.hdfs} (WebHDFS and JMX: {addresses.webhdfs})"))
    if addresses.hbase_thrift is not None:
        host, port = addresses.hbase_thrift
        where = "HDFS" if stack.options.hbase_root == "hdfs" else "local files"
        lines.append(("HBase", f"Thrift gateway {host}:{port}, ZooKeeper {addresses.zookeeper}, on {where}"))
    for name, text in lines:
        click.echo(f"  {name:<6} {text}")
    if addresses.settings:
        flags = " ".join(f"--set {shlex.quote(f'{key}={value}')}" for key, value in addresses.settings.items())
        click.echo(f"\nUse it with  --config {shlex.quote(shown(stack.folder.settings))}  or with\n  {flags}")


def print_status(status: StackStatus) -> None:
    """A line a server, then what is not usable."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("server", "pid", "MiB", "peak", "CPU s", "age", "health"):
        table.add_column(name, justify="left" if name in ("server", "health") else "right", no_wrap=name != "health")
    for server in status.servers:
        usage = server.usage
        numbers = [""] * 4
        if usage is not None:
            age = format_duration(float(round(usage.age)))
            numbers = [f"{usage.rss // _MIB:,}", f"{usage.peak // _MIB:,}", f"{usage.cpu:,.1f}", age]
        table.add_row(server.name, str(server.pid or ""), *numbers, server.problem or "well")
    Console(highlight=False, width=None if sys.stdout.isatty() else 140).print(table)
    for name, problem in status.parts.items():
        if problem is not None:
            click.echo(f"{NAMES[name]} can not be used: {problem}.")
