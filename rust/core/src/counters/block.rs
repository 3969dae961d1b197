//! The value of a block: canonical bytes, so that equal contents are equal
//! bytes. Layout in docs/counters.md.

use std::fmt;

use super::varint;
use crate::crc::crc32;
use crate::plan::{Plan, Rollup};
use crate::prefix;

/// Version of the layout. Part of every plan id.
pub const FORMAT: u8 = 2;

const HEADER_BYTES: usize = 1 + 8 + 4 + 4;
const CRC_BYTES: usize = 4;

/// What stands before the sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// E: the block holds the partition's records with offset < `end`.
    pub end: i64,
    /// Plan id.
    pub plan: u32,
    /// CRC-32C of the payload of record `end` − 1.
    pub last_crc: u32,
}

/// Why a value is not a block of this plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockError {
    /// Shorter than header and CRC.
    Short,
    /// Another format than [`FORMAT`]: this one.
    Format(u8),
    /// The CRC-32 at the end differs.
    Crc,
    /// Another plan's.
    Plan,
    /// E is 0 or does not fit an offset.
    End,
    /// A number is cut short, too large or not in its shortest form.
    Number,
    /// A section of a rollup that the plan does not have, out of order, empty, or twice.
    Section,
    /// More groups than the cap, or an `(other)` beside fewer.
    Cap,
    /// Keys out of order, a prefix that is not the longest, or an end inside a key.
    Key,
    /// A key is not one UTF-8 text per dimension.
    Dimensions,
    /// The `(other)` flag is neither 0 nor 1.
    Flag,
    /// Bytes are left before the CRC.
    Trailing,
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            BlockError::Short => "shorter than any block",
            BlockError::Format(number) => {
                return write!(f, "its format is {number}, this version reads {FORMAT}");
            }
            BlockError::Crc => "its CRC-32 differs from its bytes",
            BlockError::Plan => "another plan's block",
            BlockError::End => "its end offset is impossible",
            BlockError::Number => "a number is cut short or not in its shortest form",
            BlockError::Section => "a section is unknown, empty or out of order",
            BlockError::Cap => "groups and cap disagree",
            BlockError::Key => "a key is out of order or badly cut",
            BlockError::Dimensions => "a key is not one text per dimension",
            BlockError::Flag => "the (other) flag is neither 0 nor 1",
            BlockError::Trailing => "bytes are left after the last section",
        };
        f.write_str(text)
    }
}

impl std::error::Error for BlockError {}

/// Writes one block; sections in increasing order of their numbers.
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
}

impl<'o> Writer<'o> {
    /// Begins a block of so many sections at the end of `out`.
    pub fn begin(out: &'o mut Vec<u8>, header: Header, sections: usize) -> Self {
        let start = out.len();
        write_header(out, header);
        varint::write(sections as u64, out);
        Self { out, start }
    }

    /// A section: its groups sorted by key, each with the rollup's measures.
    pub fn section<'g>(
        &mut self,
        number: u8,
        groups: impl ExactSizeIterator<Item = (&'g [u8], &'g [u64])>,
        other: Option<&[u64]>,
    ) {
        varint::write(u64::from(number), self.out);
        varint::write(groups.len() as u64, self.out);
        self.out.push(u8::from(other.is_some()));
        let mut previous: &[u8] = &[];
        for (key, values) in groups {
            let shared = prefix::shared(previous, key);
            let rest = key.get(shared..).unwrap_or(&[]);
            varint::write(shared as u64, self.out);
            varint::write(rest.len() as u64, self.out);
            self.out.extend_from_slice(rest);
            self.values(values);
            previous = key;
        }
        if let Some(values) = other {
            self.values(values);
        }
    }

    /// Closes the block with its CRC.
    pub fn finish(self) {
        seal(self.out, self.start);
    }

    fn values(&mut self, values: &[u64]) {
        for value in values {
            varint::write(*value, self.out);
        }
    }
}

/// What stands between header and CRC of a block.
pub fn body(value: &[u8]) -> &[u8] {
    let end = value.len().saturating_sub(CRC_BYTES);
    value.get(HEADER_BYTES..end).unwrap_or(&[])
}

/// Appends the block with this header and body.
pub fn write_body(out: &mut Vec<u8>, header: Header, body: &[u8]) {
    let start = out.len();
    write_header(out, header);
    out.extend_from_slice(body);
    seal(out, start);
}

fn write_header(out: &mut Vec<u8>, header: Header) {
    out.push(FORMAT);
    out.extend(header.end.to_be_bytes());
    out.extend(header.plan.to_be_bytes());
    out.extend(header.last_crc.to_be_bytes());
}

