//! What benches do with simulated reports, and how they take the time.
#![allow(dead_code)] // no bench needs all of it

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use flurry_core::engine::sink::Record;
use flurry_core::engine::{CountersPosition, Engine};
use flurry_core::identity::Fingerprints;
use flurry_core::plan::Plan;
use flurry_core::report::Report;
use flurry_core::sim::{Batch, Settings, Simulator};
use flurry_core::wire::{self, Limits};

pub const REPORTS: usize = 100_000;
pub const DEFAULT: &str = include_str!("../../../../flurry_fast/plans/default.toml");

pub fn reports(settings: Settings) -> Batch {
    match Simulator::new(settings) {
        Ok(mut simulator) => simulator.next_batch(REPORTS),
        Err(error) => panic!("{error}"),
    }
}

/// How many could be read.
pub fn decode(batch: &Batch) -> usize {
    let (limits, mut report) = (Limits::default(), Report::default());
    let read = |payload| wire::decode(payload, &limits, &mut report).is_ok();
    batch.payloads().map(read).filter(|ok| *ok).count()
}

/// With one partition, and nothing counted yet.
pub fn engine(plan: &Arc<Plan>) -> Engine<()> {
    let secret = Fingerprints::new(&[7; 16]);
    let mut engine = Engine::new(plan.clone(), 1, secret, Box::new(|_, _| ()));
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

/// All reports, at the offsets from `first` on.
pub fn records(batch: &Batch, first: i64) -> impl Iterator<Item = Record<'_>> {
    let payloads = batch.payloads().zip(&batch.times_ms);
    (first..)
        .zip(payloads)
        .map(|(offset, (payload, time))| Record {
            partition: 0,
            offset,
            timestamp_ms: *time,
            payload,
            key: None,
            headers: None,
        })
}

/// All reports, `size` at once, at the offsets that are due.
pub fn absorb(engine: &mut Engine<()>, batch: &Batch, size: usize) {
    let due = engine.partitions().first().map_or(0, |part| part.next);
    for first in (0..batch.len()).step_by(size) {
        let records = records(batch, due).skip(first).take(size);
        if let Err(error) = engine.absorb(records) {
            panic!("{error}");
        }
    }
}

/// Nanoseconds of CPU time, or of the clock where the system does not tell that.
pub fn timed<T>(work: impl FnOnce() -> T) -> u64 {
    let (start, cpu) = (Instant::now(), cpu_nanos());
    black_box(work());
    match (cpu, cpu_nanos()) {
        (Some(before), Some(after)) => after - before,
        _ => start.elapsed().as_nanos() as u64,
    }
}

/// What this thread has had of a core, where Linux tells.
fn cpu_nanos() -> Option<u64> {
    // The account is brought up to date by ticks of 4 ms, and by this.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}
