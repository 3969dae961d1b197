//! Decoding and counting as ratios to CRC-32 alone over the same bytes: one
//! process, contenders in turn, the least of several rounds, CPU time where the
//! system tells it. For work on the hot path: a table in seconds.
//!
//! `cargo bench -p flurry-core --bench ratios -- [--rounds 15] [--only five]`

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use flurry_core::crc::crc32;
use flurry_core::engine::sink::Record;
use flurry_core::engine::{CountersPosition, Engine};
use flurry_core::identity::Fingerprints;
use flurry_core::plan::Plan;
use flurry_core::report::Report;
use flurry_core::sim::{Batch, Settings, Simulator};
use flurry_core::wire::{self, Limits};

const REPORTS: usize = 100_000;
const BATCH: usize = 10_000;
const SEED: u64 = 20131120; // of bench/corpus.py
const FIVE: &str = include_str!("../../../bench/plans/five.toml");
const DEFAULT: &str = include_str!("../../../flurry_fast/plans/default.toml");

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)
    };
    let rounds: usize = after("--rounds").map_or(15, |text| text.parse().unwrap_or(15));
    let settings = Settings {
        seed: SEED,
        ..Settings::default()
    };
    let batch = match Simulator::new(settings) {
        Ok(mut simulator) => simulator.next_batch(REPORTS),
        Err(error) => panic!("{error}"),
    };
    let forgetful = DEFAULT.replace("window_ms = 3_600_000", "window_ms = 0");
    let plans = [
        ("five rollups", FIVE),
        ("default plan", DEFAULT),
        ("default plan without memory", &forgetful),
    ]
    .map(|(name, text)| match Plan::parse(text) {
        Ok(plan) => (name, Arc::new(plan)),
        Err(error) => panic!("{error}"),
    });
    let mut names = vec!["CRC-32", "decode"];
    names.extend(plans.iter().map(|(name, _)| *name));
    let mut least = vec![u64::MAX; names.len()];
    let mut updates = vec![0; names.len()];
    for _ in 0..rounds {
        for (at, name) in names.iter().enumerate() {
            if at > 0 && after("--only").is_some_and(|only| !name.contains(only.as_str())) {
                continue;
            }
            let nanos = match at {
                0 => timed(|| black_box(batch.payloads().fold(0, |sum, p| sum ^ crc32(p)))),
                1 => timed(|| decode(&batch)),
                _ => {
                    let mut engine = engine(&plans[at - 2].1);
                    let nanos = timed(|| absorb(&mut engine, &batch));
                    updates[at] = engine.stats().updates;
                    nanos
                }
            };
            least[at] = least[at].min(nanos);
        }
    }
    let per_report = |nanos: u64| nanos as f64 / REPORTS as f64;
    let decode = per_report(least[1]);
    for (at, name) in names
        .iter()
        .enumerate()
        .filter(|(at, _)| least[*at] < u64::MAX)
    {
        let nanos = per_report(least[at]);
        let ratio = nanos / per_report(least[0]);
        print!("{name:28} {nanos:7.0} ns/report {ratio:6.2} x CRC-32");
        if updates[at] > 0 {
            let each = updates[at] as f64 / REPORTS as f64;
            let beyond = (nanos - decode) / each;
            print!("  {each:5.1} updates a report, {beyond:5.1} ns each beyond decode");
        }
        println!();
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> u64 {
    let (start, cpu) = (Instant::now(), cpu_nanos());
    black_box(work());
    match (cpu, cpu_nanos()) {
        (Some(before), Some(after)) => after - before,
        _ => start.elapsed().as_nanos() as u64,
    }
}

/// What this thread has had of a core, where Linux tells.
fn cpu_nanos() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

fn decode(batch: &Batch) -> usize {
    let (limits, mut report) = (Limits::default(), Report::default());
    let read = |payload| wire::decode(payload, &limits, &mut report).is_ok();
    batch.payloads().map(read).filter(|ok| *ok).count()
}

fn engine(plan: &Arc<Plan>) -> Engine<()> {
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

fn absorb(engine: &mut Engine<()>, batch: &Batch) {
    for first in (0..batch.len()).step_by(BATCH) {
        let payloads = batch.payloads().zip(&batch.times_ms);
        let records = (0i64..).zip(payloads).skip(first).take(BATCH);
        let records = records.map(|(offset, (payload, time))| Record {
            partition: 0,
            offset,
            timestamp_ms: *time,
            payload,
            key: None,
            headers: None,
        });
        if let Err(error) = engine.absorb(records) {
            panic!("{error}");
        }
    }
}
