"""Changes a counter behind the store's back, so well that only another count can tell."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from flurry_fast.verify import blocks
from flurry_fast.verify.plan import CountedPlan


def add_one(path: Path, plan: CountedPlan) -> int:
    """Adds 1 to one counter of one block, CRC and all; the topic incarnation of that block."""
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = next(name for name in tables if name.startswith("counters_"))
        for trigger in ("one_value", "only_up", "no_delete"):
            database.execute(f"DROP TRIGGER {table}_{trigger}")
        row, qualifier, value = database.execute(f"SELECT row, qualifier, value FROM {table} LIMIT 1").fetchone()
        block = blocks.decode(plan, value)
        groups = next(iter(block.rollups.values()))
        measures = next(iter(groups.values()))
        measures[next(iter(measures))] += 1
        changed = blocks.encode(plan, block)
        database.execute(f"UPDATE {table} SET value = ? WHERE row = ? AND qualifier = ?", (changed, row, qualifier))
        database.commit()
    return blocks.parse_qualifier(qualifier)[1]
