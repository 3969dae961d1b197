//! A column chunk while it grows: pages, what the indexes say of them, its dictionary.

use zstd::bulk::Compressor;

use super::ParquetError;
use super::bits::varint;
use super::bloom::Bloom;
use super::thrift::Compact;

/// Texts in statistics are cut here: what a hostile device sends must not fill footers.
const MAX_BOUND: usize = 64;

/// Bytes that must come again before Zstandard's first level refers to them.
const SHORTEST_MATCH: u32 = 6;

/// How the values of a page are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Plain = 0,
    Delta = 5,
    DeltaLength = 6,
    DeltaStrings = 7,
    Dictionary = 8,
}

impl Encoding {
    pub const ALL: [Self; 5] = [
        Self::Plain,
        Self::Delta,
        Self::DeltaLength,
        Self::DeltaStrings,
        Self::Dictionary,
    ];

    fn slot(self) -> usize {
        Self::ALL.iter().position(|one| *one == self).unwrap_or(0)
    }
}

/// Least and greatest value of a page or a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bounds {
    Numbers(i64, i64),
    /// Least and greatest, and whether they are those values or only close.
    Texts(Vec<u8>, Vec<u8>, bool),
}

impl Bounds {
    /// Of texts; `None` where no short text is above the greatest.
    pub fn texts(least: &[u8], greatest: &[u8]) -> Option<Self> {
        let exact = least.len() <= MAX_BOUND && greatest.len() <= MAX_BOUND;
        let mut low = cut(least).to_vec();
        low.truncate(MAX_BOUND);
        let mut high = cut(greatest).to_vec();
        if high.len() < greatest.len() {
            // The last ASCII byte, one higher: above whatever follows.
            let place = high.iter().rposition(|byte| *byte < 0x7F)?;
            high.truncate(place + 1);
            *high.last_mut()? += 1;
        }
        Some(Self::Texts(low, high, exact))
    }

    fn widen(&mut self, other: &Self) {
        match (self, other) {
            (Self::Numbers(low, high), Self::Numbers(least, most)) => {
                *low = (*low).min(*least);
                *high = (*high).max(*most);
            }
            (Self::Texts(low, high, exact), Self::Texts(least, most, also)) => {
                if least < low {
                    low.clone_from(least);
                }
                if most > high {
                    high.clone_from(most);
                }
                *exact &= also;
            }
            _ => {}
        }
    }

    /// As statistics and indexes hold them.
    pub fn bytes(&self) -> (Vec<u8>, Vec<u8>) {
        match self {
            Self::Numbers(low, high) => (low.to_le_bytes().to_vec(), high.to_le_bytes().to_vec()),
            Self::Texts(low, high, _) => (low.clone(), high.clone()),
        }
    }

    /// Whether neither end of `next` is below ours.
    pub fn rises_to(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::Numbers(a, b), Self::Numbers(c, d)) => a <= c && b <= d,
            (Self::Texts(a, b, _), Self::Texts(c, d, _)) => a <= c && b <= d,
            _ => false,
        }
    }
}

