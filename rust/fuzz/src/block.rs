//! The block decoder: whatever it reads is what the writer would have written.

use std::sync::LazyLock;

use flurry_core::counters::block::{Decoded, KeyParts, Writer, read_header};
use flurry_core::crc::crc32;
use flurry_core::plan::Plan;

use crate::allocations::most_during;

const EVERYTHING: &str = include_str!("../../../tests/golden/everything.toml");

/// Sections with no dimension, one and several; caps that few groups reach.
const SMALL: &str = "
[[rollup]]
name = 'app'
dimensions = []
measures = ['sessions', 'duration']
cap = 1
[[rollup]]
name = 'country'
dimensions = ['country']
measures = ['sessions']
cap = 3
[[rollup]]
name = 'pair'
dimensions = ['event', 'parameter']
measures = ['events', 'event_sessions']
cap = 2
";

/// The texts of the plans that a block may be of.
pub const PLANS: [&str; 2] = [SMALL, EVERYTHING];

/// The same, parsed.
///
/// # Panics
///
/// One of them does not parse.
pub fn plans() -> &'static [Plan; 2] {
    static PARSED: LazyLock<[Plan; 2]> =
        LazyLock::new(|| PLANS.map(|text| Plan::parse(text).expect("it parses")));
    &PARSED
}

/// Where the plan id stands in a block (docs/counters.md).
const PLAN_ID: std::ops::Range<usize> = 9..13;

/// For each byte of a block: a number takes one, and eight in memory.
const HELD_PER_BYTE: usize = 64;
const HELD_ANYWAY: usize = 4_096;

/// Reads any bytes as a block. The first says of which plan: 0 or 1 puts the
/// plan's id and a CRC that fits (ids change with every version, a corpus should
/// not); any other leaves the rest as it is.
pub fn check(input: &[u8]) {
    let Some((choice, block)) = input.split_first() else {
        return;
    };
    let mut block = block.to_vec();
    let plan = match (plans().get(usize::from(*choice)), block.get_mut(PLAN_ID)) {
        (Some(plan), Some(id)) => {
            id.copy_from_slice(&plan.id.to_be_bytes());
            block.extend(crc32(&block).to_be_bytes());
            plan
        }
        _ => &plans()[0],
    };
    read(plan, &block);
}

/// The input that makes `check` read this block of that plan.
pub fn chosen(plan: u8, block: &[u8]) -> Vec<u8> {
    let (body, _) = block.split_last_chunk::<4>().unwrap_or((block, &[0; 4]));
    [&[plan], body].concat()
}

fn read(plan: &Plan, bytes: &[u8]) {
    let header = read_header(bytes);
    let mut decoded = Decoded::default();
    let (outcome, held) = most_during(|| decoded.read(plan, bytes));
    // A prefix that many keys share is written once, and held once a key.
    let longest = bytes.len();
    let keys: usize = decoded.sections.iter().map(|section| section.groups).sum();
    let fair = HELD_PER_BYTE * bytes.len() + HELD_ANYWAY + 3 * longest * (keys + unread(bytes));
    assert!(held <= fair, "{held} bytes held to read {}", bytes.len());
    match outcome {
        Ok(()) => {
            assert_eq!(header, Ok(decoded.header));
            assert_eq!(rewritten(plan, &decoded), bytes);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Groups of a section that did not end: each takes three bytes at least.
fn unread(bytes: &[u8]) -> usize {
    bytes.len() / 3
}

fn rewritten(plan: &Plan, decoded: &Decoded) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::begin(&mut out, decoded.header, decoded.sections.len());
    for section in &decoded.sections {
        let Some(rollup) = plan.rollups.get(section.rollup) else {
            panic!("a section of a rollup that the plan does not have");
        };
        for (key, values) in decoded.groups(section) {
            let mut parts = KeyParts::new(key);
            assert_eq!(parts.by_ref().count(), rollup.dimensions.len());
            assert!(!parts.failed && values.len() == rollup.measures.len());
        }
        writer.section(
            rollup.number,
            decoded.groups(section),
            decoded.other(section),
        );
    }
    writer.finish();
    out
}
