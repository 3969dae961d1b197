//! What fuzzing begins with, and what every run of the tests replays: the
//! committed corpus (what a long run found, minimised), the captured reports,
//! and simulated ones, damaged and hostile ones among them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flurry_core::engine::sink::Record;
use flurry_core::engine::{CountersPosition, Engine};
use flurry_core::identity::Fingerprints;
use flurry_core::plan::Plan;
use flurry_core::sim::{Batch, PROTOCOLS_2013, Settings, Simulator};

use crate::{block, records};

/// Panics if something does not hold of these bytes.
pub type Check = fn(&[u8]);

/// The names of the targets, with what must hold of any bytes.
pub const TARGETS: [(&str, Check); 6] = [
    ("decode", crate::decode::check),
    ("round_trip", crate::round_trip::check),
    ("block", block::check),
    ("plan", crate::plan::check),
    ("archive", crate::archive::check),
    ("engine", crate::engine::check),
];

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// All that a target begins with.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut seeds = kept(target);
    seeds.extend(made(target));
    seeds
}

/// The committed corpus of a target: what it found that no other seed shows.
///
/// # Panics
///
/// The file cannot be read.
pub fn kept(target: &str) -> Vec<Vec<u8>> {
    unpacked(&read(&packed(target)))
}

/// Captured and generated seeds of a target.
///
/// # Panics
///
/// A capture cannot be read, or what makes the others is broken.
pub fn made(target: &str) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    match target {
        "decode" | "round_trip" => {
            seeds.extend(captures());
            seeds.extend(
                simulated()
                    .iter()
                    .flat_map(Batch::payloads)
                    .map(<[u8]>::to_vec),
            );
        }
        "archive" | "engine" => {
            for batch in simulated() {
                let payloads: Vec<_> = batch.payloads().filter(|bytes| bytes.len() < 600).collect();
                seeds.extend(
                    payloads
                        .chunks(3)
                        .map(|few| records::join(few.iter().copied())),
                );
            }
        }
        "block" => {
            for (choice, plan) in (0..).zip(block::plans()) {
                seeds.extend(
                    counted(plan)
                        .into_iter()
                        .map(|value| block::chosen(choice, &value)),
                );
            }
        }
        _ => seeds.extend(block::PLANS.iter().map(|text| text.as_bytes().to_vec())),
    }
    seeds
}

/// Where the committed corpus of a target is. Targets that read the same things share one.
pub fn packed(target: &str) -> PathBuf {
    let name = match target {
        "round_trip" => "decode",
        "engine" => "archive",
        own => own,
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/{name}.bin"))
}

/// Several inputs in one file: each after its length (u32, big-endian).
pub fn pack(inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for input in inputs {
        out.extend((input.len() as u32).to_be_bytes());
        out.extend(input);
    }
    out
}

fn unpacked(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    while let Some((length, rest)) = file.split_first_chunk() {
        let (input, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        inputs.push(input.to_vec());
        file = rest;
    }
    inputs
}

fn captures() -> Vec<Vec<u8>> {
    let agents =
        std::fs::read_dir(Path::new(ROOT).join("tests/captures")).expect("the captures are there");
    let mut files: Vec<_> = agents
        .filter_map(|agent| std::fs::read_dir(agent.ok()?.path()).ok())
        .flatten()
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    files.sort();
    files.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Some reports of every protocol, half of them damaged, some meaning harm.
fn simulated() -> Vec<Batch> {
    let of = |protocol| Settings {
        seed: u64::from(protocol),
        malformed: 0.5,
        hostile: 0.1,
        protocols: vec![(protocol, 1)],
        ..Settings::default()
    };
    let reports = |settings| Simulator::new(settings).expect("in range").next_batch(60);
    PROTOCOLS_2013
        .iter()
        .map(|(protocol, _)| reports(of(*protocol)))
        .collect()
}

/// The blocks that some simulated reports make.
fn counted(plan: &Plan) -> Vec<Vec<u8>> {
    let mut engine: Engine<()> = Engine::new(
        Arc::new(plan.clone()),
        1,
        Fingerprints::new(&[9; 16]),
        Box::new(|_, _| ()),
    );
    let origin = CountersPosition {
        position: 0,
        max_bucket: Some(-1),
        crc: None,
        max_timestamp: -1,
    };
    engine
        .assign(0, 0, Some(origin), None, 0, None)
        .expect("it is the first");
    let settings = Settings {
        apps: 20,
        malformed: 0.1,
        ..Settings::default()
    };
    let batch = Simulator::new(settings).expect("in range").next_batch(40);
    let records = (0..).zip(batch.payloads().zip(&batch.times_ms));
    let records = records.map(|(offset, (payload, time))| Record {
        partition: 0,
        offset,
        timestamp_ms: *time,
        payload,
        key: None,
        headers: None,
    });
    engine
        .absorb(records)
        .expect("nothing has to be read first");
    let flush = engine
        .freeze(None)
        .expect("no flush is in flight")
        .expect("something was counted");
    let values = flush
        .parts
        .iter()
        .flat_map(|part| (0..part.values.len()).filter_map(|at| part.values.get(at)));
    values.map(<[u8]>::to_vec).collect()
}
