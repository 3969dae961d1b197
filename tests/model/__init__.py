"""The model test: the real product, on a simulated broker, store and file system, through random schedules.

`run(seed)` is one schedule: everything is drawn from the seed, every invariant is looked at whenever something happens
that could break it, and at the end every counter must be exact and the archive whole. docs/exactness.md, "By model",
says what is simulated and what is checked.
"""

from model.errors import Violation
from model.runner import Outcome, run

__all__ = ["Outcome", "Violation", "run"]
