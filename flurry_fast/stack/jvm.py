"""Command lines of the servers' JVMs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Hadoop and HBase reach into these.
_OPENED = (
    "java.nio", "sun.nio.ch", "java.lang", "java.lang.reflect", "java.io", "java.util", "java.util.concurrent",
    "jdk.internal.ref", "jdk.internal.misc",
)  # fmt: skip
OPEN = (
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
    "--add-exports=java.base/jdk.internal.misc=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    "-Dorg.apache.hbase.thirdparty.io.netty.tryReflectionSetAccessible=true",
)
C1_ONLY = "-XX:TieredStopAtLevel=1"  # halves the CPU that starting takes


def tags(root: Path, name: str) -> tuple[str, str]:
    """The two arguments by which a server's process is known to be that server of that stack."""
    return f"-Dstack.dir={root}", f"-Dstack.name={name}"


@dataclass(frozen=True)
class Jvm:
    """Makes the command lines of one stack. `java`: the program; `root`: the stack's folder."""

    java: str
    root: Path
    quick: bool

    def server(self, name: str, flags: Sequence[str], class_path: str, *main: str) -> tuple[str, ...]:
        """A server: known by its tags, ends itself when memory is out, leaves its crash report with the logs."""
        return (
            self.java,
            *tags(self.root, name),
            "-XX:+ExitOnOutOfMemoryError",
            "-XX:-UsePerfData",
            f"-XX:ErrorFile={self.root}/log/{name}-crash.log",
            *([C1_ONLY] if self.quick and C1_ONLY not in flags else []),
            *flags,
            "-cp",
            class_path,
            *main,
        )

    def tool(self, name: str, flags: Sequence[str], class_path: str, *main: str) -> tuple[str, ...]:
        """Something short that runs before a server does; known by its tags, too."""
        tagged = tags(self.root, name)
        return self.java, *tagged, "-Xmx256m", "-XX:+UseSerialGC", C1_ONLY, *flags, "-cp", class_path, *main