/// Closes the block that begins at `start` with its CRC.
fn seal(out: &mut Vec<u8>, start: usize) {
    let crc = crc32(out.get(start..).unwrap_or(&[]));
    out.extend(crc.to_be_bytes());
}

/// A decoded block, in flat vectors that are kept from block to block.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Decoded {
    pub header: Header,
    /// The bytes never left this process: texts in keys are not looked at.
    trusted: bool,
    pub sections: Vec<Section>,
    keys: Vec<u8>,
    key_ends: Vec<usize>,
    values: Vec<u64>,
}

/// The groups of one rollup.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Section {
    /// Where the rollup stands in `Plan::rollups`.
    pub rollup: usize,
    /// Its number of measures.
    pub width: usize,
    /// Own groups.
    pub groups: usize,
    /// Whether there is an `(other)`.
    pub other: bool,
    first_key: usize,
    first_value: usize,
}

impl Decoded {
    /// Reads a value strictly: whatever [`Writer`] would not have written is refused.
    pub fn read(&mut self, plan: &Plan, value: &[u8]) -> Result<(), BlockError> {
        self.clear();
        self.trusted = false;
        self.header = read_header(value)?;
        if self.header.plan != plan.id {
            return Err(BlockError::Plan);
        }
        self.read_sections(plan, body(value))
    }

    /// Reads what [`body`] gave of a value that this process wrote.
    pub fn read_body(&mut self, plan: &Plan, body: &[u8]) -> Result<(), BlockError> {
        self.clear();
        self.trusted = true;
        self.read_sections(plan, body)
    }

    /// The own groups of a section: (encoded key, measures).
    pub fn groups<'d>(
        &'d self,
        section: &'d Section,
    ) -> impl ExactSizeIterator<Item = (&'d [u8], &'d [u64])> {
        (0..section.groups).map(move |at| {
            let end = section.first_key + at;
            let start = match end.checked_sub(1) {
                Some(before) => self.key_ends.get(before).copied().unwrap_or(0),
                None => 0,
            };
            let end = self.key_ends.get(end).copied().unwrap_or(0);
            let key = self.keys.get(start..end).unwrap_or(&[]);
            (key, self.row(section, at))
        })
    }

    /// The measures of a section's `(other)`.
    pub fn other(&self, section: &Section) -> Option<&[u64]> {
        section.other.then(|| self.row(section, section.groups))
    }

    fn row(&self, section: &Section, at: usize) -> &[u64] {
        let start = section.first_value + at * section.width;
        self.values.get(start..start + section.width).unwrap_or(&[])
    }

    /// Nothing is in it then.
    pub(super) fn clear(&mut self) {
        self.header = Header::default();
        self.sections.clear();
        self.keys.clear();
        self.key_ends.clear();
        self.values.clear();
    }

    fn read_sections(&mut self, plan: &Plan, mut body: &[u8]) -> Result<(), BlockError> {
        let count = number(&mut body)?;
        let mut next = 0;
        for _ in 0..count {
            let number = number(&mut body)?;
            let at = u8::try_from(number)
                .ok()
                .and_then(|number| plan.position(number))
                .filter(|at| *at >= next)
                .ok_or(BlockError::Section)?;
            let rollup = plan.rollups.get(at).ok_or(BlockError::Section)?;
            next = at + 1;
            self.read_section(at, rollup, &mut body)?;
        }
        if body.is_empty() {
            Ok(())
        } else {
            Err(BlockError::Trailing)
        }
    }

    fn read_section(
        &mut self,
        at: usize,
        rollup: &Rollup,
        body: &mut &[u8],
    ) -> Result<(), BlockError> {
        let groups = number(body)?;
        let other = match take(body, 1)? {
            [0] => false,
            [1] => true,
            _ => return Err(BlockError::Flag),
        };
        let cap = u64::from(rollup.cap);
        if groups == 0 {
            return Err(BlockError::Section);
        }
        // The cap also bounds what a hostile count can make us allocate.
        if groups > cap || (other && groups != cap) {
            return Err(BlockError::Cap);
        }
        let section = Section {
            rollup: at,
            width: rollup.measures.len(),
            groups: groups as usize,
            other,
            first_key: self.key_ends.len(),
            first_value: self.values.len(),
        };
        let mut previous = None;
        for _ in 0..groups {
            previous = Some(self.read_key(previous, rollup, body)?);
            self.read_values(section.width, body)?;
        }
        if other {
            self.read_values(section.width, body)?;
        }
        self.sections.push(section);
        Ok(())
    }

    /// Reads one key after `previous` (its span in `keys`); returns its own span.
    fn read_key(
        &mut self,
        previous: Option<(usize, usize)>,
        rollup: &Rollup,
        body: &mut &[u8],
    ) -> Result<(usize, usize), BlockError> {
        let shared = usize::try_from(number(body)?).map_err(|_| BlockError::Key)?;
        let length = usize::try_from(number(body)?).map_err(|_| BlockError::Key)?;
        let rest = take(body, length).map_err(|_| BlockError::Key)?;
        let start = self.keys.len();
        match previous {
            None if shared == 0 => {}
            None => return Err(BlockError::Key),
            Some((from, to)) => {
                let old = self.keys.get(from..to).unwrap_or(&[]);
                // In order and the prefix the longest: the first byte after it must be larger.
                let grows = match (old.get(shared), rest.first()) {
                    (Some(old), Some(new)) => new > old,
                    (None, Some(_)) => shared == old.len(),
                    (_, None) => false,
                };
                if !grows {
                    return Err(BlockError::Key);
                }
                self.keys.extend_from_within(from..from + shared);
            }
        }
        self.keys.extend_from_slice(rest);
        let end = self.keys.len();
        self.key_ends.push(end);
        if self.trusted {
            return Ok((start, end));
        }
        let key = self.keys.get(start..end).unwrap_or(&[]);
        let mut parts = KeyParts::new(key);
        if parts.by_ref().count() != rollup.dimensions.len() || parts.failed {
            return Err(BlockError::Dimensions);
        }
        Ok((start, end))
    }

    fn read_values(&mut self, width: usize, body: &mut &[u8]) -> Result<(), BlockError> {
        for _ in 0..width {
            self.values.push(number(body)?);
        }
        Ok(())
    }
}

