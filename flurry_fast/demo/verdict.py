"""Is every counter exact? Asked of the store when all is over, of the audit and of the independent count."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from flurry_fast._core import Plan
from flurry_fast.config.load import load
from flurry_fast.demo.children import Children
from flurry_fast.demo.tally import Comparison, Tally, Target
from flurry_fast.demo.workspace import Workspace
from flurry_fast.kafka import Cluster


@dataclass(frozen=True)
class Audit:
    """What `flurry-fast audit` said: the archive folded again against the blocks, and the archive's own chain."""

    passed: bool
    output: str


@dataclass(frozen=True)
class Verdict:
    """The demo's answer. `exact` only if both judges found something to look at and nothing wrong."""

    comparison: Comparison
    audit: Audit
    kills: list[float] = field(default_factory=list)  # seconds after the start

    @property
    def exact(self) -> bool:
        return self.comparison.exact and self.audit.passed

    def sentences(self) -> list[str]:
        """For people, the answer first."""
        found = self.comparison
        size = f"{found.counters:,} counters in {found.blocks:,} blocks of {found.apps:,} apps"
        if found.exact:
            said = [f"All {size} are exact: equal to an independent count of the {found.reports:,} reports sent."]
        elif found.counters == 0 and not found.wrong:
            said = ["There were no counters to compare."]
        else:
            said = [f"{found.wrong:,} differences in {size}:", *(f"  {line}" for line in found.differences[:10])]
            if found.wrong > 10:
                said.append(f"  … and {found.wrong - 10:,} more.")
        if found.exact and found.again:
            said.append(f"{found.again:,} sessions came again (devices resend what nobody acknowledged): counted once.")
        if self.audit.passed:
            said.append("The audit passed: the archive holds every report once, and folds to the same blocks.")
        else:
            said += ["The audit failed:", self.audit.output.rstrip()]
        return said

    def save(self, path: Path) -> None:
        """As JSON: `exact`, then everything that was found."""
        content = {"exact": self.exact} | asdict(self)
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def target(workspace: Workspace, plan: Plan) -> Target:
    """What to compare with. Only while the broker runs: it tells the topic's incarnation."""
    settings = load(workspace.config, {}, {}).settings
    return Target(settings.counters.store, plan.id, Cluster(settings.kafka).incarnation())


def audit(workspace: Workspace, children: Children, timeout: float = 300.0) -> Audit:
    """Runs `flurry-fast audit` as a user would. Raises ChildFailed if it does not end in time."""
    child = children.start("audit", "audit", "--config", str(workspace.config))
    code = child.wait(timeout)
    return Audit(code == 0, child.tail(40))


def judge(
    tally: Tally,
    against: Target,
    audited: Audit,
    kills: list[float],
    progress: Callable[[int], None] = lambda _counted: None,
) -> Verdict:
    """Compares every counter, and says what came of all of it; `progress` as in `Tally.compare`. Raises CountFailed."""
    return Verdict(tally.compare(against, progress), audited, kills)
