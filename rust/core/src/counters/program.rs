//! A plan compiled for the hot path: which values to look at, how they make a
//! group's fingerprint, which numbers to add.

use super::fingerprint::Keys;
use crate::clock::TimeRules;
use crate::plan::{CountLimits, Dimension, Level, Measure, Plan, Rollup, Scope};
use crate::report::{Report, Session, slice};

/// A compiled plan.
pub struct Program {
    pub(super) keys: Keys,
    pub(super) time: TimeRules,
    pub(super) limits: CountLimits,
    /// Per position in `Plan::rollups`.
    pub(super) rollups: Vec<Step>,
    /// Rollups that reports count in.
    pub(super) reports: Vec<Step>,
    /// Rollups that sessions count in.
    pub(super) sessions: Vec<Step>,
    pub(super) events: Vec<Step>,
    pub(super) parameters: Vec<Step>,
    pub(super) errors: Vec<Step>,
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
    /// Per set of (event, parameter, value) as a bit mask: whether a rollup
    /// counts sessions by it.
    pub distinct: [bool; 8],
}

/// One rollup, compiled.
#[derive(Clone)]
pub(super) struct Step {
    /// Position in the plan.
    pub at: u16,
    pub number: u8,
    pub cap: u32,
    pub width: usize,
    /// Added to every fingerprint of the rollup.
    pub salt: u128,
    /// (slot, factor) of its dimensions, by scope.
    pub report: Vec<(usize, u128)>,
    pub session: Vec<(usize, u128)>,
    pub leaf: Vec<(usize, u128)>,
    /// Its dimensions in the plan's order: how a key is written.
    pub key: Vec<(Scope, usize)>,
    /// Slots of its measures among those of its level.
    pub measures: Vec<usize>,
    /// Which of event, parameter and value it has, as a bit mask.
    pub distinct: usize,
}

impl Program {
    /// Compiles a plan, with a fingerprint key of its own.
    pub fn compile(plan: &Plan) -> Self {
        let keys = Keys::random();
        let mut program = Program {
            time: plan.time,
            limits: plan.limits,
            rollups: (0..)
                .zip(&plan.rollups)
                .map(|(at, rollup)| Step::of(at, rollup, &keys))
                .collect(),
            reports: Vec::new(),
            sessions: Vec::new(),
            events: Vec::new(),
            parameters: Vec::new(),
            errors: Vec::new(),
            unreadable: 0,
            wanted: Wanted::default(),
            keys,
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
        let Some(step) = self.rollups.get(at).cloned() else {
            return;
        };
        self.wanted.note(rollup);
        match rollup.level {
            Level::Session => {
                if rollup.counts_reports() {
                    self.reports.push(step.clone());
                }
                if !rollup.only_reports() {
                    self.sessions.push(step);
                }
            }
            Level::Event => self.events.push(step),
            Level::Parameter => self.parameters.push(step),
            Level::Error => self.errors.push(step),
        }
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

impl Wanted {
    fn note(&mut self, rollup: &Rollup) {
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
                _ => self.distinct[distinct_mask(rollup)] = true,
            }
        }
    }
}

impl Step {
    fn of(at: u16, rollup: &Rollup, keys: &Keys) -> Self {
        let factors = |scope: Scope| {
            rollup
                .dimensions
                .iter()
                .enumerate()
                .filter(|(_, d)| d.scope() == scope)
                .map(|(place, d)| (d.slot(), keys.of_dimension(place)))
                .collect()
        };
        Self {
            at,
            number: rollup.number,
            cap: rollup.cap,
            width: rollup.measures.len(),
            salt: keys.of_rollup(rollup.number),
            report: factors(Scope::Report),
            session: factors(Scope::Session),
            leaf: factors(Scope::Leaf),
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
            distinct: distinct_mask(rollup),
        }
    }
}

impl Step {
    /// Whether a block has one group of it at most.
    #[inline]
    pub fn is_single(&self) -> bool {
        self.key.is_empty()
    }
}

fn distinct_mask(rollup: &Rollup) -> usize {
    [Dimension::Event, Dimension::Parameter, Dimension::Value]
        .iter()
        .filter(|d| rollup.dimensions.contains(d))
        .fold(0, |mask, d| mask | 1 << d.slot())
}
