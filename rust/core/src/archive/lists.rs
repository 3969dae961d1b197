//! The lists that come more than once: pairs, multi-maps, origins.

use super::columns::Ends;
use super::intern::Texts;
use super::key::Key;
use super::scribe::Scribe;
use super::visit::Visitor;
use crate::report::{Report, Span, Text, slice};

/// Of the texts of pairs.
#[derive(Debug, Default)]
pub struct PairKeys {
    names: Vec<Key>,
    values: Vec<Key>,
}

impl PairKeys {
    pub fn clear(&mut self, kept: usize) {
        for keys in [&mut self.names, &mut self.values] {
            keys.clear();
            keys.shrink_to(kept);
        }
    }
}

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

    /// The keys of pairs that will be pushed soon.
    #[inline]
    pub fn prepare(&self, pairs: &[(Text<'_>, Text<'_>)], around: &[u8], keys: &mut PairKeys) {
        let names = pairs.iter().map(|(name, _)| Key::within(name, around));
        keys.names.extend(names);
        keys.values.extend(pairs.iter().map(|(_, value)| {
            let key = Key::within(value, around);
            self.values.dictionary.soon(&key);
            key
        }));
    }

    /// Pairs of several lists that are shown as they stand, `span` of those that
    /// were prepared; `ends` is where the lists end in them.
    #[inline]
    pub fn extend(
        &mut self,
        keys: &PairKeys,
        pairs: &[(Text<'_>, Text<'_>)],
        span: &Span,
        ends: impl Iterator<Item = u32>,
    ) {
        let before = self.names.len();
        let pairs = slice(pairs, span);
        let Texts { dictionary, column } = &mut self.names;
        let names = pairs.iter().map(|(name, _)| *name);
        column.extend(dictionary, slice(&keys.names, span), names);
        let Texts { dictionary, column } = &mut self.values;
        let values = pairs.iter().map(|(_, value)| *value);
        column.extend(dictionary, slice(&keys.values, span), values);
        self.ends
            .extend(ends.map(|end| before + (end - span.start) as usize));
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
