"""The contenders in Java: compiled once into build/bench-java, run with the machine's Java."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from flurry_fast.errors import FlurryFastError
from flurry_fast.stack import jars
from flurry_fast.stack.options import PartName
from flurry_fast.stack.progress import Silent

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "bench/contenders/java"
# One core: the serial collector costs the least CPU there; the young generation is large, so that it runs rarely.
FLAGS = ("-XX:+UseSerialGC", "-Xms3g", "-Xmx3g", "-Xmn1500m", "-Xshare:auto")
CLIENT_JARS = ("kafka-clients", "lz4-java", "slf4j-api", "snappy-java", "zstd-jni")


class JavaMissing(FlurryFastError):
    """There is no Java compiler on this machine."""


def compiled(sources: Sequence[str], class_path: Sequence[Path] = ()) -> Path:
    """The folder of the classes; compiles what has changed. Raises JavaMissing, CalledProcessError."""
    javac = shutil.which("javac")
    if javac is None:
        raise JavaMissing("The contenders in Java need javac.", way_out="Install a JDK 17 or newer.")
    paths = [SOURCES / f"{name}.java" for name in sources]
    sha = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]
    folder = ROOT / "build/bench-java" / sha
    if not folder.exists():
        temporary = folder.with_suffix(f".{os.getpid()}")
        libraries = ["-cp", ":".join(map(str, class_path))] if class_path else []
        subprocess.run(
            [javac, "-Xlint:all,-serial,-path,-classfile", "-d", str(temporary), *libraries, *map(str, paths)],
            check=True,
        )
        temporary.rename(folder)
    return folder


def command(
    main: str, folder: Path, *arguments: str, class_path: Sequence[Path] = (), flags: Sequence[str] = ()
) -> list[str]:
    """What runs a class of ours. `flags`: of the JVM, beside those of all."""
    return ["java", *FLAGS, *flags, "-cp", ":".join(map(str, (folder, *class_path))), main, *arguments]


def hbase_jars() -> Path:
    """The folder of hbase-client and what it needs, as the stack's jars have them. Raises JarsUnavailable."""
    return _jars("hbase")


def kafka_jars() -> list[Path]:
    """kafka-clients and what it needs, as the stack's jars have them. Raises JarsUnavailable."""
    folder = _jars("kafka")
    return sorted(path for name in CLIENT_JARS for path in folder.glob(f"{name}-[0-9]*.jar"))


def _jars(part: PartName) -> Path:
    home = os.environ.get("JAVA_HOME")
    return jars.resolve(jars.default_cache(), part, shutil.which("mvn"), Path(home) if home else None, Silent())
