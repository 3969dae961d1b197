//! Decoding and counting on one core, against CRC-32 alone over the same
//! bytes. Everything is asserted to have been counted before it is timed.
//! Simulated reports, one partition, nothing read from or written to a store.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flurry_core::crc::crc32;
use flurry_core::engine::sink::Record;
use flurry_core::engine::{CountersPosition, Engine};
use flurry_core::identity::Fingerprints;
use flurry_core::plan::Plan;
use flurry_core::report::Report;
use flurry_core::sim::{Batch, Settings, Simulator};
use flurry_core::wire::{self, Limits};

const REPORTS: usize = 100_000;
const BATCH: usize = 5_000;
const DEFAULT: &str = include_str!("../../../flurry_fast/plans/default.toml");

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

fn reports() -> Batch {
    match Simulator::new(Settings::default()) {
        Ok(mut simulator) => simulator.next_batch(REPORTS),
        Err(error) => panic!("{error}"),
    }
}

fn records(batch: &Batch, first: usize) -> impl Iterator<Item = Record<'_>> {
    let payloads = batch.payloads().zip(&batch.times_ms);
    (0i64..)
        .zip(payloads)
        .skip(first)
        .take(BATCH)
        .map(|(offset, (payload, time))| Record {
            partition: 0,
            offset,
            timestamp_ms: *time,
            payload,
            key: None,
            headers: None,
        })
}

fn engine(plan: &Arc<Plan>) -> Engine<()> {
    let mut engine = Engine::new(
        plan.clone(),
        1,
        Fingerprints::new(&[7; 16]),
        Box::new(|_, _| ()),
    );
    let origin = CountersPosition {
        position: 0,
        max_bucket: Some(-1),
        crc: None,
        max_timestamp: -1,
    };
    match engine.assign(0, 0, Some(origin), None, 0, None) {
        Ok(()) => engine,
        Err(error) => panic!("{error}"),
    }
}

fn absorb(engine: &mut Engine<()>, batch: &Batch) {
    for first in (0..REPORTS).step_by(BATCH) {
        if let Err(error) = engine.absorb(records(batch, first)) {
            panic!("{error}");
        }
    }
}

fn aggregate(c: &mut Criterion) {
    let batch = reports();
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
        b.iter(|| {
            let (limits, mut report) = (Limits::default(), Report::default());
            let read = |payload| wire::decode(payload, &limits, &mut report).is_ok();
            black_box(batch.payloads().map(read).filter(|ok| *ok).count())
        });
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
        absorb(&mut warm, &batch);
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
                |engine| absorb(engine, &batch),
                BatchSize::PerIteration,
            );
        });
        group.bench_function(format!("{name}, freeze"), |b| {
            b.iter_batched_ref(
                || {
                    let mut engine = engine(&plan);
                    absorb(&mut engine, &batch);
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
