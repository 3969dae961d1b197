"""Stacks and their weights: read from what the tools write, tidied, and listed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

Stack = tuple[str, ...]  # outermost first
Stacks = Counter[Stack]  # -> its weight: samples, bytes or calls

_FRAME = re.compile(r"\s*[0-9a-f]+ (?P<name>.*) \((?P<where>[^()]*(?: \(deleted\))?)\)$")
_OFFSET = re.compile(r"\+0x[0-9a-f]+$")
_HASH = re.compile(r"::h[0-9a-f]{16}$")  # that rustc's legacy mangling adds
_FOREIGN = re.compile(r"/\S*?/(?:site-packages|dist-packages|python3\.\d+|registry/src/[^/\s]+|library)/")
_ABSOLUTE = re.compile(r"(?<![\w.~>-])/[^\s()]*/")


def tidy(frame: str) -> str:
    """A frame as it can be shown anywhere: no folder of this machine, no hash of the compiler, no separator."""
    frame = _HASH.sub("", _OFFSET.sub("", frame.strip()))
    return _ABSOLUTE.sub("", _FOREIGN.sub("", frame)).replace(";", ",")


def from_perf_script(lines: Iterable[str]) -> Stacks:
    """Of the output of `perf script`: one paragraph a sample, its head first, then frames, innermost first.

    A sample is one unit of weight whatever it stood for: it was taken at a fixed rate. Frames without a name are
    called after their library; the kernel's end in _[k].
    """
    found: Stacks = Counter()
    head, frames = "", list[str]()

    def close() -> None:
        if head:
            found[head, *reversed(frames)] += 1
        frames.clear()

    for line in lines:
        if not line.strip():
            close()
            head = ""
        elif line[0].isspace():
            matched = _FRAME.match(line.rstrip("\n"))
            if matched is None:
                continue
            name, where = tidy(matched["name"]), matched["where"]
            if name == "[unknown]":
                name = f"[{where.strip('[]').rpartition('/')[2]}]"
            frames.append(f"{name}_[k]" if where.startswith("[kernel") else name)
        else:
            close()
            head = line.split()[0]
    close()
    return found


def from_folded(lines: Iterable[str]) -> Stacks:
    """Of lines `outermost;...;innermost WEIGHT`. Raises ValueError where a line is none."""
    found: Stacks = Counter()
    for line in filter(str.strip, lines):
        frames, _, weight = line.rstrip("\n").rpartition(" ")
        if not frames or not weight.isdigit():
            raise ValueError(f"not a folded stack: {line.strip()[:80]!r}")
        found[tuple(tidy(frame) for frame in frames.split(";"))] += int(weight)
    return found


def folded(stacks: Stacks) -> str:
    """Such lines, in order."""
    return "".join(f"{';'.join(stack)} {weight}\n" for stack, weight in sorted(stacks.items()))


def shares(stacks: Stacks) -> dict[str, tuple[float, float]]:
    """Function -> its share of the weight, alone and with what it called. A recursive one counts once a stack."""
    alone, whole = Counter[str](), Counter[str]()
    for stack, weight in stacks.items():
        alone[stack[-1]] += weight
        for name in set(stack):
            whole[name] += weight
    total = stacks.total() or 1
    return {name: (alone[name] / total, weight / total) for name, weight in whole.items()}


def table(stacks: Stacks, count: int = 30) -> str:
    """The `count` functions with the most weight of their own, one a line."""
    rows = sorted(shares(stacks).items(), key=lambda row: (-row[1][0], -row[1][1], row[0]))
    lines = ["  alone    with what it calls    function"]
    lines += [f"{alone:7.1%} {whole:13.1%}            {name}" for name, (alone, whole) in rows[:count] if alone]
    return "\n".join(lines) + "\n"
