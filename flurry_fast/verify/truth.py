"""A store against a manifest: the whole independent check in one call."""

from __future__ import annotations

from pathlib import Path

from flurry_fast.errors import FlurryFastError
from flurry_fast.registry import Registry
from flurry_fast.registry import plans as registered_plans
from flurry_fast.spans import Spans
from flurry_fast.stores.base import CellStore
from flurry_fast.verify.compare import Comparison, compare_store, coverage
from flurry_fast.verify.count import CountError
from flurry_fast.verify.manifest import count_manifest
from flurry_fast.verify.plan import CountedPlan


class ManifestUnusable(FlurryFastError):
    """The manifest cannot be counted, or it is not clear what to compare it with."""


def compare_with_manifest(
    store: CellStore, topic: str, manifest: Path, *, incarnation: int | None = None, processes: int = 1
) -> Comparison:
    """Every counter of the topic against an independent count of the manifest, each plan over what it counted.

    The manifest must tell of every record of every partition, from offset 0 on, and the store must hold them all.
    `incarnation`: which of the topic's, if the store knows several. Raises ManifestUnusable, StoreError.
    """
    registry = Registry(store, topic, _no_broker)
    if registry.state() is None:
        raise ManifestUnusable(
            f"Nothing was counted for topic {topic} yet.", way_out="Run `flurry-fast consume` first."
        )
    known = registry.incarnations()
    if incarnation is None and len(known) == 1:
        incarnation = known[0]
    if incarnation is None or incarnation not in known:
        names = ", ".join(f"{number:08x}" for number in known)
        raise ManifestUnusable(
            f"Topic {topic} was made {len(known)} times: which of them does the manifest tell of?",
            way_out=f"Name its incarnation, one of {names}.",
        )
    spans, texts, total = Spans(store, registry), registered_plans(store), Comparison()
    numbers, ends = range(registry.partitions(incarnation) or 0), dict[int, int]()
    ranges = {
        span.plan: {number: spans.ranges(span.plan, incarnation, number, origin=0) for number in numbers}
        for span in spans.all
    }
    for plan, mine in ranges.items():
        try:
            count = count_manifest(manifest, CountedPlan.parse(texts[plan]), ranges=mine, processes=processes)
        except OSError as error:
            raise ManifestUnusable(f"{manifest} cannot be read ({error.strerror}).") from None
        except (CountError, KeyError, ValueError) as error:
            raise ManifestUnusable(f"{manifest} cannot be counted: {error}.") from error
        total += compare_store(store, count, plan_id=plan, incarnation=incarnation)
        ends = {number: count.end(number) for number in count.crcs}
    total.differences += coverage(list(ranges.values()), ends)
    return total


def _no_broker() -> int:
    raise NotImplementedError("a comparison asks no broker")
