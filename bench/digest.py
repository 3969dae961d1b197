"""One number for all counters of a corpus, so that contenders in other processes and languages can be compared.

A line a group, ``key in hex, hour, rollup, group in hex, measures with commas`` with single blanks between, in the
order of its characters, each ended by a newline; then SHA-256. `contenders/java/Digest.java` does the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

Lines = Mapping[tuple[bytes, int, str, str], tuple[int, ...]]


def digest(lines: Lines) -> str:
    """The SHA-256 in hex and the number of lines, with a blank between."""
    made = sorted(
        f"{key.hex()} {hour} {rollup} {group.encode().hex()} {','.join(map(str, measures))}\n"
        for (key, hour, rollup, group), measures in lines.items()
    )
    return f"{hashlib.sha256(''.join(made).encode('ascii')).hexdigest()} {len(made)}"
