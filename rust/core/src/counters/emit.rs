//! From a decoded report to operations. A report is here only once it was
//! decoded whole, so what it adds is never taken back.

use super::dimensions::{
    Prints, error_kind, is_crash, of_envelope, of_report, of_session, of_unreadable,
};
use super::ops::{Op, Ops, Part, Piece, Single};
use super::pack::Packed;
use super::program::{Program, Stage, Step};
use super::sessions::{Fate, Seen};
use super::slots::Print;
use crate::clock::{EffectiveTime, bucket};
use crate::plan::SESSION_MEASURES;
use crate::reason::Reason;
use crate::report::{Report, Session, slice};

/// Slots of the measures that a report adds to itself.
const REPORTS: usize = 0;
const DUPLICATES: usize = 11;
const SUPERSEDED: usize = 12;

/// Applies operations when there are enough.
pub trait Gate<'b> {
    /// Decides about the scopes in `ops` and applies what waits.
    fn apply(&mut self, ops: &mut Ops<'b>);
}

/// The record that operations are made of, as far as they have to know it.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// A number of the engine's.
    pub record: u32,
    pub partition: i32,
    /// Kafka's time.
    pub receive_ms: i64,
}

/// What a record was, whether or not it was counted now.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The highest bucket of its sessions and of itself.
    pub max_bucket: u32,
    /// Sessions that count.
    pub sessions: u64,
    /// 1 + events + errors of each.
    pub data_points: u64,
    /// Records of sessions that another record of the same report stands for.
    pub repeated: u64,
    /// Sessions that came in an earlier report …
    pub duplicates: u64,
    /// … and those of them whose record here is longer.
    pub superseded: u64,
}

impl Tally {
    /// Of the sessions that do not count.
    fn of(fates: &[Fate]) -> Self {
        let count = |fate| fates.iter().filter(|other| **other == fate).count() as u64;
        Self {
            repeated: count(Fate::Repeated),
            duplicates: count(Fate::Duplicate),
            superseded: count(Fate::Superseded),
            ..Self::default()
        }
    }
}

/// Makes operations of reports; holds the scratch space for it.
#[derive(Default)]
pub struct Emitter {
    names: Seen,
    distinct: [Seen; 8],
    prints: Prints,
    /// Per rollup of the level at hand: its fingerprint without the leaf's values.
    bases: Vec<u128>,
    /// Per packer of the stage at hand.
    packed: Vec<Packed>,
}

/// A session on its way into operations.
struct Place<'v, 'b> {
    report: &'v Report<'b>,
    session: &'v Session<'b>,
    scope: u32,
}

