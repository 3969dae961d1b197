//! A plan compiled for the hot path: which values to look at, how they make a
//! group's fingerprint, which numbers to add.

use std::sync::Arc;

use super::fingerprint::Keys;
use super::pack::{Field, Layout, Packed, Packing};
use crate::clock::TimeRules;
use crate::plan::{CountLimits, Dimension, Level, Measure, Plan, Rollup, SESSION_MEASURES, Scope};
use crate::report::{Report, Session, slice};

/// A compiled plan.
pub struct Program {
    /// What it was compiled from.
    pub plan: Arc<Plan>,
    pub(super) keys: Keys,
    pub(super) time: TimeRules,
    pub(super) limits: CountLimits,
    /// Per position in `Plan::rollups`.
    pub(super) rollups: Vec<Step>,
    /// How their measures lie, per position as well.
    pub(super) layouts: Vec<Layout>,
    /// Numbers that a block has for the rollups without dimensions.
    pub(super) single_numbers: usize,
    /// Rollups that reports count in.
    pub(super) reports: Stage,
    /// Rollups that sessions count in.
    pub(super) sessions: Stage,
    pub(super) events: Stage,
    pub(super) parameters: Stage,
    pub(super) errors: Stage,
    /// The rollup `unreadable`.
    pub(super) unreadable: usize,
    pub(super) wanted: Wanted,
}

/// Which values any rollup asks for.
#[derive(Default)]
pub(super) struct Wanted {
    pub report: Vec<Dimension>,
    pub session: Vec<Dimension>,
    /// Whether distinct event names are asked for.
    pub event_sessions: bool,
    /// The sets of (event, parameter, value), as bit masks, that a rollup
    /// counts sessions by, and how it adds them up.
    pub distinct: Vec<(usize, Terms)>,
}

/// Rollups that are counted together: every measure of their level is known at once.
#[derive(Default)]
pub(super) struct Stage {
    /// Those with dimensions.
    pub steps: Vec<Step>,
    /// Those without.
    pub singles: Vec<Step>,
    /// What rollups with the same measures share.
    pub packers: Vec<Packer>,
}

/// Takes the measures of some rollups from among those of their level.
pub(super) struct Packer {
    measures: Vec<usize>,
    /// (slot, field) of the measures; none if they do not fit.
    fields: Vec<(usize, Field)>,
}

/// Values that are added up to a fingerprint, each times a factor of its
/// dimension's place.
#[derive(Clone, Default)]
pub(super) struct Terms {
    /// Slot of the one whose factor is 1.
    plain: Option<usize>,
    /// (slot, factor) of the others.
    others: Vec<(usize, u128)>,
}

impl Terms {
    /// A fingerprint with these values added.
    #[inline(always)]
    pub fn add(&self, mut sum: u128, prints: &[u128]) -> u128 {
        if let Some(print) = self.plain.and_then(|slot| prints.get(slot)) {
            sum = sum.wrapping_add(*print);
        }
        for (slot, factor) in &self.others {
            let print = prints.get(*slot).copied().unwrap_or(0);
            sum = sum.wrapping_add(print.wrapping_mul(*factor));
        }
        sum
    }
}

/// One rollup, compiled.
#[derive(Clone)]
pub(super) struct Step {
    /// Position in the plan.
    pub at: u16,
    pub number: u8,
    pub cap: u32,
    /// Added to every fingerprint of the rollup.
    pub salt: u128,
    /// Of its dimensions, by scope.
    pub report: Terms,
    pub session: Terms,
    pub leaf: Terms,
    /// Its dimensions in the plan's order: how a key is written.
    pub key: Vec<(Scope, usize)>,
    /// Slots of its measures among those of its level.
    pub measures: Vec<usize>,
    /// Where they lie, by slot.
    pub fields: [Field; SESSION_MEASURES],
    pub is_wide: bool,
    /// Place of its packer in its stage.
    pub packer: usize,
    /// Where its only group's numbers are among a block's, if it has no dimensions.
    pub single: Option<usize>,
    /// Which of event, parameter and value it has, as a bit mask.
    pub distinct: usize,
}

impl Program {
    /// Compiles a plan, with a fingerprint key of its own.
    pub fn compile(plan: Arc<Plan>) -> Self {
        let keys = Keys::random();
        let mut rollups: Vec<Step> = (0..)
            .zip(&plan.rollups)
            .map(|(at, rollup)| Step::of(at, rollup, &keys))
            .collect();
        let mut single_numbers = 0;
        for step in rollups.iter_mut().filter(|step| step.key.is_empty()) {
            step.single = Some(single_numbers);
            single_numbers += step.measures.len();
        }
        let layouts = plan
            .rollups
            .iter()
            .map(|rollup| Layout::of(&rollup.measures));
        let mut program = Program {
            time: plan.time,
            limits: plan.limits,
            layouts: layouts.collect(),
            single_numbers,
            rollups,
            reports: Stage::default(),
            sessions: Stage::default(),
            events: Stage::default(),
            parameters: Stage::default(),
            errors: Stage::default(),
            unreadable: 0,
            wanted: Wanted::default(),
            keys,
            plan: Arc::clone(&plan),
        };
        for (at, rollup) in plan.rollups.iter().enumerate() {
            program.place(at, rollup);
        }
        program
    }

    fn place(&mut self, at: usize, rollup: &Rollup) {
        if rollup.dimensions == [Dimension::Reason] {
            self.unreadable = at;
            return;
        }
        let (Some(step), Some(layout)) = (self.rollups.get(at), self.layouts.get(at)) else {
            return;
        };
        self.wanted.note(rollup, step);
        if rollup.counts_reports() {
            self.reports.push(step, layout);
        }
        let stage = match rollup.level {
            Level::Session if rollup.only_reports() => return,
            Level::Session => &mut self.sessions,
            Level::Event => &mut self.events,
            Level::Parameter => &mut self.parameters,
            Level::Error => &mut self.errors,
        };
        stage.push(step, layout);
    }

