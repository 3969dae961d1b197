//! The archive's stages on one core, in one process and in turn: decoding, the
//! columns of a row group, its pages, a file in memory. CPU time, the least of
//! several rounds. For work on the archive; `perf/archive.md` has what it gave.
//!
//! `cargo bench -p flurry-core --bench archive -- [--rounds 10] [--level 1] [--only pages]`

use std::hint::black_box;

use flurry_core::archive::file::ParquetFile;
use flurry_core::archive::{ArchiveBuilder, ArchiveChunk};
use flurry_core::crc::crc32c;
use flurry_core::engine::sink::ReportSink;
use flurry_core::identity::Fingerprints;
use flurry_core::report::Report;
use flurry_core::sim::{Batch, Settings};
use flurry_core::wire::{self, Limits};

use common::{REPORTS, decode, records, reports, timed};

mod common;

const SEED: u64 = 20131120; // of bench/corpus.py
const STAGES: [&str; 5] = [
    "decode",
    "decode, CRC-32C",
    "decode, columns",
    "pages",
    "all of it",
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let number = |name: &str| after(name)?.parse().ok();
    let rounds = number("--rounds").unwrap_or(10);
    let level = number("--level").unwrap_or(1);
    let batch = reports(Settings {
        seed: SEED,
        ..Settings::default()
    });
    let chunk = columns(&batch);
    let mut least = [u64::MAX; STAGES.len()];
    let mut size = 0;
    for _ in 0..rounds {
        for (at, best) in least.iter_mut().enumerate() {
            if after("--only").is_some_and(|only| STAGES.get(at) != Some(&only.as_str())) {
                continue;
            }
            let nanos = match at {
                0 => timed(|| decode(&batch)),
                1 => timed(|| decode(&batch) as u32 ^ checksums(&batch)),
                2 => timed(|| columns(&batch)),
                3 => timed(|| size = file(&chunk, level)),
                _ => timed(|| file(&columns(&batch), level)),
            };
            *best = nanos.min(*best);
        }
    }
    for (name, nanos) in STAGES
        .iter()
        .zip(least)
        .filter(|(_, nanos)| *nanos < u64::MAX)
    {
        println!(
            "{name:20} {:7.0} ns a report",
            nanos as f64 / REPORTS as f64
        );
    }
    println!("{:.2} bytes a report", size as f64 / REPORTS as f64);
}

fn checksums(batch: &Batch) -> u32 {
    batch.payloads().fold(0, |sum, p| sum ^ crc32c(p))
}

/// As the engine gathers them.
fn columns(batch: &Batch) -> ArchiveChunk {
    let mut builder = ArchiveBuilder::new(Fingerprints::new(&[7; 16]), 0);
    let (limits, mut report) = (Limits::default(), Report::default());
    for record in records(batch, 0) {
        let outcome = wire::decode(record.payload, &limits, &mut report);
        builder.append(&record, outcome.map(|()| &report), crc32c(record.payload));
    }
    match builder.take() {
        Some(chunk) => chunk,
        None => panic!("no report"),
    }
}

/// Its bytes.
fn file(chunk: &ArchiveChunk, level: i32) -> usize {
    let pieces = |file: &mut ParquetFile, group| match file.row_group(chunk, group) {
        Ok(pieces) => pieces.map(|pieces| black_box(pieces).iter().map(Vec::len).sum::<usize>()),
        Err(error) => panic!("{error}"),
    };
    let mut file = match ParquetFile::new(level) {
        Ok(file) => file,
        Err(error) => panic!("{error}"),
    };
    let mut size = file.start().len();
    let mut group = 0;
    while let Some(bytes) = pieces(&mut file, group) {
        size += bytes;
        group += 1;
    }
    size + file.finish(&[], "bench").len()
}
