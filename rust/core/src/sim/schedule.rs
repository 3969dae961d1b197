//! Who speaks next: fresh visits, and what earlier ones owe (the whole session
//! after its beginning, resends after a lost acknowledgement).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::rng::{Rng, mix};
use super::session::Plan;
use super::visit::{Recipe, Stage, World};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Shares of fresh reports; what they owe later comes on top.
const OPENING: f64 = 0.08;
const INTERRUPTED: f64 = 0.01;
/// Share of reports whose acknowledgement is lost.
const RESENT: f64 = 0.015;
/// What is owed beyond this is never sent: devices get lost.
const MAX_OWED: usize = 1 << 16;

/// What is owed, by due time.
pub struct Schedule {
    seed: u64,
    owed: BinaryHeap<Reverse<(i64, u64, Recipe)>>,
}

impl Schedule {
    pub fn new(seed: u64) -> Self {
        Schedule {
            seed,
            owed: BinaryHeap::new(),
        }
    }

    /// The report that is sent at `now_ms`, as the run's `serial`-th.
    pub fn next(&mut self, now_ms: i64, serial: u64, world: &World) -> Recipe {
        if let Some(Reverse((due_ms, _, recipe))) = self.owed.peek()
            && *due_ms <= now_ms
        {
            let recipe = *recipe;
            self.owed.pop();
            return recipe;
        }
        let visit = mix(self.seed, serial);
        let mut rng = Rng::new(mix(visit, 0x5C4E));
        let newest = Plan::of(visit, 0);
        let lot = rng.unit();
        let recipe = if lot < OPENING {
            let anchor_ms = now_ms - 200 - rng.ms(2_000);
            let recipe = Recipe {
                visit,
                anchor_ms,
                sent_ms: now_ms,
                stage: Stage::Opening,
            };
            // Again about one interval after the end, or at the next launch.
            let wait = rng.log_uniform(10_000.0, 3_600_000.0) as i64;
            self.owe(
                anchor_ms + newest.length_ms + wait,
                serial,
                recipe,
                Stage::Complete,
            );
            recipe
        } else if lot < OPENING + INTERRUPTED {
            let anchor_ms = now_ms - newest.length_ms / 2 - 10_000;
            let recipe = Recipe {
                visit,
                anchor_ms,
                sent_ms: now_ms,
                stage: Stage::Interrupted,
            };
            let wait = rng.log_uniform(1_000.0, 600_000.0) as i64;
            self.owe(
                now_ms + newest.length_ms / 2 + wait,
                serial,
                recipe,
                Stage::Complete,
            );
            recipe
        } else {
            stored(visit, now_ms, &mut rng)
        };
        self.lose_acknowledgement(now_ms, serial, recipe, world, &mut rng);
        recipe
    }

    /// A report with at least one session, which owes nothing.
    pub fn stored(&self, now_ms: i64, serial: u64) -> Recipe {
        let visit = mix(self.seed, serial);
        stored(visit, now_ms, &mut Rng::new(mix(visit, 0x5C4E)))
    }

    fn owe(&mut self, due_ms: i64, serial: u64, recipe: Recipe, stage: Stage) {
        if self.owed.len() < MAX_OWED {
            let later = Recipe {
                sent_ms: due_ms,
                stage,
                ..recipe
            };
            self.owed.push(Reverse((due_ms, serial, later)));
        }
    }

    /// Up to 148 the same bytes come again, later agents count any answer.
    fn lose_acknowledgement(
        &mut self,
        now_ms: i64,
        serial: u64,
        recipe: Recipe,
        world: &World,
        rng: &mut Rng,
    ) {
        if !rng.chance(RESENT) || world.sender(recipe.visit).agent.protocol > 26 {
            return;
        }
        // At once by the device's HTTP client, or after a time-out of the agent.
        let mut due_ms = now_ms;
        for _ in 0..1 + rng.below(8) / 6 {
            due_ms += rng.log_uniform(20.0, 600_000.0) as i64;
            if self.owed.len() < MAX_OWED {
                self.owed.push(Reverse((due_ms, serial, recipe)));
            }
        }
    }
}

/// Most reports come within two hours of their last session, a few after days.
fn stored(visit: u64, now_ms: i64, rng: &mut Rng) -> Recipe {
    let newest = Plan::of(visit, 0);
    let late = match rng.below(1000) {
        0..=849 => rng.ms(2 * HOUR),
        850..=984 => rng.ms(DAY),
        _ => rng.ms(5 * DAY),
    };
    Recipe {
        visit,
        anchor_ms: now_ms - newest.length_ms - 5_000 - late,
        sent_ms: now_ms,
        stage: Stage::Stored,
    }
}
