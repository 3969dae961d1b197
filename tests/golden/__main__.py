"""Make the golden outcomes again: `python -m tests.golden`; with `corpus`, on a new corpus.

Results come from the engine and must be the independent count's. Other results than the kept ones are refused, unless
what they depend on has changed, too.
"""

from __future__ import annotations

import sys
from pathlib import Path

from . import corpus, outcomes
from .corpus import Record
from .outcomes import PLANS, Disagreement


def check(records: list[Record]) -> dict[Path, str]:
    """The files' new contents, each checked against the independent count and against what it would replace."""
    made = {}
    for plan, path in PLANS.items():
        toml = path.read_text()
        outcome, counted = outcomes.by_engine(toml, records), outcomes.by_count(toml, records)
        if outcome != counted:
            found = next(outcomes.differences(counted, outcome))
            raise Disagreement(f"engine and independent count disagree under plan {plan} (count, engine): {found}")
        kept = outcomes.file(plan)
        refused = outcomes.objection(plan, outcomes.load(kept.read_text()), outcome) if kept.exists() else None
        if refused is not None:
            raise Disagreement(refused)
        made[kept] = outcomes.dump(outcome)
    return made


def main(arguments: list[str]) -> int:
    """Exit status: 0 done, 1 refused, 2 usage."""
    if arguments not in ([], ["corpus"]):
        print("usage: python -m tests.golden [corpus]", file=sys.stderr)
        return 2
    try:
        if corpus.FILE.exists():
            made = check(corpus.read())  # a new corpus hides no change of results on the old one
        if arguments:
            records = corpus.make()
            made = check(records)
            corpus.write(records)
    except Disagreement as error:
        print(error, file=sys.stderr)
        return 1
    for path, content in made.items():
        path.write_text(content)
        print(f"{path.name}: {content.count(chr(10))} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
