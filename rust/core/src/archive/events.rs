//! Event counts and events of sessions: nearly all texts of a report.

use arrow_array::types::{Int32Type, Int64Type};

use super::columns::{Ends, Numbers, OptNumbers};
use super::intern::{Dictionary, Numbered};
use super::key::Key;
use super::lists::{PairKeys, PairLists};
use super::scribe::Scribe;
use super::visit::Visitor;
use crate::report::{Report, Session, Span, Text, slice};

/// Keys of more texts than this are not kept between reports.
const KEPT_KEYS: usize = 1 << 10;

/// The lists `event_counts` and `events`. What is counted are the events, so
/// that both have the same names: one dictionary, of which the second list
/// finds all in the caches.
#[derive(Debug, Default)]
pub struct EventLists {
    names: Dictionary,
    counts: Counts,
    events: Events,
    keys: Keys,
}

#[derive(Debug, Default)]
struct Counts {
    ends: Ends,
    name: Numbered,
    count: Numbers<Int32Type>,
}

#[derive(Debug, Default)]
struct Events {
    ends: Ends,
    id: OptNumbers<Int32Type>,
    name: Numbered,
    params: PairLists,
    offset: OptNumbers<Int64Type>,
    duration: OptNumbers<Int64Type>,
}

/// Of the texts of a report, each at the place of its record in the flat vectors.
#[derive(Debug, Default)]
struct Keys {
    counts: Vec<Key>,
    events: Vec<Key>,
    params: PairKeys,
}

impl EventLists {
    /// To be called before the sessions of a report are pushed, with as much
    /// work in between as there is: what of the dictionaries has left the caches
    /// is fetched meanwhile, for all texts at once.
    pub fn prepare(&mut self, scribe: &Scribe<'_>, report: &Report<'_>) {
        let around = scribe.around();
        let Keys {
            counts,
            events,
            params,
        } = &mut self.keys;
        for keys in [&mut *counts, &mut *events] {
            keys.clear();
            keys.shrink_to(KEPT_KEYS);
        }
        params.clear(KEPT_KEYS);
        let key = |name: Text<'_>| {
            let key = Key::within(name, around);
            self.names.soon(&key);
            key
        };
        counts.extend(report.counts.iter().map(|(name, _)| key(name)));
        events.extend(report.events.iter().map(|event| key(event.name)));
        self.events.params.prepare(&report.params, around, params);
    }

    /// The lists of a session of the report that was prepared.
    pub fn push(&mut self, scribe: &mut Scribe<'_>, report: &Report<'_>, session: &Session<'_>) {
        self.push_counts(scribe, report, &session.counts);
        self.push_events(scribe, report, &session.events);
    }

    fn push_counts(&mut self, scribe: &mut Scribe<'_>, report: &Report<'_>, span: &Span) {
        let (column, counts) = (&mut self.counts, slice(&report.counts, span));
        if scribe.is_plain() {
            let names = counts.iter().map(|(name, _)| *name);
            let keys = slice(&self.keys.counts, span);
            column.name.extend(&mut self.names, keys, names);
        } else {
            let keys = slice(&self.keys.counts, span);
            for (key, (name, _)) in keys.iter().zip(counts) {
                scribe.keyed(&mut column.name, &mut self.names, key, name);
            }
        }
        column.count.extend(counts.iter().map(|(_, count)| *count));
        column.ends.push(column.count.len());
    }

    fn push_events(&mut self, scribe: &mut Scribe<'_>, report: &Report<'_>, span: &Span) {
        let (column, events) = (&mut self.events, slice(&report.events, span));
        if scribe.is_plain() {
            let names = events.iter().map(|event| event.name);
            let keys = slice(&self.keys.events, span);
            column.name.extend(&mut self.names, keys, names);
            // The decoder leaves the parameters of a session's events one behind the other.
            let first = events.first().map_or(0, |event| event.params.start);
            let last = events.last().map_or(0, |event| event.params.end);
            let ends = events.iter().map(|event| event.params.end);
            let (keys, params) = (&self.keys.params, &report.params);
            column.params.extend(keys, params, &(first..last), ends);
        } else {
            let keys = slice(&self.keys.events, span);
            for (key, event) in keys.iter().zip(events) {
                scribe.keyed(&mut column.name, &mut self.names, key, event.name);
                let params = slice(&report.params, &event.params);
                column.params.push_list(scribe, params);
            }
        }
        let ids = events.iter().map(|event| event.id.map(i32::from));
        column.id.extend(ids);
        column
            .offset
            .extend(events.iter().map(|event| event.offset_ms));
        let durations = events.iter().map(|event| event.duration_ms);
        let durations = durations.map(|ms| ms.filter(|ms| *ms != 0));
        column.duration.extend(durations);
        column.ends.push(column.name.len());
    }

    pub fn visit(&self, visitor: &mut impl Visitor) {
        let Counts { ends, name, count } = &self.counts;
        visitor.list(None, ends, |v| {
            v.texts(None, &self.names, name);
            v.numbers::<Int32Type>(None, &count.values);
        });
        let events = &self.events;
        visitor.list(None, &events.ends, |v| {
            v.opt_numbers(&events.id);
            v.texts(None, &self.names, &events.name);
            events.params.visit(v);
            v.opt_numbers(&events.offset);
            v.opt_numbers(&events.duration);
        });
    }
}
