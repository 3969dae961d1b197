//! The lists that come more than once: pairs, multi-maps, origins.

use arrow_array::ArrayRef;
use arrow_schema::ArrowError;

use super::columns::{Bytes, Ends, structs};
use super::schema;
use super::scribe::Scribe;
use crate::report::{Report, Span, Text, slice};

/// `list<struct<name, value>>`
#[derive(Debug, Default)]
pub struct PairLists {
    ends: Ends,
    names: Bytes,
    values: Bytes,
}

impl PairLists {
    /// One element of the list that `close` will end.
    #[inline]
    pub fn push(&mut self, scribe: &mut Scribe, (name, value): (Text<'_>, Text<'_>)) {
        scribe.text(&mut self.names, name);
        scribe.text(&mut self.values, value);
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

    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let children = vec![
            self.names.finish_text(None)?,
            self.values.finish_text(None)?,
        ];
        let pairs = structs(&schema::PAIR_FIELDS, children, None)?;
        self.ends.finish(&schema::PAIR, pairs, None)
    }
}

/// `list<struct<name, values: list<text>>>`
#[derive(Debug, Default)]
pub struct ValueLists {
    ends: Ends,
    names: Bytes,
    value_ends: Ends,
    values: Bytes,
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

    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let values = self.values.finish_text(None)?;
        let values = self.value_ends.finish(&schema::TEXT, values, None)?;
        let children = vec![self.names.finish_text(None)?, values];
        let entries = structs(&schema::VALUES_FIELDS, children, None)?;
        self.ends.finish(&schema::VALUES, entries, None)
    }
}

/// `list<struct<name, pairs: list<struct<name, value>>>>`
#[derive(Debug, Default)]
pub struct OriginLists {
    ends: Ends,
    names: Bytes,
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

    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let children = vec![self.names.finish_text(None)?, self.pairs.finish()?];
        let entries = structs(&schema::ORIGIN_FIELDS, children, None)?;
        self.ends.finish(&schema::ORIGIN, entries, None)
    }
}
