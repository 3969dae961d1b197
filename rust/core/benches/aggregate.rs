//! Decoding and counting on one core, against CRC-32 alone over the same
//! bytes. Everything is asserted to have been counted before it is timed.
//! Simulated reports, one partition, nothing read from or written to a store.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flurry_core::crc::crc32;
use flurry_core::plan::Plan;
use flurry_core::sim::Settings;

use common::{DEFAULT, REPORTS, absorb, decode, engine, reports};

mod common;

const BATCH: usize = 5_000;

/// The prototype's: app; app × {version, country, model}; app × event.
const FIVE: &str = "
[[rollup]]
name = 'app'
dimensions = []
measures = ['sessions', 'new_users', 'ended_sessions', 'duration', 'page_views', 'events', 'errors']
cap = 1
[[rollup]]
name = 'version'
dimensions = ['app_version']
measures = ['sessions']
[[rollup]]
name = 'country'
dimensions = ['country']
measures = ['sessions']
[[rollup]]
name = 'model'
dimensions = ['device_model']
measures = ['sessions']
[[rollup]]
name = 'event'
dimensions = ['event']
measures = ['events', 'event_sessions', 'event_duration']
";

fn aggregate(c: &mut Criterion) {
    let batch = reports(Settings::default());
    let mut group = c.benchmark_group("aggregate");
    group
        .throughput(Throughput::Elements(REPORTS as u64))
        .sample_size(10);
    group.bench_function("CRC-32 alone", |b| {
        b.iter(|| {
            batch
                .payloads()
                .fold(0, |sum, payload| sum ^ crc32(payload))
        });
    });
    group.bench_function("decode", |b| {
        b.iter(|| black_box(decode(&batch)));
    });
    let forgetful = DEFAULT.replace("window_ms = 3_600_000", "window_ms = 0");
    for (name, text) in [
        ("five rollups", FIVE),
        ("default plan", DEFAULT),
        ("default plan, nobody is known again", &forgetful),
    ] {
        let plan = match Plan::parse(text) {
            Ok(plan) => Arc::new(plan),
            Err(error) => panic!("{error}"),
        };
        let mut warm = engine(&plan);
        absorb(&mut warm, &batch, BATCH);
        let stats = warm.stats();
        assert_eq!(stats.counted, REPORTS as u64);
        let per_report = |count: u64| count as f64 / REPORTS as f64;
        println!(
            "{name}: {:.2} data points, {:.2} updates, {:.2} new groups, {:.2} new blocks a report; {:.0} bytes a group",
            per_report(stats.data_points),
            per_report(stats.updates),
            per_report(warm.group_count() as u64),
            per_report(warm.block_count() as u64),
            warm.memory().blocks as f64 / warm.group_count() as f64,
        );
        group.bench_function(format!("{name}, empty tables"), |b| {
            b.iter_batched_ref(
                || engine(&plan),
                |engine| absorb(engine, &batch, BATCH),
                BatchSize::PerIteration,
            );
        });
        group.bench_function(format!("{name}, freeze"), |b| {
            b.iter_batched_ref(
                || {
                    let mut engine = engine(&plan);
                    absorb(&mut engine, &batch, BATCH);
                    engine
                },
                |engine| black_box(engine.freeze(None)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, aggregate);
criterion_main!(benches);
