//! Reading reports, against CRC-32 alone over the same bytes: the least that
//! anybody who checks them can do. The bytes are the simulator's defaults.
//!
//! `cargo bench -p flurry-core --bench decode`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flurry_core::crc::{crc32, crc32c};
use flurry_core::report::Report;
use flurry_core::sim;
use flurry_core::wire::{self, Limits};

const REPORTS: usize = 20_000;

fn decode(c: &mut Criterion) {
    let (payload, offsets) = sim::corpus(REPORTS, 1);
    let reports: Vec<&[u8]> = offsets
        .windows(2)
        .filter_map(|ends| payload.get(ends[0] as usize..ends[1] as usize))
        .collect();
    let limits = Limits::default();
    let mut points = 0;
    for bytes in &reports {
        let mut report = Report::default();
        assert!(wire::decode(bytes, &limits, &mut report).is_ok());
        points += report.sessions.len() + report.events.len() + report.errors.len();
    }
    let of = reports.len() as f64;
    println!(
        "{} reports, {:.0} bytes and {:.2} data points each",
        reports.len(),
        payload.len() as f64 / of,
        points as f64 / of
    );

    let mut group = c.benchmark_group("wire");
    group
        .throughput(Throughput::Bytes(payload.len() as u64))
        .sample_size(20);
    group.bench_function("crc32 alone", |b| {
        b.iter(|| {
            reports
                .iter()
                .fold(0, |all, bytes| all ^ crc32(black_box(bytes)))
        });
    });
    group.bench_function("crc32c alone", |b| {
        b.iter(|| {
            reports
                .iter()
                .fold(0, |all, bytes| all ^ crc32c(black_box(bytes)))
        });
    });
    group.bench_function("decode", |b| {
        b.iter(|| {
            let mut report = Report::default();
            reports.iter().fold(0, |all, bytes| {
                match wire::decode(black_box(bytes), &limits, &mut report) {
                    Ok(()) => all ^ report.events.len() as u32,
                    Err(_) => all,
                }
            })
        });
    });
    group.bench_function("decode and encode", |b| {
        b.iter(|| {
            let mut report = Report::default();
            let mut out = Vec::new();
            reports.iter().fold(0, |all, bytes| {
                out.clear();
                match wire::decode(black_box(bytes), &limits, &mut report) {
                    Ok(()) => wire::encode(&report, &mut out),
                    Err(_) => return all,
                }
                all + out.len()
            })
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
