//! The lists that come more than once: pairs, multi-maps, origins.

use super::columns::Ends;
use super::intern::Texts;
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
    pub fn push(&mut self, scribe: &mut Scribe, (name, value): (Text<'_>, Text<'_>)) {
        scribe.text(&mut self.names, name);
        scribe.text(&mut self.values, value);
    }

    /// To be called with the pairs that are about to be pushed, where they are many.
    #[inline]
    pub fn warm(&self, pairs: &[(Text<'_>, Text<'_>)]) {
        self.values.warm(pairs.iter().map(|(_, value)| *value));
    }

    #[inline]
    pub fn close(&mut self) {
        self.ends.push(self.names.len());
    }

    #[inline]
    pub fn push_list(&mut self, scribe: &mut Scribe, pairs: &[(Text<'_>, Text<'_>)]) {
        for pair in pairs {
            self.push(scribe, *pair);
        }
        self.close();
    }

    pub fn visit(&self, visitor: &mut impl Visitor) {
        visitor.list(None, &self.ends, |v| {
            v.texts(None, &self.names);
            v.texts(None, &self.values);
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
        scribe: &mut Scribe,
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
            v.texts(None, &self.names);
            v.list(None, &self.value_ends, |v| v.texts(None, &self.values));
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
        scribe: &mut Scribe,
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
            v.texts(None, &self.names);
            self.pairs.visit(v);
        });
    }
}
