"""How a file of the archive is written and looked at: the seam between the chain of claims and Parquet.

Production has one format. The model test has another one, of the same rows and footers, to run through thousands of
schedules a second what chain and writer do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from flurry_fast import trials
from flurry_fast._core import ParquetEncoder, archive_schema, build_info
from flurry_fast.archive import encoding
from flurry_fast.archive import footer as footers
from flurry_fast.archive.footer import Footer

if TYPE_CHECKING:
    from flurry_fast._core import ArchiveChunk
    from flurry_fast.config.model import Archive

COMPRESSION_LEVEL = 1

# Readers look here for faults of old writers that they know; "NAME version X (build Y)" is how they parse it.
CREATED_BY = "flurry_fast version {version} (build {commit})".format_map(build_info())


class Format(Protocol):
    """What the bytes of a file are."""

    def write(self, sink: pa.NativeFile, footer: Footer, chunk: ArchiveChunk | None) -> None:
        """Write the rows, each row group by itself, and the footer. None: a file without rows."""

    def read(self, source: pa.NativeFile, where: str) -> tuple[Footer, int]:
        """The footer, and how many row groups the file holds. Raises StoreCorrupt, naming the file `where`."""

    def columns(self, source: pa.NativeFile, names: Sequence[str]) -> pa.Table:
        """These columns of all rows, in order (`sessions.list.element.duration_ms`: a field of a list's elements)."""


@dataclass(frozen=True)
class Parquet:
    """What everybody reads, by our own encoder."""

    compression_level: int = COMPRESSION_LEVEL

    def write(self, sink: pa.NativeFile, footer: Footer, chunk: ArchiveChunk | None) -> None:
        encoder = ParquetEncoder(self.compression_level)
        sink.write(encoder.start())
        if chunk is not None:
            for number in range(chunk.row_groups):
                for piece in encoder.row_group(chunk, number):
                    sink.write(piece)
                _without_footer()
        sink.write(encoder.finish(list(footer.encode().items()), created_by=CREATED_BY))

    def read(self, source: pa.NativeFile, where: str) -> tuple[Footer, int]:
        footer, metadata = footers.read(source, where)
        return footer, metadata.num_row_groups

    def columns(self, source: pa.NativeFile, names: Sequence[str]) -> pa.Table:
        with pq.ParquetFile(source) as file:
            return file.read(columns=list(names))


@dataclass(frozen=True)
class PyArrowParquet(Parquet):
    """The same columns, by pyarrow's writer: several times the CPU, and somewhat larger."""

    def write(self, sink: pa.NativeFile, footer: Footer, chunk: ArchiveChunk | None) -> None:
        batches = [] if chunk is None else chunk.batches
        schema = pa.record_batch(batches[0] if batches else archive_schema()).schema
        largest = max((len(batch) for batch in batches), default=0)
        with pq.ParquetWriter(sink, schema, **encoding.options(schema, largest, self.compression_level)) as out:
            for batch in batches:
                out.write_batch(pa.record_batch(batch), row_group_size=len(batch))
                _without_footer()
            out.add_key_value_metadata(footer.encode())


PARQUET = Parquet()


def _without_footer() -> None:
    """Rows are in the file, its end is not."""
    trials.fail_point("archive.file.inside")


def chosen(settings: Archive) -> Format:
    """The format that `archive.writer` names."""
    return {"native": Parquet, "pyarrow": PyArrowParquet}[settings.writer](settings.compression_level)
