//! The one place where bytes are taken and bounds are checked.

use crate::reason::Reason;
use crate::report::Text;
use crate::wire::text;

/// What is left of a body, and what the report has asked for so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    /// Records the report may still announce.
    allowance: u32,
    /// Whether a text with a byte above 0x7F was read.
    pub(crate) non_ascii: bool,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(body: &'a [u8], max_records: u32) -> Self {
        Cursor {
            rest: body,
            allowance: max_records,
            non_ascii: false,
        }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next N bytes.
    #[inline(always)]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        match self.rest.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => Err(Reason::Truncated),
        }
    }

    /// The next `n` bytes.
    #[inline(always)]
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], Reason> {
        match self.rest.split_at_checked(n) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(Reason::Truncated),
        }
    }

    #[inline(always)]
    pub(crate) fn u8(&mut self) -> Result<u8, Reason> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    #[inline(always)]
    pub(crate) fn i8(&mut self) -> Result<i8, Reason> {
        self.array().map(i8::from_be_bytes)
    }

    #[inline(always)]
    pub(crate) fn u16(&mut self) -> Result<u16, Reason> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline(always)]
    pub(crate) fn u32(&mut self) -> Result<u32, Reason> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline(always)]
    pub(crate) fn i32(&mut self) -> Result<i32, Reason> {
        self.array().map(i32::from_be_bytes)
    }

    #[inline(always)]
    pub(crate) fn u64(&mut self) -> Result<u64, Reason> {
        self.array().map(u64::from_be_bytes)
    }

    #[inline(always)]
    pub(crate) fn i64(&mut self) -> Result<i64, Reason> {
        self.array().map(i64::from_be_bytes)
    }

    /// Two numbers in a row, neither of which is checked.
    #[inline(always)]
    pub(crate) fn two_i64(&mut self) -> Result<(i64, i64), Reason> {
        let bytes = u128::from_be_bytes(self.array()?);
        Ok(((bytes >> 64) as i64, bytes as i64))
    }

    #[inline(always)]
    pub(crate) fn bool(&mut self) -> Result<bool, Reason> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Reason::BadValue),
        }
    }

    /// A constant of one byte.
    #[inline(always)]
    pub(crate) fn zero(&mut self) -> Result<(), Reason> {
        match self.u8()? {
            0 => Ok(()),
            _ => Err(Reason::BadValue),
        }
    }

    /// A u16 length and that many bytes of anything.
    #[inline(always)]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Reason> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// A `UTF`: the bytes as they stand, valid as modified UTF-8.
    #[inline(always)]
    pub(crate) fn text(&mut self) -> Result<Text<'a>, Reason> {
        let length = usize::from(self.u16()?);
        let from_here = self.rest;
        let text = self.take(length)?;
        if text::has_high_bytes(text, from_here) {
            self.non_ascii = true;
            text::check(text)?;
        }
        Ok(text)
    }

    /// The number of records that follow, charged to the report's allowance.
    #[inline(always)]
    pub(crate) fn count(&mut self) -> Result<u16, Reason> {
        let count = self.u16()?;
        match self.allowance.checked_sub(u32::from(count)) {
            Some(left) => {
                self.allowance = left;
                Ok(count)
            }
            None => Err(Reason::OverBudget),
        }
    }
}
