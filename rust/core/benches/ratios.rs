//! Decoding and counting as ratios to CRC-32 alone over the same bytes: one
//! process, contenders in turn, the least of several rounds, CPU time where the
//! system tells it. For work on the hot path: a table in seconds.
//!
//! `cargo bench -p flurry-core --bench ratios -- [--rounds 15] [--only five]`

use std::hint::black_box;
use std::sync::Arc;

use flurry_core::crc::crc32;
use flurry_core::plan::Plan;
use flurry_core::sim::Settings;

use common::{DEFAULT, REPORTS, absorb, decode, engine, reports, timed};

mod common;

const BATCH: usize = 10_000;
const SEED: u64 = 20131120; // of bench/corpus.py
/// Every group is there already, and the memory is in use.
const AGAIN: &str = "five rollups, known groups";
const FIVE: &str = include_str!("../../../bench/plans/five.toml");

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
    let batch = reports(settings);
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
    names.push(AGAIN);
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
                    let plan = plans.get(at - 2).unwrap_or(&plans[0]);
                    let mut engine = engine(&plan.1);
                    if *name == AGAIN {
                        absorb(&mut engine, &batch, BATCH);
                    }
                    let before = engine.stats().updates;
                    let nanos = timed(|| absorb(&mut engine, &batch, BATCH));
                    updates[at] = engine.stats().updates - before;
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
