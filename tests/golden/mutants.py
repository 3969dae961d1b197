"""How sharp is the corpus? Small changes to the independent count, one at a time: which does no counter notice?

`python -m tests.golden.mutants` changes each number by one, turns each comparison, swaps each plus and each `and`, and
prints the changes that leave every kept counter as it is, for a human to say why that is right.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from flurry_fast.verify import clock, count, dedup, dimensions
from flurry_fast.verify.plan import CountedPlan

from ..reference.decoder import decode
from . import corpus
from .outcomes import PLANS

SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def mutants(source: str) -> Iterator[tuple[str, ast.Module]]:
    """What is changed, with its line; and the changed module."""
    for place, node in enumerate(ast.walk(ast.parse(source))):
        for kind in range(2 * len(getattr(node, "ops", "1"))):
            tree = ast.parse(source)
            changed: Any = list(ast.walk(tree))[place]
            what = _change(changed, kind)
            if what:
                yield f"{node.lineno}: {what} in {source.splitlines()[node.lineno - 1].strip()}", tree  # type: ignore[attr-defined]


def _change(node: Any, kind: int) -> str:
    """Changes a node in one of its ways; says how, or nothing where there is no such way."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        node.value += (1, -1)[kind]
        return f"{node.value}"
    if isinstance(node, ast.Compare) and kind < len(node.ops) and type(node.ops[kind]) in SWAPS:
        node.ops[kind] = SWAPS[type(node.ops[kind])]()
        return type(node.ops[kind]).__name__
    if isinstance(node, ast.BinOp | ast.BoolOp) and kind == 0 and type(node.op) in SWAPS:
        node.op = SWAPS[type(node.op)]()
        return type(node.op).__name__
    return ""


@contextmanager
def replaced(module: ModuleType, tree: ast.Module) -> Iterator[type[count.Count]]:
    """The count with a changed module in the place of `module`."""
    changed = ModuleType(module.__name__)
    changed.__dict__.update(__file__=module.__file__, __package__=module.__package__)
    # Whoever has the module, or a class of it, by name.
    users = [
        (user, name, value)
        for user in (count, dimensions)
        for name, value in vars(user).items()
        if user is not module and (value is module or getattr(value, "__module__", "") == module.__name__)
    ]
    sys.modules[module.__name__] = changed
    try:
        exec(compile(tree, str(module.__file__), "exec"), changed.__dict__)
        for user, name, value in users:
            setattr(user, name, changed if value is module else vars(changed)[name])
        yield changed.Count if module is count else count.Count
    finally:
        sys.modules[module.__name__] = module
        for user, name, value in users:
            setattr(user, name, value)


def main() -> None:
    """Prints what goes unnoticed, and how many are noticed."""
    lines = [
        json.dumps({**decode(r.payload), "partition": r.partition, "offset": r.offset, "timestamp_ms": r.timestamp})
        for r in corpus.read()
    ]
    plans = [CountedPlan.parse(path.read_text()) for path in PLANS.values()]

    def outcome(make: type[count.Count]) -> list[count.Blocks]:
        counts = [make(plan) for plan in plans]
        for line in lines:
            for counting in counts:
                counting.add(json.loads(line))
        return [counting.finish() for counting in counts]

    expected, noticed, unnoticed = outcome(count.Count), 0, 0
    for module in (clock, dimensions, dedup, count):
        for what, tree in mutants(Path(str(module.__file__)).read_text()):
            try:
                with replaced(module, tree) as make:
                    same = outcome(make) == expected
            except Exception:
                same = False
            noticed, unnoticed = noticed + (not same), unnoticed + same
            if same:
                print(f"{module.__name__.rpartition('.')[2]}.py:{what}", flush=True)
    print(f"{noticed} changes noticed, {unnoticed} not")


if __name__ == "__main__":
    main()
