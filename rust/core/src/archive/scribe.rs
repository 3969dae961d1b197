//! Turns wire values into what readers can show, and notices whenever that
//! could not be turned back.

use super::columns::{OptBytes, OptTextColumn, TextColumn};
use super::schema::{MAX_TIME_MS, MIN_TIME_MS};
use crate::report::Text;
use crate::wire::text;

/// State of one row while its columns are filled.
#[derive(Debug, Default)]
pub struct Scribe {
    /// Every text of the report is ASCII: wire and column at once.
    plain: bool,
    exact: bool,
    shown: String,
    scratch: Vec<u8>,
}

impl Scribe {
    pub fn start(&mut self, plain: bool) {
        self.plain = plain;
        self.exact = true;
    }

    /// Whether the columns written since `start` hold the report wholly.
    pub fn exact(&self) -> bool {
        self.exact
    }

    /// Something was written that the columns cannot give back.
    pub fn lose(&mut self) {
        self.exact = false;
    }

    #[inline]
    pub fn text(&mut self, column: &mut impl TextColumn, value: Text<'_>) {
        if self.plain {
            column.push(value);
        } else {
            column.push(self.shown(value));
        }
    }

    #[inline]
    pub fn opt_text(&mut self, column: &mut impl OptTextColumn, value: Option<Text<'_>>) {
        match value {
            Some(value) if !self.plain => column.push(Some(self.shown(value))),
            plain => column.push(plain),
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
    fn shown<'a>(&'a mut self, value: Text<'a>) -> &'a [u8] {
        // Most texts of such a report are plain all the same.
        if value.iter().all(|byte| (1..0x80).contains(byte)) {
            return value;
        }
        self.shown.clear();
        self.shown.push_str(&text::utf8(value));
        self.scratch.clear();
        text::from_utf8(&self.shown, &mut self.scratch);
        self.exact &= self.scratch == value;
        self.shown.as_bytes()
    }
}
