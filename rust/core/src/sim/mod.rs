//! A simulated fleet: which devices send which reports, when, byte for byte.
//!
//! Everything follows from [`Settings`]; no clock, thread, machine or library
//! of mathematics has a say. `docs/simulator.md` describes what is simulated.

mod fleet;
mod hostile;
mod ink;
mod malformed;
mod rng;
mod schedule;
mod session;
mod settings;
mod visit;
mod words;

use bumpalo::Bump;

pub use hostile::Attack;
pub use malformed::Damage;
pub use settings::{NOVEMBER_2013_MS, PROTOCOLS_2013, Settings, SettingsError};

use crate::report::Report;
use crate::wire::{self, Limits};
use ink::{Decimal, Ink};
use rng::{Rng, mix};
use schedule::Schedule;
use visit::{Recipe, World};

/// Reports that share one arena of texts before it is emptied.
const CHUNK: usize = 128;

/// Reports in the order in which they are sent, in flat buffers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The reports' bytes, one after the other.
    pub payload: Vec<u8>,
    /// Report i is `payload[payload_offsets[i]..payload_offsets[i + 1]]`.
    pub payload_offsets: Vec<i64>,
    /// The Kafka message keys, one after the other.
    pub keys: Vec<u8>,
    /// Key i is `keys[key_offsets[i]..key_offsets[i + 1]]`.
    pub key_offsets: Vec<i64>,
    /// Virtual time at which each report is sent, ms since the epoch.
    pub times_ms: Vec<i64>,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.times_ms.len()
    }

    pub fn is_empty(&self) -> bool {
        self.times_ms.is_empty()
    }

    /// The reports' bytes in order.
    pub fn payloads(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        slices(&self.payload, &self.payload_offsets)
    }

    /// The message keys in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        slices(&self.keys, &self.key_offsets)
    }

    fn with_room(reports: usize) -> Self {
        let mut batch = Batch::default();
        batch.payload.reserve(reports.saturating_mul(1150));
        batch.keys.reserve(reports.saturating_mul(22));
        batch.payload_offsets.push(0);
        batch.key_offsets.push(0);
        batch
    }

    fn close_report(&mut self, time_ms: i64) {
        self.payload_offsets.push(self.payload.len() as i64);
        self.key_offsets.push(self.keys.len() as i64);
        self.times_ms.push(time_ms);
    }
}

fn slices<'b>(flat: &'b [u8], offsets: &'b [i64]) -> impl ExactSizeIterator<Item = &'b [u8]> {
    offsets.windows(2).map(|pair| match *pair {
        [from, to] => flat.get(from as usize..to as usize).unwrap_or(&[]),
        _ => &[],
    })
}

/// What one next report is, before it is written.
#[derive(Clone, Copy)]
enum Sort {
    Ordinary,
    Malformed(Damage),
    Hostile(Attack),
}

/// The fleet.
pub struct Simulator {
    settings: Settings,
    world: World,
    schedule: Schedule,
    bump: Bump,
    sent: u64,
}

impl Simulator {
    /// # Errors
    /// The first setting that is out of range.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Simulator {
            world: World::new(&settings),
            schedule: Schedule::new(settings.seed),
            settings,
            bump: Bump::new(),
            sent: 0,
        })
    }

    /// How many reports were made so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Virtual time of the next report, ms since the epoch.
    pub fn now_ms(&self) -> i64 {
        let elapsed = u128::from(self.sent) * 1000 / u128::from(self.settings.rate);
        self.settings.start_ms.saturating_add(elapsed as i64)
    }

    /// The next `reports` reports. How the run is cut into batches changes nothing.
    pub fn next_batch(&mut self, reports: usize) -> Batch {
        let mut batch = Batch::with_room(reports.min(1 << 20));
        while batch.len() < reports {
            let chunk = CHUNK.min(reports - batch.len());
            let turns: Vec<(i64, Recipe, Sort)> = (0..chunk).map(|_| self.next_turn()).collect();
            let mut report = Report::default();
            for (now_ms, recipe, sort) in turns {
                report.clear();
                write_one(
                    &self.world,
                    &self.bump,
                    &recipe,
                    sort,
                    &mut report,
                    &mut batch,
                );
                batch.close_report(now_ms);
            }
            drop(report);
            self.bump.reset();
        }
        batch
    }

    fn next_turn(&mut self) -> (i64, Recipe, Sort) {
        let now_ms = self.now_ms();
        let serial = self.sent;
        self.sent += 1;
        let mut rng = Rng::new(mix(self.settings.seed, serial ^ 0xBAD0_0000_0000_0000));
        let lot = rng.unit();
        let sort = if lot < self.settings.malformed {
            rng.pick(Damage::MIX)
                .map_or(Sort::Ordinary, |damage| Sort::Malformed(*damage))
        } else if lot < self.settings.malformed + self.settings.hostile {
            rng.pick(Attack::ALL)
                .map_or(Sort::Ordinary, |attack| Sort::Hostile(*attack))
        } else {
            Sort::Ordinary
        };
        let recipe = match sort {
            Sort::Ordinary => self.schedule.next(now_ms, serial, &self.world),
            _ => self.schedule.stored(now_ms, serial),
        };
        (now_ms, recipe, sort)
    }
}

/// Appends one report and its key to `batch`.
fn write_one<'a>(
    world: &'a World,
    bump: &'a Bump,
    recipe: &Recipe,
    sort: Sort,
    report: &mut Report<'a>,
    batch: &mut Batch,
) {
    world.write(recipe, bump, report);
    let mut rng = Rng::new(mix(recipe.visit, 0xBAD));
    let start = batch.payload.len();
    match sort {
        Sort::Ordinary => wire::encode(report, &mut batch.payload),
        Sort::Malformed(damage) => malformed::encode(report, damage, &mut rng, &mut batch.payload),
        Sort::Hostile(attack) => {
            hostile::spoil(report, attack, &mut rng, Ink(bump));
            wire::encode(report, &mut batch.payload);
        }
    }
    if let Sort::Ordinary = sort {
        // What wire::message_key finds, without looking for it.
        batch.keys.extend_from_slice(report.api_key);
        batch.keys.extend_from_slice(b"|");
        batch.keys.extend_from_slice(Decimal::of(0).bytes());
    } else {
        let bytes = batch.payload.get(start..).unwrap_or(&[]);
        wire::message_key(bytes, &Limits::default(), 1, &mut batch.keys);
    }
}

/// The default workload, for benchmarks and tests: all its bytes, and n + 1
/// offsets between which the reports lie.
pub fn corpus(reports: usize, seed: u64) -> (Vec<u8>, Vec<i64>) {
    corpus_of(
        reports,
        Settings {
            seed,
            ..Settings::default()
        },
    )
}

/// The workload of these settings; empty if they are out of range.
pub fn corpus_of(reports: usize, settings: Settings) -> (Vec<u8>, Vec<i64>) {
    match Simulator::new(settings) {
        Ok(mut simulator) => {
            let batch = simulator.next_batch(reports);
            (batch.payload, batch.payload_offsets)
        }
        Err(_) => (Vec::new(), vec![0]),
    }
}

#[cfg(test)]
mod tests;
