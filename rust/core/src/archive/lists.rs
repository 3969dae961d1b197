//! The lists that come more than once: pairs, multi-maps, origins.

use super::columns::Ends;
use super::intern::Texts;
use super::key::Key;
use super::scribe::Scribe;
use super::visit::Visitor;
use crate::report::{Report, Span, Text, slice};

/// `list<struct<name, value>>`
#[derive(Debug, Default)]
pub struct PairLists {
    ends: Ends,
    names: Texts,
    values: Texts,
}

impl PairLists {
    /// One element of the list that `close` will end.
    #[inline]
    pub fn push(&mut self, scribe: &mut Scribe<'_>, (name, value): (Text<'_>, Text<'_>)) {
        scribe.text(&mut self.names, name);
        scribe.text(&mut self.values, value);
    }

    /// The keys of a pair that will be pushed soon.
    #[inline]
    pub fn keys(&self, (name, value): (Text<'_>, Text<'_>), around: &[u8]) -> [Key; 2] {
        let value = Key::within(value, around);
        self.values.dictionary.soon(&value);
        [Key::within(name, around), value]
    }

    /// As `push`, of a pair that is shown as it stands.
    #[inline]
    pub fn push_keyed(&mut self, [one, two]: &[Key; 2], (name, value): (Text<'_>, Text<'_>)) {
        self.names.push(one, name);
        self.values.push(two, value);
    }

    #[inline]
    pub fn close(&mut self) {
        self.ends.push(self.names.len());
    }

    #[inline]
    pub fn push_list(&mut self, scribe: &mut Scribe<'_>, pairs: &[(Text<'_>, Text<'_>)]) {
        for pair in pairs {
            self.push(scribe, *pair);
        }
        self.close();
    }

    pub fn visit(&self, visitor: &mut impl Visitor) {
        visitor.list(None, &self.ends, |v| {
            v.own_texts(&self.names);
            v.own_texts(&self.values);
        });
    }
}

/// `list<struct<name, values: list<text>>>`
#[derive(Debug, Default)]
pub struct ValueLists {
    ends: Ends,
    names: Texts,
    value_ends: Ends,
    values: Texts,
}

impl ValueLists {
    pub fn push_list(
        &mut self,
        scribe: &mut Scribe<'_>,
        report: Option<&Report<'_>>,
        entries: &[(Text<'_>, Span)],
    ) {
        for (name, span) in entries {
            scribe.text(&mut self.names, name);
            for value in report.map_or(&[][..], |report| slice(&report.values, span)) {
                scribe.text(&mut self.values, value);
            }
            self.value_ends.push(self.values.len());
        }
        self.ends.push(self.names.len());
    }

    pub fn visit(&self, visitor: &mut impl Visitor) {
        visitor.list(None, &self.ends, |v| {
            v.own_texts(&self.names);
            v.list(None, &self.value_ends, |v| v.own_texts(&self.values));
        });
    }
}

/// `list<struct<name, pairs: list<struct<name, value>>>>`
#[derive(Debug, Default)]
pub struct OriginLists {
    ends: Ends,
    names: Texts,
    pairs: PairLists,
}

impl OriginLists {
    pub fn push_list(
        &mut self,
        scribe: &mut Scribe<'_>,
        report: Option<&Report<'_>>,
        entries: &[(Text<'_>, Span)],
    ) {
        for (name, span) in entries {
            scribe.text(&mut self.names, name);
            let pairs = report.map_or(&[][..], |report| slice(&report.pairs, span));
            self.pairs.push_list(scribe, pairs);
        }
        self.ends.push(self.names.len());
    }

    pub fn visit(&self, visitor: &mut impl Visitor) {
        visitor.list(None, &self.ends, |v| {
            v.own_texts(&self.names);
            self.pairs.visit(v);
        });
    }
}
