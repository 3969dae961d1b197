"""Makes the helpers of the archive's and the consumer's tests importable (importlib mode adds no path)."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "archive"), str(TESTS / "consumer")]
