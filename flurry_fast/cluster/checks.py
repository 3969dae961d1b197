"""Looks at everything that a consumer with these settings stands on: `config check --cluster`, `topics check`.

A check is a function from settings to findings. What another kind of store or file system needs is one more line in
CHECKS; a check that has nothing to say of these settings returns nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from flurry_fast.cluster.findings import Finding, unknown
from flurry_fast.config.model import Settings
from flurry_fast.errors import FlurryFastError

Check = Callable[[Settings], list[Finding]]

# what is looked at -> module:function, loaded only when it is asked for
CHECKS: dict[str, str] = {
    "brokers": "flurry_fast.cluster.kafka_checks:brokers",
    "topic": "flurry_fast.cluster.kafka_checks:topic",
    "group": "flurry_fast.cluster.kafka_checks:group",
    "registry": "flurry_fast.cluster.kafka_checks:registered",
    "tables": "flurry_fast.cluster.store_checks:tables",
    "archive": "flurry_fast.cluster.archive_checks:archive",
}


def look(
    settings: Settings, names: Sequence[str] | None = None, checks: Mapping[str, str] = CHECKS
) -> Iterator[tuple[str, list[Finding]]]:
    """(what was looked at, what was found) for each check, or for those of `names`, in order.

    What can not be asked is a finding, too: nothing is raised.
    """
    for name in names if names is not None else checks:
        try:
            yield name, _load(checks[name])(settings)
        except FlurryFastError as error:
            yield name, [unknown(name, str(error))]


def _load(place: str) -> Check:
    module, _, function = place.partition(":")
    check: Check = getattr(importlib.import_module(module), function)
    return check
