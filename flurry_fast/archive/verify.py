"""Is the archive what it says it is: chain, counts, checksums and, on request, every byte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flurry_fast._core import RestoreError, RowChecksum, archive_schema, restore_batch
from flurry_fast.archive.chain import Chain
from flurry_fast.archive.footer import Footer
from flurry_fast.errors import FlurryFastError, StoreUnavailable


@dataclass(frozen=True)
class Finding:
    """Something that is not as it must be. `start` names the file; None: the partition as a whole."""

    partition: int
    start: int | None
    fault: str


@dataclass
class Survey:
    """What the footers of a partition say. Offsets run from `start` to, and without, `end`; times are ms."""

    topic: str
    incarnation: str
    partition: int
    origin: int | None
    start: int | None = None
    end: int | None = None
    files: int = 0
    gaps: int = 0
    gap_offsets: int = 0
    rows: int = 0
    wire_bytes: int = 0
    file_bytes: int = 0
    min_timestamp: int | None = None
    max_timestamp: int | None = None
    min_event_ms: int | None = None
    max_event_ms: int | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings

    def as_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return asdict(self) | {"ok": self.ok}

    def add(self, footer: Footer, size: int) -> None:
        self.start = footer.start if self.start is None else self.start
        self.end = footer.end
        self.files += 1
        self.file_bytes += size
        self.rows += footer.rows
        self.wire_bytes += footer.wire_bytes
        if footer.gap is not None:
            self.gaps += 1
            self.gap_offsets += footer.end - footer.start
        self.min_timestamp = _least(self.min_timestamp, footer.min_timestamp)
        self.max_timestamp = _most(self.max_timestamp, footer.max_timestamp)
        self.min_event_ms = _least(self.min_event_ms, footer.min_event_ms)
        self.max_event_ms = _most(self.max_event_ms, footer.max_event_ms)


def _least(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


def _most(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else max(a, b)


def survey(chain: Chain) -> Survey:
    """Read every footer of a partition and hold the chain against its rules. Raises StoreUnavailable only."""
    result = Survey(chain.topic, f"{chain.incarnation:08x}", chain.partition, None)

    def fault(start: int | None, text: str) -> None:
        result.findings.append(Finding(chain.partition, start, text))

    links = chain.links()
    try:
        result.origin = chain.origin()
    except StoreUnavailable:
        raise
    except FlurryFastError as error:
        fault(None, error.message)
    if result.origin is None and not result.findings:
        fault(None, "there is no origin file")
    expected = result.origin
    for link in links:
        if expected is not None and link.start != expected:
            what = "offsets are missing" if link.start > expected else "offsets are archived twice"
            fault(link.start, f"starts at {link.start}, the file before ends at {expected}: {what}")
        try:
            footer = chain.footer(link.start)
        except StoreUnavailable:
            raise
        except (FlurryFastError, FileNotFoundError) as error:
            fault(link.start, str(error))
            expected = None  # nobody knows where it ends
            continue
        result.add(footer, link.bytes)
        expected = footer.end
    return result


def verify(chain: Chain, *, deep: bool, progress: Callable[[int], None] = lambda _: None) -> Survey:
    """As `survey`, and every file's rows against its footer; `deep`: every row's bytes against its CRC-32C, too.

    `progress` is told the bytes of each file that is done. Raises StoreUnavailable only.
    """
    result = survey(chain)
    damaged = {finding.start for finding in result.findings}
    for link in chain.links():
        if link.start not in damaged:
            try:
                faults = list(_file_faults(chain, link.start, deep))
            except StoreUnavailable:
                raise
            except (FlurryFastError, FileNotFoundError, pa.ArrowException, OSError) as error:
                faults = [f"can not be read: {error}"]
            result.findings += [Finding(chain.partition, link.start, fault) for fault in faults]
        progress(link.bytes)
    return result


def _file_faults(chain: Chain, start: int, deep: bool) -> Iterator[str]:
    footer = chain.footer(start)
    with chain.files.open(chain.path(start)) as source, pq.ParquetFile(source) as file:
        yield from _schema_faults(file.schema_arrow)
        rows = file.read(["offset", "crc32c", "kafka_timestamp", "outcome", "raw"])
        yield from _row_faults(footer, rows)
        if footer.gap is not None and footer.rows:
            yield f"records a gap ({footer.gap}) and yet holds {footer.rows} rows"
        if footer.gap is None and not footer.rows:
            yield "holds no rows and does not say why"
        if deep:
            yield from _byte_faults(footer, file)


def _schema_faults(stored: pa.Schema) -> Iterator[str]:
    known = pa.record_batch(archive_schema()).schema
    if not stored.remove_metadata().equals(known):
        yield "has other columns than its schema version says"


def _row_faults(footer: Footer, rows: pa.Table) -> Iterator[str]:
    offsets = rows["offset"].to_numpy()
    crcs = rows["crc32c"].to_numpy()
    if len(offsets):
        if not bool((offsets[1:] > offsets[:-1]).all()):
            distinct = len(np.unique(offsets))
            yield f"its offsets do not rise: {len(offsets)} rows, {distinct} distinct offsets"
        if offsets.min() < footer.start or offsets.max() >= footer.end:
            yield f"holds offsets {offsets.min()} to {offsets.max()} outside {footer.start} to {footer.end - 1}"
        if offsets[-1] != footer.end - 1:
            yield f"ends with offset {offsets[-1]}, its footer says {footer.end - 1}"
        if footer.last_crc != crcs[-1]:
            yield f"its last row has CRC-32C {crcs[-1]}, its footer says {footer.last_crc}"
        times = rows["kafka_timestamp"].cast(pa.int64()).to_numpy()
        if (times.min(), times.max()) != (footer.min_timestamp, footer.max_timestamp):
            yield f"its Kafka times are {times.min()} to {times.max()} ms, not as in its footer"
    rows_as_summed = np.empty(len(offsets), dtype=[("offset", ">i8"), ("crc", ">u4")])
    rows_as_summed["offset"], rows_as_summed["crc"] = offsets, crcs
    if hashlib.sha256(rows_as_summed.tobytes()).hexdigest() != footer.checksum:
        yield "the checksum of its rows is not the footer's"
    lost = rows.filter((pc.field("outcome") != "ok") & pc.field("raw").is_null()).num_rows
    if lost:
        yield f"{lost} unreadable reports have no bytes"


def _byte_faults(footer: Footer, file: pq.ParquetFile) -> Iterator[str]:
    checksum = RowChecksum()
    wire_bytes = 0
    for group in range(file.num_row_groups):
        for batch in file.read_row_group(group).to_batches():
            try:
                wire_bytes += len(restore_batch(batch, checksum).payload)
            except (RestoreError, ValueError, TypeError) as error:
                yield f"a report can not be restored: {error}"
                return
    if wire_bytes != footer.wire_bytes:
        yield f"restores to {wire_bytes} bytes, its footer says {footer.wire_bytes}"
    if checksum.hexdigest() != footer.checksum:
        yield "the checksum of its restored bytes is not the footer's"
