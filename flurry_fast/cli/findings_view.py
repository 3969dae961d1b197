"""Findings for people and for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable

import click

from flurry_fast.cluster.findings import Finding, Level, broken

WORDS: dict[Level, str] = {
    "refused": "the consumer does not start",
    "exactness": "breaks exactness",
    "unknown": "not known",
    "advice": "advice",
}


def report(looked: Iterable[tuple[str, list[Finding]]], *, as_json: bool) -> bool:
    """Print what was found; whether any of it is more than advice."""
    everything: list[Finding] = []
    names = []
    for name, findings in looked:
        names.append(name)
        everything += findings
        if not as_json:
            click.echo(f"{name}: {_summary(findings)}")
            for finding in findings:
                _print(finding)
    if as_json:
        found = {"ok": not broken(everything), "looked_at": names, "findings": [f.as_object() for f in everything]}
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    return broken(everything)


def _summary(findings: list[Finding]) -> str:
    serious = sum(finding.breaks for finding in findings)
    advice = len(findings) - serious
    words = [f"{serious} to put right"] if serious else []
    words += [f"{advice} to consider"] if advice else []
    return ", ".join(words) or "as it should be"


def _print(finding: Finding) -> None:
    if finding.level == "unknown" and not finding.setting:
        click.echo(f"  [{WORDS[finding.level]}] {finding.why}")
        return
    what = f"{finding.subject}: {finding.setting} is {finding.found}, should be {finding.wanted}: {finding.why}."
    click.echo(f"  [{WORDS[finding.level]}] {what}")
    if finding.command is not None:
        click.echo(f"      {finding.command}")
