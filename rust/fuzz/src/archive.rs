//! Reports to the archive's columns, and back: the very same bytes.

use flurry_core::archive::restore::restore;
use flurry_core::archive::{ArchiveBuilder, RowChecksum};
use flurry_core::crc::crc32c;
use flurry_core::engine::sink::{Record, ReportSink};
use flurry_core::identity::Fingerprints;
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
    let chunk = match builder.take() {
        Ok(chunk) => chunk,
        Err(error) => panic!("{error}"),
    };
    let (mut checksum, mut found) = (RowChecksum::default(), Vec::new());
    for batch in chunk.iter().flat_map(|chunk| &chunk.batches) {
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
    }
}
