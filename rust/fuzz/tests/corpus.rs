//! What must hold of any bytes, held against everything that fuzzing found
//! worth keeping: on any toolchain, in seconds.

use std::collections::BTreeSet;

use flurry_core::reason::Reason;
use flurry_core::report::Report;
use flurry_core::wire::{self, Limits, PROTOCOLS};
use flurry_fuzz::seeds::{TARGETS, seeds};

fn replay(wanted: &str) {
    let (name, check) = TARGETS
        .into_iter()
        .find(|(name, _)| *name == wanted)
        .unwrap();
    let seeds = seeds(name);
    assert!(!seeds.is_empty());
    for seed in &seeds {
        check(seed);
    }
}

#[test]
fn decode() {
    replay("decode");
}

#[test]
fn round_trip() {
    replay("round_trip");
}

#[test]
fn block() {
    replay("block");
}

#[test]
fn plan() {
    replay("plan");
}

#[test]
fn archive() {
    replay("archive");
}

#[test]
fn engine() {
    replay("engine");
}

#[test]
fn the_seeds_have_every_protocol_and_every_reason() {
    let (mut protocols, mut repaired, mut reasons) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for seed in &seeds("decode") {
        let mut report = Report::default();
        match wire::decode(seed, &Limits::default(), &mut report) {
            Ok(()) if report.repaired_errors > 0 => repaired.insert(report.protocol),
            Ok(()) => protocols.insert(report.protocol),
            Err(reason) => reasons.insert(reason as u16),
        };
    }
    assert_eq!(protocols, PROTOCOLS.into_iter().collect());
    assert_eq!(
        repaired,
        PROTOCOLS
            .into_iter()
            .filter(|protocol| *protocol >= 24)
            .collect()
    );
    assert_eq!(
        reasons,
        Reason::ALL.iter().map(|reason| *reason as u16).collect()
    );
}