/// Checks format, CRC and end offset; the cheap part of reading a block.
pub fn read_header(value: &[u8]) -> Result<Header, BlockError> {
    let (body, crc) = value
        .split_last_chunk::<CRC_BYTES>()
        .ok_or(BlockError::Short)?;
    let (header, _) = body
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(BlockError::Short)?;
    let &[format, ref rest @ ..] = header;
    if format != FORMAT {
        return Err(BlockError::Format(format));
    }
    if crc32(body) != u32::from_be_bytes(*crc) {
        return Err(BlockError::Crc);
    }
    let &[
        e0,
        e1,
        e2,
        e3,
        e4,
        e5,
        e6,
        e7,
        p0,
        p1,
        p2,
        p3,
        c0,
        c1,
        c2,
        c3,
    ] = rest;
    let end = i64::from_be_bytes([e0, e1, e2, e3, e4, e5, e6, e7]);
    if end <= 0 {
        return Err(BlockError::End);
    }
    Ok(Header {
        end,
        plan: u32::from_be_bytes([p0, p1, p2, p3]),
        last_crc: u32::from_be_bytes([c0, c1, c2, c3]),
    })
}

/// The texts of an encoded key, one per dimension. After a malformed key
/// `failed` is set.
pub struct KeyParts<'k> {
    rest: &'k [u8],
    /// Whether the key was malformed.
    pub failed: bool,
}

impl<'k> KeyParts<'k> {
    /// Over the texts of `key`.
    pub fn new(key: &'k [u8]) -> Self {
        Self {
            rest: key,
            failed: false,
        }
    }
}

impl<'k> Iterator for KeyParts<'k> {
    type Item = &'k str;

    fn next(&mut self) -> Option<&'k str> {
        if self.rest.is_empty() {
            return None;
        }
        let text = number(&mut self.rest)
            .and_then(|length| {
                let length = usize::try_from(length).map_err(|_| BlockError::Dimensions)?;
                take(&mut self.rest, length)
            })
            .ok()
            .and_then(|text| std::str::from_utf8(text).ok());
        if text.is_none() {
            self.failed = true;
            self.rest = &[];
        }
        text
    }
}

/// Appends one text of an encoded key.
#[inline]
pub fn write_key_part(text: &[u8], out: &mut Vec<u8>) {
    varint::write(text.len() as u64, out);
    out.extend_from_slice(text);
}

fn number(bytes: &mut &[u8]) -> Result<u64, BlockError> {
    varint::read(bytes).ok_or(BlockError::Number)
}

fn take<'b>(bytes: &mut &'b [u8], length: usize) -> Result<&'b [u8], BlockError> {
    let (front, rest) = bytes.split_at_checked(length).ok_or(BlockError::Number)?;
    *bytes = rest;
    Ok(front)
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