/// At most `MAX_BOUND` bytes of a text, whole characters.
fn cut(text: &[u8]) -> &[u8] {
    if text.len() <= MAX_BOUND {
        return text;
    }
    let starts = |place: &usize| text.get(*place).is_some_and(|byte| byte & 0xC0 != 0x80);
    let end = (0..=MAX_BOUND).rev().find(starts).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// A page that is written: what offset index and column index say.
#[derive(Debug, Clone)]
pub struct Page {
    /// From the first data page of the chunk.
    pub offset: usize,
    /// Header included.
    pub bytes: usize,
    pub first_row: usize,
    pub nulls: usize,
    pub all_null: bool,
    pub bounds: Option<Bounds>,
}

/// What a page is besides its bytes.
#[derive(Debug, Clone)]
pub struct PageFacts {
    pub encoding: Encoding,
    pub first_row: usize,
    /// Entries of the levels, nulls included.
    pub entries: usize,
    pub values: usize,
    pub bounds: Option<Bounds>,
}

/// Compresses pages; one context for all of them.
pub struct Press {
    zstd: Compressor<'static>,
    packed: Vec<u8>,
}

impl Press {
    pub fn new(level: i32) -> Result<Self, ParquetError> {
        let failed = |error: std::io::Error| ParquetError::Compression(error.to_string());
        let mut zstd = Compressor::new(level).map_err(failed)?;
        if level == 1 {
            // For pages above 256 KiB it would be 7: more than three dictionary ids.
            let shortest = zstd::zstd_safe::CParameter::MinMatch(SHORTEST_MATCH);
            zstd.set_parameter(shortest).map_err(failed)?;
        }
        Ok(Self {
            zstd,
            packed: Vec::new(),
        })
    }

    fn press(&mut self, raw: &[u8]) -> Result<&[u8], ParquetError> {
        self.packed.clear();
        self.packed
            .reserve(zstd::zstd_safe::compress_bound(raw.len()));
        self.zstd
            .compress_to_buffer(raw, &mut self.packed)
            .map_err(|error| ParquetError::Compression(error.to_string()))?;
        Ok(&self.packed)
    }
}

/// The pages of one column in one row group.
#[derive(Debug, Default)]
pub struct Chunk {
    pub compressed: bool,
    /// Data pages, header and body, one after the other.
    pub data: Vec<u8>,
    pub pages: Vec<Page>,
    /// The dictionary page, if there is one.
    pub dictionary: Vec<u8>,
    pub entries: usize,
    pub uncompressed: usize,
    /// Data pages by encoding, in the order of `Encoding::ALL`.
    pub counts: [i32; 5],
    pub bloom: Option<Bloom>,
}

impl Chunk {
    pub fn new(compressed: bool) -> Self {
        Self {
            compressed,
            ..Self::default()
        }
    }

    /// Bytes that it holds.
    pub fn memory(&self) -> usize {
        self.data.capacity() + self.dictionary.capacity()
    }

    /// Adds a data page of `raw`: levels, then values.
    pub fn push(
        &mut self,
        press: &mut Press,
        raw: &[u8],
        facts: PageFacts,
    ) -> Result<(), ParquetError> {
        let offset = self.data.len();
        let body = if self.compressed {
            press.press(raw)?
        } else {
            raw
        };
        let mut header = Compact::new(&mut self.data);
        header.i32(1, 0); // DATA_PAGE
        header.i32(2, size(raw.len())?);
        header.i32(3, size(body.len())?);
        header.begin(5);
        header.i32(1, size(facts.entries)?);
        header.i32(2, facts.encoding as i32);
        header.i32(3, 3); // levels: RLE
        header.i32(4, 3);
        header.end();
        header.end();
        self.uncompressed += self.data.len() - offset + raw.len();
        self.data.extend_from_slice(body);
        self.entries += facts.entries;
        if let Some(count) = self.counts.get_mut(facts.encoding.slot()) {
            *count += 1;
        }
        self.pages.push(Page {
            offset,
            bytes: self.data.len() - offset,
            first_row: facts.first_row,
            nulls: facts.entries - facts.values,
            all_null: facts.values == 0,
            bounds: facts.bounds,
        });
        Ok(())
    }

    /// Whether a data page refers to the dictionary.
    pub fn uses_dictionary(&self) -> bool {
        self.counts
            .get(Encoding::Dictionary.slot())
            .is_some_and(|pages| *pages > 0)
    }

    /// Sets the dictionary: `values` plain values.
    pub fn set_dictionary(
        &mut self,
        press: &mut Press,
        plain: &[u8],
        values: usize,
    ) -> Result<(), ParquetError> {
        let body = if self.compressed {
            press.press(plain)?
        } else {
            plain
        };
        let mut header = Compact::new(&mut self.dictionary);
        header.i32(1, 2); // DICTIONARY_PAGE
        header.i32(2, size(plain.len())?);
        header.i32(3, size(body.len())?);
        header.begin(7);
        header.i32(1, size(values)?);
        header.i32(2, Encoding::Plain as i32);
        header.end();
        header.end();
        self.uncompressed += self.dictionary.len() + plain.len();
        self.dictionary.extend_from_slice(body);
        Ok(())
    }

    /// Least and greatest of all pages, if every page with values has them.
    pub fn bounds(&self) -> Option<Bounds> {
        let mut all: Option<Bounds> = None;
        for page in &self.pages {
            match (&mut all, &page.bounds) {
                (_, None) if page.all_null => {}
                (_, None) => return None,
                (Some(all), Some(bounds)) => all.widen(bounds),
                (all, Some(bounds)) => *all = Some(bounds.clone()),
            }
        }
        all
    }
}

/// A count as a header says it. The columns know their names, not we: the
/// caller puts the name in.
fn size(bytes: usize) -> Result<i32, ParquetError> {
    i32::try_from(bytes).map_err(|_| ParquetError::PageTooLarge {
        column: String::new(),
        bytes,
    })
}

/// Levels as a page of version 1 holds them: their length, then runs and groups.
pub fn write_levels(levels: &[u8], greatest: u8, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    super::bits::levels(levels, super::bits::width(greatest.into()), out);
    end_levels(start, out);
}

/// As `write_levels`, of `count` times the same level.
pub fn write_same_level(count: usize, level: u8, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    if count > 0 {
        varint(out, (count as u64) << 1);
        out.push(level);
    }
    end_levels(start, out);
}

fn end_levels(start: usize, out: &mut [u8]) {
    let length = (out.len() - start - 4) as u32;
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}
