"""Where a stack's servers are, and what flurry_fast is to be told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flurry_fast.stack import hbase, hdfs, kafka
from flurry_fast.stack.options import StackOptions
from flurry_fast.stack.ports import HOST, Ports


@dataclass(frozen=True)
class Addresses:
    """None for what is no part of the stack.

    `kafka`: bootstrap servers; `hdfs`: URL of the file system; `webhdfs`: URL of the NameNode's HTTP side;
    `hbase_thrift`: host and port of the gateway; `zookeeper`: host:port of HBase's own.
    """

    kafka: str | None
    hdfs: str | None
    webhdfs: str | None
    hbase_thrift: tuple[str, int] | None
    zookeeper: str | None

    @classmethod
    def of(cls, options: StackOptions) -> Addresses:
        """They follow from the options."""
        ports = Ports(options.base_port)
        return cls(
            kafka=kafka.bootstrap(options) if options.kafka else None,
            hdfs=hdfs.url(options) if options.hdfs else None,
            webhdfs=f"http://{HOST}:{ports.namenode_http}" if options.hdfs else None,
            hbase_thrift=hbase.gateway(options) if options.hbase else None,
            zookeeper=f"{HOST}:{ports.zookeeper}" if options.hbase else None,
        )

    @property
    def settings(self) -> Mapping[str, str]:
        """Settings of flurry_fast that use this stack, by dotted key."""
        settings = {}
        if self.kafka is not None:
            settings["kafka.bootstrap"] = self.kafka
        if self.hbase_thrift is not None:
            settings["counters.store"] = "hbase://{}:{}".format(*self.hbase_thrift)
        if self.hdfs is not None:
            settings["archive.root"] = f"{self.hdfs}/flurry"
        return settings

    def settings_file(self) -> str:
        """The same as TOML, for `--config`."""
        lines = ["# Written by `flurry-fast stack up`: give it to a command with --config.\n"]
        for dotted, value in self.settings.items():
            section, key = dotted.split(".")
            lines.append(f'\n[{section}]\n{key} = "{value}"\n')
        return "".join(lines)