impl Emitter {
    /// Emits what an unreadable record adds.
    pub fn unreadable<'b>(
        &mut self,
        program: &Program,
        ops: &mut Ops<'b>,
        reason: Reason,
        origin: Origin,
    ) -> Tally {
        let app = program.keys.text(b"");
        let part = Part::of(program, origin, app, origin.receive_ms);
        let at = of_unreadable(program, ops, reason, &mut self.prints);
        let scope = ops.push_scope(part, at, 0);
        if let (Some(step), Some(layout)) = (
            program.rollups.get(program.unreadable),
            program.layouts.get(program.unreadable),
        ) && let Some(one) = layout.pack([1].into_iter())
        {
            let print = step.print(&self.prints);
            step.emit(ops, print, scope, 0, one);
        }
        Tally {
            max_bucket: part.bucket,
            ..Tally::default()
        }
    }

    /// Emits what a report adds; `fates` are those of its session records.
    pub fn report<'b>(
        &mut self,
        program: &Program,
        ops: &mut Ops<'b>,
        (report, fates): (&Report<'b>, &[Fate]),
        origin: Origin,
        gate: &mut impl Gate<'b>,
    ) -> Tally {
        let receive_ms = origin.receive_ms;
        let app = ops.print(&program.keys, Piece::Borrowed(report.api_key));
        let own = Part::of(program, origin, app, receive_ms);
        let mut tally = Tally {
            max_bucket: own.bucket,
            ..Tally::of(fates)
        };
        let shift = program
            .time
            .shift(report.created_ms, receive_ms, report.protocol);
        let times = (shift, receive_ms);
        let report_at = of_report(program, ops, report, times, &mut self.prints);
        if !program.reports.is_empty() {
            let session_at = of_envelope(program, ops, report, &mut self.prints);
            let scope = ops.push_scope(own, report_at, session_at);
            let mut measures = [0; SESSION_MEASURES];
            measures[REPORTS] = 1;
            measures[DUPLICATES] = tally.duplicates;
            measures[SUPERSEDED] = tally.superseded;
            self.emit_all(ops, &program.reports, scope, &measures);
        }
        for (session, fate) in report.sessions.iter().zip(fates) {
            if *fate != Fate::Counts {
                continue;
            }
            tally.sessions += 1;
            tally.data_points += data_points(session);
            let time = program.time.effective(session.start_ms, shift, receive_ms);
            let part = match bucket(time.ms) {
                hour if hour == own.bucket => own,
                _ => Part::of(program, origin, app, time.ms),
            };
            tally.max_bucket = tally.max_bucket.max(part.bucket);
            if !program.touches(report, session) {
                continue;
            }
            let session_at = of_session(program, ops, report, session, time.ms, &mut self.prints);
            let place = Place {
                report,
                session,
                scope: ops.push_scope(part, report_at, session_at),
            };
            if !program.sessions.is_empty() {
                let measures = place.measures(program, time);
                self.emit_all(ops, &program.sessions, place.scope, &measures);
            }
            self.emit_events(program, ops, &place, gate);
            self.emit_parameters(program, ops, &place, gate);
            self.emit_errors(program, ops, &place, gate);
            if ops.is_full() {
                gate.apply(ops);
            }
        }
        tally
    }

    /// Of a report or session: every rollup of a stage.
    fn emit_all(&mut self, ops: &mut Ops<'_>, stage: &Stage, scope: u32, all: &[u64]) {
        stage.emit_singles(ops, scope, all);
        stage.pack(ops, all, &mut self.packed);
        for step in &stage.steps {
            let print = step.print(&self.prints);
            let packed = self.packed.get(step.packer).copied().unwrap_or_default();
            step.emit(ops, print, scope, 0, packed);
        }
    }

    /// Occurrence counts, then event records with a duration.
    fn emit_events<'b>(
        &mut self,
        program: &Program,
        ops: &mut Ops<'b>,
        place: &Place<'_, 'b>,
        gate: &mut impl Gate<'b>,
    ) {
        if program.events.is_empty() {
            return;
        }
        self.names.clear();
        place.bases(&program.events.steps, &self.prints, &mut self.bases);
        for &(name, count) in slice(&place.report.counts, &place.session.counts) {
            let name = place.leaf(program, ops, name);
            let is_new = !program.wanted.event_sessions || self.names.insert(name.1);
            let measures = [program.count(i64::from(count)), u64::from(is_new), 0];
            self.emit_event(program, ops, place.scope, name, measures);
            apply_if_full(ops, gate);
        }
        for event in slice(&place.report.events, &place.session.events) {
            let Some(duration) = event.duration_ms.filter(|duration| *duration > 0) else {
                continue;
            };
            let name = place.leaf(program, ops, event.name);
            let measures = [0, 0, program.duration(duration)];
            self.emit_event(program, ops, place.scope, name, measures);
            apply_if_full(ops, gate);
        }
    }

    /// Each parameter of each event record.
    fn emit_parameters<'b>(
        &mut self,
        program: &Program,
        ops: &mut Ops<'b>,
        place: &Place<'_, 'b>,
        gate: &mut impl Gate<'b>,
    ) {
        if program.parameters.is_empty() {
            return;
        }
        for (mask, _) in &program.wanted.distinct {
            self.distinct.get_mut(*mask).map(Seen::clear);
        }
        place.bases(&program.parameters.steps, &self.prints, &mut self.bases);
        for event in slice(&place.report.events, &place.session.events) {
            if event.params.is_empty() {
                continue;
            }
            let (name, name_print) = place.leaf(program, ops, event.name);
            for &(parameter, value) in slice(&place.report.params, &event.params) {
                let (parameter, parameter_print) = place.leaf(program, ops, parameter);
                let (value, value_print) = place.leaf(program, ops, value);
                let pieces = [name, parameter, value];
                let prints = [name_print, parameter_print, value_print];
                let leaf = ops.push(pieces);
                let is_new = self.note_distinct(program, &prints);
                for (step, base) in program.parameters.steps.iter().zip(&self.bases) {
                    let print = step.leaf.add(*base, &prints);
                    let measures = [1, u64::from(is_new[step.distinct & 7])];
                    let packed = step.pack(&measures, &mut ops.deltas);
                    step.emit(ops, print, place.scope, leaf, packed);
                }
                apply_if_full(ops, gate);
            }
        }
    }

    /// Each error record.
    fn emit_errors<'b>(
        &mut self,
        program: &Program,
        ops: &mut Ops<'b>,
        place: &Place<'_, 'b>,
        gate: &mut impl Gate<'b>,
    ) {
        let errors = slice(&place.report.errors, &place.session.errors);
        if program.errors.is_empty() || errors.is_empty() {
            return;
        }
        place.bases(&program.errors.steps, &self.prints, &mut self.bases);
        for error in errors {
            let (id, id_print) = place.leaf(program, ops, error.error_id);
            let kind = error_kind(error);
            let prints = [id_print, program.keys.text(kind)];
            let leaf = ops.push([id, Piece::Borrowed(kind)]);
            let measures = [1, u64::from(is_crash(error))];
            let stage = &program.errors;
            self.emit_leaf(ops, stage, (place.scope, leaf), &prints, &measures);
            apply_if_full(ops, gate);
        }
    }

    /// One event name with what it adds.
    #[inline(always)]
    fn emit_event<'b>(
        &self,
        program: &Program,
        ops: &mut Ops<'b>,
        scope: u32,
        (piece, print): (Piece<'b>, u128),
        measures: [u64; 3],
    ) {
        let leaf = ops.push([piece]);
        let stage = &program.events;
        self.emit_leaf(ops, stage, (scope, leaf), &[print], &measures);
    }

    /// One leaf with what it adds to every rollup of its stage.
    #[inline(always)]
    fn emit_leaf<const N: usize>(
        &self,
        ops: &mut Ops<'_>,
        stage: &Stage,
        (scope, leaf): (u32, u32),
        prints: &[u128],
        measures: &[u64; N],
    ) {
        for (step, base) in stage.steps.iter().zip(&self.bases) {
            let print = step.leaf.add(*base, prints);
            let packed = step.pack(measures, &mut ops.deltas);
            step.emit(ops, print, scope, leaf, packed);
        }
    }

    /// Per combination of event, parameter and value that somebody counts by:
    /// whether the session has it for the first time.
    fn note_distinct(&mut self, program: &Program, prints: &[u128; 3]) -> [bool; 8] {
        let mut is_new = [false; 8];
        for (mask, terms) in &program.wanted.distinct {
            if let (Some(seen), Some(is_new)) =
                (self.distinct.get_mut(*mask), is_new.get_mut(*mask))
            {
                *is_new = seen.insert(terms.add(0, prints));
            }
        }
        is_new
    }
}

