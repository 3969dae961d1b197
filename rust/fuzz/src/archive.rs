//! Reports to the archive's columns, and back: the very same bytes.

use flurry_core::archive::file::ParquetFile;
use flurry_core::archive::restore::restore;
use flurry_core::archive::{ArchiveBuilder, ArchiveChunk, RowChecksum};
use flurry_core::crc::crc32c;
use flurry_core::engine::sink::{Record, ReportSink};
use flurry_core::identity::Fingerprints;
use flurry_core::parquet::ParquetError;
use flurry_core::report::Report;
use flurry_core::wire::{self, Limits};

use crate::records;

/// Archives any records as one batch, and restores them.
pub fn check(bytes: &[u8]) {
    let payloads = records::split(bytes);
    let mut builder = ArchiveBuilder::new(Fingerprints::new(&[9; 16]), 0);
    for (offset, payload) in (0..).zip(&payloads) {
        let record = Record {
            partition: 0,
            offset,
            timestamp_ms: 1_384_000_000_000 + offset,
            payload,
            key: payload.get(..payload.len() % 5),
            headers: None,
        };
        let mut report = Report::default();
        let outcome = wire::decode(payload, &Limits::default(), &mut report);
        builder.append(&record, outcome.map(|()| &report), crc32c(payload));
    }
    let chunk = builder.take();
    let batches = match chunk.as_ref().map_or(Ok(Vec::new()), ArchiveChunk::batches) {
        Ok(batches) => batches,
        Err(error) => panic!("{error}"),
    };
    let (mut checksum, mut found) = (RowChecksum::default(), Vec::new());
    for batch in &batches {
        let restored = match restore(batch, checksum) {
            Ok(restored) => restored,
            Err(error) => panic!("{error}"),
        };
        let ends = restored.payload_offsets.windows(2);
        found
            .extend(ends.map(|ends| restored.payload[ends[0] as usize..ends[1] as usize].to_vec()));
        checksum = restored.checksum;
    }
    assert!(found == payloads, "restored to other bytes");
    if let Some(chunk) = chunk {
        assert_eq!(checksum.hex(), chunk.summary.checksum.hex());
        assert_eq!(chunk.summary.rows, payloads.len() as u64);
        if let Err(error) = encode(&chunk) {
            panic!("{error}");
        }
    }
}

/// Whatever was gathered becomes a file; tests/archive reads such files back.
fn encode(chunk: &ArchiveChunk) -> Result<(), ParquetError> {
    let mut file = ParquetFile::new(1)?;
    let groups = (0..).map_while(|group| file.row_group(chunk, group).transpose());
    let written = groups.collect::<Result<Vec<_>, _>>()?;
    assert_eq!(written.len(), chunk.groups.len());
    assert!(file.finish(&[], "fuzz").ends_with(b"PAR1"));
    Ok(())
}
