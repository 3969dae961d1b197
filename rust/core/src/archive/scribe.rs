//! Turns wire values into what readers can show, and notices whenever that
//! could not be turned back.

use super::columns::{OptBytes, OptTextColumn, TextColumn};
use super::intern::{Dictionary, Numbered};
use super::key::Key;
use super::schema::{MAX_TIME_MS, MIN_TIME_MS};
use crate::report::Text;
use crate::wire::text;

/// Kept from row to row.
#[derive(Debug, Default)]
pub struct Scratch {
    shown: String,
    back: Vec<u8>,
}

/// State of one row while its columns are filled.
#[derive(Debug)]
pub struct Scribe<'a> {
    /// Every text of the report is ASCII: wire and column at once.
    plain: bool,
    exact: bool,
    payload: &'a [u8],
    scratch: &'a mut Scratch,
}

impl<'a> Scribe<'a> {
    pub fn new(plain: bool, payload: &'a [u8], scratch: &'a mut Scratch) -> Self {
        Self {
            plain,
            exact: true,
            payload,
            scratch,
        }
    }

    /// Whether every text is shown as it stands.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// What the report's texts lie in.
    pub fn around(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether the columns that were written hold the report wholly.
    pub fn exact(&self) -> bool {
        self.exact
    }

    /// Something was written that the columns cannot give back.
    pub fn lose(&mut self) {
        self.exact = false;
    }

    #[inline]
    pub fn text(&mut self, column: &mut impl TextColumn, value: Text<'_>) {
        let around = self.payload;
        if self.plain {
            column.push(value, around);
        } else {
            column.push(self.shown(value), around);
        }
    }

    /// As `text`, of one whose key is known already, for when it is shown as it stands.
    pub fn keyed(
        &mut self,
        column: &mut Numbered,
        dictionary: &mut Dictionary,
        key: &Key,
        value: Text<'_>,
    ) {
        if self.plain || is_shown_as_it_stands(value) {
            column.push(dictionary, key, value);
        } else {
            let shown = self.shown(value);
            column.push(dictionary, &Key::of(shown), shown);
        }
    }

    #[inline]
    pub fn opt_text(&mut self, column: &mut impl OptTextColumn, value: Option<Text<'_>>) {
        let around = self.payload;
        match value {
            Some(value) if !self.plain => column.push(Some(self.shown(value)), around),
            plain => column.push(plain, around),
        }
    }

    /// Bytes that are shown as text (device ids of protocols 22+, traces).
    #[inline]
    pub fn opt_bytes_as_text(&mut self, column: &mut OptBytes, value: Option<&[u8]>) {
        match value {
            Some(value) if !value.is_ascii() && std::str::from_utf8(value).is_err() => {
                self.lose();
                column.push(Some(String::from_utf8_lossy(value).as_bytes()));
            }
            utf8 => column.push(utf8),
        }
    }

    /// A device clock within what every reader can show.
    #[inline]
    pub fn time(&mut self, ms: i64) -> i64 {
        let shown = ms.clamp(MIN_TIME_MS, MAX_TIME_MS);
        self.exact &= shown == ms;
        shown
    }

    /// The value as UTF-8.
    fn shown<'b>(&'b mut self, value: Text<'b>) -> &'b [u8] {
        // Most texts of such a report are plain all the same.
        if is_shown_as_it_stands(value) {
            return value;
        }
        let Scratch { shown, back } = &mut *self.scratch;
        shown.clear();
        shown.push_str(&text::utf8(value));
        back.clear();
        text::from_utf8(shown, back);
        self.exact &= back == value;
        shown.as_bytes()
    }
}

/// Whether a text of a report that is converted is the same on the wire and in the column.
fn is_shown_as_it_stands(value: Text<'_>) -> bool {
    value.iter().all(|byte| (1..0x80).contains(byte))
}
