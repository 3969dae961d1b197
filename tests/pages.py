"""Figures of a run that go into a page of the docs, between two marks."""

from __future__ import annotations

from pathlib import Path


def put_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between the marks, each on a line of its own. Raises ValueError if the page lacks one."""
    before, _, rest = page.read_text(encoding="utf-8").partition(f"{begin}\n")
    _, _, after = rest.partition(end)
    if not after:
        raise ValueError(f"{page} does not have both {begin} and {end}")
    page.write_text(f"{before}{begin}\n{text}{end}{after}", encoding="utf-8")
