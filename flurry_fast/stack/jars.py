"""The servers' jars: pinned by a POM a part, resolved by Maven once, kept in a cache that all stacks share.

A part's folder in the cache is named after its POM's hash and appears in one step, complete, with the list of its jars.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from flurry_fast.stack.errors import JarsUnavailable
from flurry_fast.stack.options import PartName
from flurry_fast.stack.progress import Progress

CACHE_VARIABLE = "FLURRY_FAST_STACK_CACHE"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
COUNT: Mapping[PartName, int] = {"kafka": 47, "hdfs": 128, "hbase": 186}  # jars, for the progress only
MEGABYTES: Mapping[PartName, int] = {"kafka": 44, "hdfs": 68, "hbase": 124}
_LIST = "jars.json"  # name -> bytes
_ENOUGH_LINES = 6  # of Maven's errors


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """$FLURRY_FAST_STACK_CACHE, else the user's cache folder."""
    if environ.get(CACHE_VARIABLE):
        return Path(environ[CACHE_VARIABLE]).absolute()
    home = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home).absolute() / "flurry_fast" / "jars"


def pom(part: PartName) -> bytes:
    """The dependencies of a part, as Maven reads them."""
    return (resources.files("flurry_fast.stack") / "poms" / f"{part}.xml").read_bytes()


def place(cache: Path, part: PartName) -> Path:
    """Where the jars of a part are, or will be."""
    return cache / f"{part}-{hashlib.sha256(pom(part)).hexdigest()[:16]}"


def is_complete(folder: Path) -> bool:
    """Whether every jar is there at its full size."""
    try:
        listed: dict[str, int] = json.loads((folder / _LIST).read_text(encoding="utf-8"))
        return bool(listed) and all((folder / name).stat().st_size == size for name, size in listed.items())
    except (OSError, ValueError):
        return False


def resolve(cache: Path, part: PartName, maven: str | None, java_home: Path | None, progress: Progress) -> Path:
    """The folder of the part's jars; brings them with Maven if they are not there. Raises JarsUnavailable.

    Two at once do not hinder each other: the second one waits, and takes what the first one brought.
    """
    folder = place(cache, part)
    if is_complete(folder):
        return folder
    if maven is None:
        raise JarsUnavailable(f"The jars of {part} are not in {cache}, and there is no Maven to bring them.")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(folder.with_suffix(".lock")):
            if not is_complete(folder):
                _bring(folder, part, maven, java_home, progress)
    except OSError as error:
        raise JarsUnavailable(
            f"The jars of {part} can not be kept in {cache}: {error.strerror}.",
            way_out=f"Name another folder with {CACHE_VARIABLE}.",
        ) from None
    return folder


def _bring(folder: Path, part: PartName, maven: str, java_home: Path | None, progress: Progress) -> None:
    # Under the lock, what is there was interrupted; its Maven may still write there, so it gets a name of its own.
    for old in (folder, *folder.parent.glob(f"{folder.name}.*.part")):
        shutil.rmtree(old, ignore_errors=True)
    temporary = folder.with_suffix(f".{os.getpid()}.part")
    temporary.mkdir()
    file = temporary / "pom.xml"
    file.write_bytes(pom(part))
    # -U: a jar that was not found once is looked for again, now.
    command = [maven, "-B", "-U", "-Dstyle.color=never", "-f", str(file), COPY]
    command += ["-DincludeScope=runtime", f"-DoutputDirectory={temporary}"]
    progress.resolving(part, 0, COUNT[part], 0)
    _run(command, part, java_home, progress)
    jars = {path.name: path.stat().st_size for path in sorted(temporary.glob("*.jar"))}
    (temporary / _LIST).write_text(json.dumps(jars), encoding="utf-8")
    os.sync()  # a list that outlives a power cut must not name jars that do not
    temporary.rename(folder)
    progress.resolved(part, len(jars), sum(jars.values()))


def _run(command: list[str], part: PartName, java_home: Path | None, progress: Progress) -> None:
    environment = dict(os.environ) if java_home is None else {**os.environ, "JAVA_HOME": str(java_home)}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", env=environment,
    )  # fmt: skip
    assert process.stdout is not None
    copied = size = 0
    errors: list[str] = []
    try:
        for line in process.stdout:
            if found := re.search(r"Downloaded from .* \(([0-9.]+) (B|kB|MB)", line):
                size += int(float(found[1]) * {"B": 1, "kB": 1_000, "MB": 1_000_000}[found[2]])
            elif re.search(r"Copying .*\.jar to ", line):
                copied += 1
            elif line.startswith("[ERROR]") and line[7:].strip():
                errors.append(line[7:].strip())
                continue
            else:
                continue
            progress.resolving(part, copied, COUNT[part], size)
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        process.stdout.close()
    if code:
        said = "\n".join(errors[:_ENOUGH_LINES]) or f"it exited with {code}"
        raise JarsUnavailable(
            f"Maven could not bring the jars of {part}: {said}",
            way_out="Give the same command again once that is put right; what was downloaded is kept. A proxy or a"
            " mirror belongs into Maven's settings.xml. For a machine without network, copy another one's cache"
            f" folder and name it with {CACHE_VARIABLE}.",
        )


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