    /// Whether the session adds a group or a number anywhere: if not, its
    /// block is not touched by it.
    pub(super) fn touches(&self, report: &Report<'_>, session: &Session<'_>) -> bool {
        if !self.sessions.is_empty() {
            return true;
        }
        let events = slice(&report.events, &session.events);
        (!self.events.is_empty()
            && (!session.counts.is_empty()
                || events.iter().any(|event| event.duration_ms > Some(0))))
            || (!self.parameters.is_empty() && events.iter().any(|event| !event.params.is_empty()))
            || (!self.errors.is_empty() && !session.errors.is_empty())
    }
}

impl Stage {
    /// Whether nobody counts here.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.singles.is_empty()
    }

    fn push(&mut self, step: &Step, layout: &Layout) {
        if step.single.is_some() {
            self.singles.push(step.clone());
            return;
        }
        let same = |packer: &Packer| packer.measures == step.measures;
        let packer = self.packers.iter().position(same).unwrap_or_else(|| {
            self.packers.push(Packer {
                measures: step.measures.clone(),
                fields: step.fields_of(layout).collect(),
            });
            self.packers.len() - 1
        });
        let mut step = Step {
            packer,
            is_wide: layout.is_wide(),
            ..step.clone()
        };
        for (slot, field) in step.fields_of(layout).collect::<Vec<_>>() {
            if let Some(to) = step.fields.get_mut(slot) {
                *to = field;
            }
        }
        self.steps.push(step);
    }
}

impl Packer {
    /// Packs its measures of `all` of the level; those that do not fit go to `elsewhere`.
    #[inline]
    pub fn pack(&self, all: &[u64], elsewhere: &mut Vec<u64>) -> Packed {
        let mut packing = Packing::of(self.fields.is_empty());
        for (slot, field) in &self.fields {
            packing.put(*field, all.get(*slot).copied().unwrap_or(0));
        }
        let packed = packing.packed();
        packed.unwrap_or_else(|| set_aside(&self.measures, all, elsewhere))
    }
}

/// Numbers that do not fit.
#[cold]
fn set_aside(measures: &[usize], all: &[u64], elsewhere: &mut Vec<u64>) -> Packed {
    let start = elsewhere.len() as u32;
    let numbers = measures.iter().map(|slot| all.get(*slot).copied());
    elsewhere.extend(numbers.map(Option::unwrap_or_default));
    Packed::wide(start)
}

impl Wanted {
    fn note(&mut self, rollup: &Rollup, step: &Step) {
        for dimension in &rollup.dimensions {
            let wanted = match dimension.scope() {
                Scope::Report => &mut self.report,
                Scope::Session => &mut self.session,
                Scope::Leaf => continue,
            };
            if !wanted.contains(dimension) {
                wanted.push(*dimension);
            }
        }
        if rollup.measures.contains(&Measure::EventSessions) {
            match rollup.level {
                Level::Event => self.event_sessions = true,
                _ => {
                    let known = |(mask, _): &(usize, Terms)| *mask == step.distinct;
                    if !self.distinct.iter().any(known) {
                        self.distinct.push((step.distinct, step.leaf.clone()));
                    }
                }
            }
        }
    }
}

impl Step {
    fn of(at: u16, rollup: &Rollup, keys: &Keys) -> Self {
        let terms = |scope: Scope| {
            let all = rollup.dimensions.iter().enumerate();
            let ours = all.filter(|(_, dimension)| dimension.scope() == scope);
            let factors = ours.map(|(place, d)| (d.slot(), keys.of_dimension(place)));
            let (plain, others): (Vec<_>, Vec<_>) = factors.partition(|(_, factor)| *factor == 1);
            Terms {
                plain: plain.first().map(|(slot, _)| *slot),
                others,
            }
        };
        Self {
            at,
            number: rollup.number,
            cap: rollup.cap,
            salt: keys.of_rollup(rollup.number),
            report: terms(Scope::Report),
            session: terms(Scope::Session),
            leaf: terms(Scope::Leaf),
            key: rollup
                .dimensions
                .iter()
                .map(|d| (d.scope(), d.slot()))
                .collect(),
            measures: rollup
                .measures
                .iter()
                .filter_map(|m| m.slot(rollup.level))
                .collect(),
            fields: [Field::default(); SESSION_MEASURES],
            is_wide: false,
            packer: 0,
            single: None,
            distinct: distinct_mask(rollup),
        }
    }

    /// (slot, field) of its measures.
    fn fields_of(&self, layout: &Layout) -> impl Iterator<Item = (usize, Field)> {
        let fields = layout.fields.iter().copied();
        self.measures.iter().copied().zip(fields)
    }

    /// Packs its measures of `all` of its level; those that do not fit go to `elsewhere`.
    #[inline(always)]
    pub fn pack<const N: usize>(&self, all: &[u64; N], elsewhere: &mut Vec<u64>) -> Packed {
        let mut packing = Packing::of(self.is_wide);
        for (value, field) in all.iter().zip(&self.fields) {
            packing.put(*field, *value);
        }
        let packed = packing.packed();
        packed.unwrap_or_else(|| set_aside(&self.measures, all, elsewhere))
    }
}

fn distinct_mask(rollup: &Rollup) -> usize {
    [Dimension::Event, Dimension::Parameter, Dimension::Value]
        .iter()
        .filter(|d| rollup.dimensions.contains(d))
        .fold(0, |mask, d| mask | 1 << d.slot())
}
