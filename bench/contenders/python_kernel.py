"""A contender in Python over the corpus in memory: ``python -m bench.contenders.python_kernel NAME CORPUS``.

Answers the lines of bench/child.py: ``prepare`` (not timed: empty tables, garbage collected), ``round`` (timed), and
``digest``. Ours are contenders like the others. The garbage collector rests during a round, in Python's favour.
"""

from __future__ import annotations

import gc
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.corpus import Corpus, read_corpus
from bench.digest import digest

Round = Callable[[], Any]


class Kernel:
    """One way to go through the corpus. `prepare` gives what is timed; `digest` is of the last round's result."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def prepare(self) -> Round:
        raise NotImplementedError

    def digest(self, result: Any) -> str:
        """What it came to: equal among contenders that do the same."""
        raise NotImplementedError


class Crc(Kernel):
    """CRC-32 of every report: the least that touches every byte."""

    def prepare(self) -> Round:
        from flurry_fast._core import crc32_batch

        return lambda: [crc32_batch(batch) for batch in self.corpus.batches]

    def digest(self, result: Any) -> str:  # noqa: ARG002
        return f"- {len(self.corpus)} 0"


class Decode(Kernel):
    """Decode and validate; nothing is kept."""

    def prepare(self) -> Round:
        from flurry_fast._core import decode_batch

        return lambda: [decode_batch(batch) for batch in self.corpus.batches]

    def digest(self, result: Any) -> str:
        return f"- {len(self.corpus)} {len(self.corpus) - sum(readable for readable, _ in result)}"


class Engine(Kernel):
    """Decode and count with a plan of bench/native.py, into empty tables."""

    plan = "five"

    def prepare(self) -> Round:
        from bench import native

        engine = native.new_engine(native.load_plan(self.plan))

        def work() -> Any:
            native.absorb(engine, self.corpus)
            return engine

        return work

    def digest(self, result: Any) -> str:
        from bench import native

        unreadable = sum(result.stats()["unreadable"].values())
        if self.plan != "five":
            return f"- {result.stats()['updates']} {unreadable}"
        plan = native.load_plan(self.plan)
        return f"{digest(native.lines(plan, native.frozen(result)))} {unreadable}"


class EngineDefault(Engine):
    plan = "default"


class Freeze(Kernel):
    """The canonical blocks of everything counted, ready for a store; what is counted before is not timed."""

    plan = "five"

    def prepare(self) -> Round:
        from bench import native

        engine = native.new_engine(native.load_plan(self.plan))
        native.absorb(engine, self.corpus)
        return lambda: (engine, engine.freeze(None))

    def digest(self, result: Any) -> str:
        return f"- {sum(part.count for part in result[1].parts)} 0"


class FreezeDefault(Freeze):
    plan = "default"


class Archive(Kernel):
    """Decode and write the archive's file (zstd), as its sink does without claiming it."""

    def prepare(self) -> Round:
        from bench import native

        engine = native.new_engine(native.load_plan("five"), counters=False, archive=True)
        path = Path(tempfile.gettempdir()) / f"bench-{os.getpid()}.parquet"

        def work() -> Path:
            native.absorb(engine, self.corpus)
            native.write_parquet(native.take_archive(engine), path)
            return path

        return work

    def digest(self, result: Any) -> str:
        """SHA-256 of the reports that the file gives back, and its bytes."""
        import pyarrow.parquet as pq

        from flurry_fast._core import restore_batch

        sha, size = hashlib.sha256(), result.stat().st_size
        with pq.ParquetFile(result) as file:
            for batch in file.iter_batches(10_000):
                sha.update(restore_batch(batch).payload)
        result.unlink()
        return f"{sha.hexdigest()} {size} 0"


class Plain(Kernel):
    """One of the contenders of this folder."""

    def __init__(self, corpus: Corpus, kind: Callable[[], Any], encode: Callable[[bytes], bytes] | None = None) -> None:
        super().__init__(corpus)
        self._kind = kind
        self._payloads = corpus.payloads if encode is None else [encode(payload) for payload in corpus.payloads]

    def prepare(self) -> Round:
        counter = self._kind()

        def work() -> Any:
            counter.absorb(self._payloads, self.corpus.times)
            return counter

        return work

    def digest(self, result: Any) -> str:
        return f"{digest(result.lines())} {result.unreadable}"


def kernel(name: str, corpus: Corpus) -> Kernel:
    """By the name of bench/kernels.py. Raises KeyError."""
    ours = {
        "crc": Crc, "decode": Decode, "five": Engine, "default": EngineDefault, "freeze_five": Freeze,
        "freeze_default": FreezeDefault, "archive": Archive,
    }  # fmt: skip
    if name in ours:
        return ours[name](corpus)
    if name.startswith("msgspec"):
        from bench.contenders import python_msgspec

        kinds = {"msgspec_whole": python_msgspec.MsgspecWhole, "msgspec_needed": python_msgspec.MsgspecNeeded}
        return Plain(corpus, kinds[name], python_msgspec.encode)
    from bench.contenders.python_decode import PythonDecode
    from bench.contenders.python_struct import PythonStruct

    return Plain(corpus, {"python_needed": PythonStruct, "python_whole": PythonDecode}[name])


def main() -> None:
    """See the module's words."""
    name, path = sys.argv[1:]
    worker = kernel(name, read_corpus(Path(path)))
    print("ready", flush=True)
    work: Round | None = None
    result: Any = None
    for line in map(str.strip, sys.stdin):
        match line:
            case "prepare":
                result = work = None
                work = worker.prepare()
                gc.collect()
                gc.freeze()
                print("prepared", flush=True)
            case "round":
                assert work is not None
                gc.disable()
                result = work()
                gc.enable()
                print("done", flush=True)
            case "digest":
                print("digest", worker.digest(result), flush=True)
            case _:
                raise ValueError(line)


if __name__ == "__main__":
    main()