fn data_points(session: &Session<'_>) -> u64 {
    1 + session.events.len() as u64 + session.errors.len() as u64
}

fn apply_if_full<'b>(ops: &mut Ops<'b>, gate: &mut impl Gate<'b>) {
    if ops.is_full() {
        gate.apply(ops);
    }
}

impl Part {
    /// What a record adds to the hour of `time_ms`.
    #[inline]
    fn of(program: &Program, from: Origin, app: u128, time_ms: i64) -> Self {
        let bucket = bucket(time_ms);
        Self {
            record: from.record,
            print: program.keys.block(app, from.partition, bucket),
            bucket,
        }
    }
}

impl<'b> Place<'_, 'b> {
    fn measures(&self, program: &Program, time: EffectiveTime) -> [u64; SESSION_MEASURES] {
        let session = self.session;
        let errors = slice(&self.report.errors, &session.errors);
        let events = slice(&self.report.counts, &session.counts)
            .iter()
            .fold(0u64, |sum, (_, count)| {
                sum.saturating_add(program.count(i64::from(*count)))
            });
        [
            0,
            1,
            u64::from(session.start_ms == self.report.first_session_ms),
            u64::from(session.duration_ms >= 0),
            program.duration(session.duration_ms),
            program.count(i64::from(session.page_views)),
            events,
            program.count(i64::from(session.total_errors)),
            errors.iter().filter(|error| is_crash(error)).count() as u64,
            data_points(session),
            u64::from(time.suspect),
            0,
            0,
        ]
    }

    /// The fingerprints of these rollups, but for the values of a leaf.
    fn bases(&self, steps: &[Step], prints: &Prints, bases: &mut Vec<u128>) {
        bases.clear();
        bases.extend(steps.iter().map(|step| step.print(prints)));
    }

    #[inline(always)]
    fn leaf(&self, program: &Program, ops: &mut Ops<'b>, text: &'b [u8]) -> (Piece<'b>, u128) {
        let piece = ops.normal(text, self.report.non_ascii);
        (piece, ops.print(&program.keys, piece))
    }
}

impl Step {
    /// The fingerprint of a group of this rollup, but for the values of a leaf.
    #[inline]
    fn print(&self, prints: &Prints) -> u128 {
        let print = self.report.add(self.salt, &prints.report);
        self.session.add(print, &prints.session)
    }

    /// Pushes one operation.
    #[inline]
    fn emit(&self, ops: &mut Ops<'_>, print: u128, scope: u32, leaf: u32, add: Packed) {
        let print = Print::of(print);
        ops.ops.push(Op::new(print, scope, add, leaf, self.at));
    }
}

impl Stage {
    /// Packs the measures of its level, once for all rollups that have the same.
    #[inline]
    fn pack(&self, ops: &mut Ops<'_>, all: &[u64], packed: &mut Vec<Packed>) {
        packed.clear();
        let packers = self.packers.iter();
        packed.extend(packers.map(|packer| packer.pack(all, &mut ops.deltas)));
    }

    /// Pushes the operations of its rollups without dimensions.
    #[inline]
    fn emit_singles(&self, ops: &mut Ops<'_>, scope: u32, all: &[u64]) {
        for step in &self.singles {
            let deltas = ops.deltas.len() as u32;
            let measures = step.measures.iter();
            let numbers = measures.map(|slot| all.get(*slot).copied().unwrap_or(0));
            ops.deltas.extend(numbers);
            ops.singles.push(Single {
                scope,
                deltas,
                rollup: step.at,
            });
        }
    }
}

impl Program {
    /// clamp(x) of docs/counters.md.
    #[inline]
    fn count(&self, wire: i64) -> u64 {
        u64::try_from(wire).unwrap_or(0).min(self.limits.max_count)
    }

    /// ms(x) of docs/counters.md.
    #[inline]
    fn duration(&self, wire: i64) -> u64 {
        u64::try_from(wire)
            .unwrap_or(0)
            .min(self.limits.max_duration_ms)
    }
}
