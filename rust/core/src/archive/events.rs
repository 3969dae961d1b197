//! Event counts and events of sessions: nearly all texts of a report.

use arrow_array::types::{Int32Type, Int64Type};

use super::columns::{Ends, Numbers, OptNumbers};
use super::intern::{Dictionary, Numbered};
use super::key::Key;
use super::lists::PairLists;
use super::scribe::Scribe;
use super::visit::Visitor;
use crate::report::{Event, Report, Session, Text, slice};

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

/// Of the texts of a session, in the order in which they are pushed.
#[derive(Debug, Default)]
struct Keys {
    counts: Vec<Key>,
    events: Vec<Key>,
    params: Vec<[Key; 2]>,
}

impl EventLists {
    /// To be called before `push`, with as much work in between as there is:
    /// what of the dictionaries has left the caches is fetched meanwhile, for
    /// all texts at once.
    pub fn prepare(&mut self, scribe: &Scribe<'_>, report: &Report<'_>, session: &Session<'_>) {
        let around = scribe.around();
        let Keys {
            counts,
            events,
            params,
        } = &mut self.keys;
        counts.clear();
        events.clear();
        params.clear();
        if !scribe.is_plain() {
            return;
        }
        let key = |name: Text<'_>| {
            let key = Key::within(name, around);
            self.names.soon(&key);
            key
        };
        let names = slice(&report.counts, &session.counts).iter();
        counts.extend(names.map(|(name, _)| key(name)));
        let records = slice(&report.events, &session.events);
        events.extend(records.iter().map(|event| key(event.name)));
        for event in records {
            let pairs = slice(&report.params, &event.params).iter();
            params.extend(pairs.map(|pair| self.events.params.keys(*pair, around)));
        }
    }

    /// The lists of a session, which was prepared.
    pub fn push(&mut self, scribe: &mut Scribe<'_>, report: &Report<'_>, session: &Session<'_>) {
        self.push_counts(scribe, slice(&report.counts, &session.counts));
        let events = slice(&report.events, &session.events);
        self.push_events(scribe, report, events);
        self.keys.counts.shrink_to(KEPT_KEYS);
        self.keys.events.shrink_to(KEPT_KEYS);
        self.keys.params.shrink_to(KEPT_KEYS);
    }

    fn push_counts(&mut self, scribe: &mut Scribe<'_>, counts: &[(Text<'_>, i32)]) {
        let column = &mut self.counts;
        if scribe.is_plain() {
            for (key, (name, _)) in self.keys.counts.iter().zip(counts) {
                column.name.push(&mut self.names, key, name);
            }
        } else {
            for (name, _) in counts {
                scribe.numbered(&mut column.name, &mut self.names, name);
            }
        }
        let numbers = counts.iter().map(|(_, count)| *count);
        column.count.values.extend(numbers);
        column.ends.push(column.count.len());
    }

    fn push_events(
        &mut self,
        scribe: &mut Scribe<'_>,
        report: &Report<'_>,
        events: &[Event<'_>],
    ) {
        let column = &mut self.events;
        let params = |event: &Event<'_>| slice(&report.params, &event.params);
        if scribe.is_plain() {
            for (key, event) in self.keys.events.iter().zip(events) {
                column.name.push(&mut self.names, key, event.name);
            }
            let mut keys = self.keys.params.iter();
            for event in events {
                // In this order: `zip` takes from the first before it asks the second.
                for (pair, keys) in params(event).iter().zip(keys.by_ref()) {
                    column.params.push_keyed(keys, *pair);
                }
                column.params.close();
            }
        } else {
            for event in events {
                scribe.numbered(&mut column.name, &mut self.names, event.name);
                column.params.push_list(scribe, params(event));
            }
        }
        column.id.extend(events.iter().map(|event| event.id.map(i32::from)));
        column.offset.extend(events.iter().map(|event| event.offset_ms));
        let durations = events.iter().map(|event| event.duration_ms);
        column.duration.extend(durations.map(|ms| ms.filter(|ms| *ms != 0)));
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
