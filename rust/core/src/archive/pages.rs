//! Pages of Parquet from the columns of a row group.

use std::collections::HashMap;
use std::ops::Range;

use arrow_array::ArrowPrimitiveType;

use super::build::Rows;
use super::columns::{Bytes, Ends};
use super::intern::{Dictionary, Numbered};
use super::levels::{Picks, Scope};
use super::policy::Policy;
use super::presence::{Bits, Presence};
use super::rank;
use super::visit::{Number, Visitor};
use crate::parquet::bloom::Bloom;
use crate::parquet::chunk::{Bounds, Chunk, Encoding, PageFacts, Press};
use crate::parquet::{ParquetError, bits, delta};
use crate::prefix;

/// A dictionary of numbers ends here; what comes then stands as it is.
const MAX_NUMBERS: usize = 1 << 16;

/// The chunks of a row group, in the order of the leaves.
pub fn chunks(
    rows: &Rows,
    policies: &[Policy],
    press: &mut Press,
) -> Result<Vec<Chunk>, ParquetError> {
    let columns = policies.iter().map(|policy| Column {
        chunk: Chunk::new(policy.compressed),
        ..Column::default()
    });
    let mut pages = Pages {
        policies,
        columns: columns.collect(),
        press,
        next: 0,
        scopes: Vec::new(),
        raw: Vec::new(),
        picks: Vec::new(),
        scratch: Scratch::default(),
        failure: None,
    };
    for page in rows.pages() {
        pages.scopes.push(Scope::rows(page));
        pages.next = 0;
        rows.visit(&mut pages);
        pages.scopes.clear();
    }
    let Pages {
        columns,
        press,
        failure,
        ..
    } = pages;
    if let Some(failure) = failure {
        return Err(failure);
    }
    let mut closing = Closing {
        policies,
        columns,
        press,
        next: 0,
        failure: None,
    };
    rows.visit(&mut closing);
    match closing.failure {
        Some(failure) => Err(failure),
        None => Ok(closing.columns.into_iter().map(|c| c.chunk).collect()),
    }
}

#[derive(Default)]
struct Column {
    chunk: Chunk,
    numbers: NumberDictionary,
    /// Values of pages before, of a column that keeps only what is there.
    taken: usize,
    /// The numbers that a dictionary's texts have in pages, if others than their own.
    ranks: Option<Vec<u32>>,
}

/// Different numbers of a column, numbered as they came.
#[derive(Default)]
struct NumberDictionary {
    /// For −1 to 1,022, one more than the place; 0: not seen.
    near: Vec<u32>,
    far: HashMap<i64, u32>,
    plain: Vec<u8>,
    len: u32,
    full: bool,
}

impl NumberDictionary {
    const NEAR: usize = 1_024;

    #[inline]
    fn number(&mut self, value: i64, width: usize) -> Option<u32> {
        let place = value.wrapping_add(1) as u64 as usize;
        match self.near.get(place) {
            Some(0) | None => self.insert(value, place, width),
            Some(number) => Some(number - 1),
        }
    }

    #[cold]
    fn insert(&mut self, value: i64, place: usize, width: usize) -> Option<u32> {
        self.near.resize(Self::NEAR, 0);
        if place >= Self::NEAR
            && let Some(number) = self.far.get(&value)
        {
            return Some(*number);
        }
        if self.len as usize >= MAX_NUMBERS {
            self.full = true;
            return None;
        }
        match self.near.get_mut(place) {
            Some(slot) => *slot = self.len + 1,
            None => {
                self.far.insert(value, self.len);
            }
        }
        let bytes = value.to_le_bytes();
        self.plain
            .extend_from_slice(bytes.get(..width).unwrap_or_default());
        self.len += 1;
        Some(self.len - 1)
    }
}

/// Reused from page to page.
#[derive(Default)]
struct Scratch {
    numbers: Vec<i64>,
    ids: Vec<u32>,
}

struct Pages<'a> {
    policies: &'a [Policy],
    columns: Vec<Column>,
    press: &'a mut Press,
    /// The leaf whose turn it is.
    next: usize,
    /// From the rows down to the innermost list.
    scopes: Vec<Scope>,
    raw: Vec<u8>,
    picks: Vec<u32>,
    scratch: Scratch,
    failure: Option<ParquetError>,
}

/// What a column's values came to in a page.
struct Body {
    encoding: Encoding,
    values: usize,
    bounds: Option<Bounds>,
}

impl Pages<'_> {
    /// Adds a page to the next leaf: levels, then what `body` writes of the places it is given.
    fn page(
        &mut self,
        present: Option<&Presence>,
        dense: bool,
        body: impl FnOnce(
            &Policy,
            &mut Column,
            &mut Scratch,
            &Range<usize>,
            &Picks<'_>,
            &mut Vec<u8>,
        ) -> Body,
    ) {
        let first_row = self.scopes.first().map_or(0, |rows| rows.range.start);
        let place = self.next;
        self.next += 1;
        let (Some(scope), Some(policy), Some(column)) = (
            self.scopes.last_mut(),
            self.policies.get(place),
            self.columns.get_mut(place),
        ) else {
            return; // more columns than leaves: told when the row group ends
        };
        self.raw.clear();
        let entries = scope.entries();
        let range = scope.range.clone();
        let picks = scope.write(present, dense, &mut self.picks, &mut self.raw);
        let Body {
            encoding,
            values,
            bounds,
        } = body(
            policy,
            column,
            &mut self.scratch,
            &range,
            &picks,
            &mut self.raw,
        );
        let facts = PageFacts {
            encoding,
            first_row,
            entries,
            values,
            bounds,
        };
        if let Err(failure) = column.chunk.push(self.press, &self.raw, facts) {
            self.failure.get_or_insert(named(failure, policy));
        }
    }
}

/// The failure with the column's name in it.
fn named(failure: ParquetError, policy: &Policy) -> ParquetError {
    match failure {
        ParquetError::PageTooLarge { bytes, .. } => ParquetError::PageTooLarge {
            column: policy.name.clone(),
            bytes,
        },
        other => other,
    }
}

/// Calls `each` with the places of the values.
#[inline]
fn places(range: &Range<usize>, picks: &Picks<'_>, mut each: impl FnMut(usize)) {
    match picks {
        Picks::All => range.clone().for_each(each),
        Picks::Some(picks) => picks.iter().for_each(|place| each(*place as usize)),
        Picks::Dense(_) => {} // numbers alone, which go by their count
    }
}

fn plain(values: &[i64], width: usize, out: &mut Vec<u8>) {
    match width {
        4 => values
            .iter()
            .for_each(|value| out.extend_from_slice(&(*value as u32).to_le_bytes())),
        _ => values
            .iter()
            .for_each(|value| out.extend_from_slice(&value.to_le_bytes())),
    }
}

impl Visitor for Pages<'_> {
    fn numbers<T: ArrowPrimitiveType<Native: Number>>(
        &mut self,
        present: Option<&Presence>,
        values: &[T::Native],
    ) {
        let width = <T::Native as Number>::WIDTH;
        let dense = present.is_some();
        self.page(
            present,
            dense,
            |policy, column, scratch, range, picks, out| {
                let numbers = &mut scratch.numbers;
                numbers.clear();
                match picks {
                    Picks::Dense(count) => {
                        let values = values.get(column.taken..column.taken + count);
                        let values = values.unwrap_or_default();
                        numbers.extend(values.iter().map(|value| value.bits()));
                        column.taken += count;
                    }
                    Picks::All => {
                        let values = values.get(range.clone()).unwrap_or_default();
                        numbers.extend(values.iter().map(|value| value.bits()));
                    }
                    Picks::Some(picks) => numbers.extend(picks.iter().map(|place| {
                        let value = values.get(*place as usize);
                        value.map_or(0, |value| value.bits())
                    })),
                }
                let bounds = match (
                    policy.statistics,
                    numbers.iter().min(),
                    numbers.iter().max(),
                ) {
                    (true, Some(least), Some(most)) => Some(Bounds::Numbers(*least, *most)),
                    _ => None,
                };
                let wide = width == 8 && !policy.constant;
                let float = T::DATA_TYPE.is_floating();
                let encoding = if policy.random || float {
                    plain(numbers, width, out);
                    Encoding::Plain
                } else if wide {
                    if policy.whole_bytes {
                        delta::numbers_in_bytes(numbers, out);
                    } else {
                        delta::numbers(numbers, out);
                    }
                    Encoding::Delta
                } else {
                    number_page(numbers, width, &mut column.numbers, &mut scratch.ids, out)
                };
                Body {
                    encoding,
                    values: numbers.len(),
                    bounds,
                }
            },
        );
    }

    fn flags(&mut self, present: Option<&Presence>, values: &Bits) {
        self.page(present, false, |_, _, _, range, picks, out| {
            let (mut byte, mut count) = (0u8, 0usize);
            places(range, picks, |place| {
                byte |= u8::from(values.get(place)) << (count % 8);
                count += 1;
                if count.is_multiple_of(8) {
                    out.push(byte);
                    byte = 0;
                }
            });
            if !count.is_multiple_of(8) {
                out.push(byte);
            }
            Body {
                encoding: Encoding::Plain,
                values: count,
                bounds: None,
            }
        });
    }

    fn texts(&mut self, present: Option<&Presence>, dictionary: &Dictionary, values: &Numbered) {
        self.page(
            present,
            false,
            |policy, column, scratch, range, picks, out| {
                let numbered = values.numbers.len();
                if policy.ranked && range.start == 0 {
                    column.ranks = rank::ranks(dictionary, &values.numbers);
                }
                let by_number = range.end <= numbered;
                // Texts by place are needed only in the two rare cases.
                let texts: Vec<&[u8]> = if policy.statistics || !by_number {
                    dictionary.texts().collect()
                } else {
                    Vec::new()
                };
                let text = |place: usize| match values.numbers.get(place) {
                    Some(number) => texts.get(*number as usize).copied().unwrap_or_default(),
                    None => values
                        .rest
                        .as_ref()
                        .map_or(&[][..], |rest| rest.get(place - numbered)),
                };
                let bounds = policy
                    .statistics
                    .then(|| text_bounds(range, picks, text))
                    .flatten();
                if !by_number {
                    let values = text_page(range, picks, text, &mut scratch.numbers, out);
                    return Body {
                        encoding: Encoding::DeltaLength,
                        values,
                        bounds,
                    };
                }
                let all = values.numbers.get(range.clone()).unwrap_or_default();
                let number = |place: usize| values.numbers.get(place).copied().unwrap_or(0);
                let ids = &mut scratch.ids;
                ids.clear();
                let ids = match (&column.ranks, picks) {
                    (None, Picks::All) => all,
                    (Some(ranks), Picks::All) => {
                        let rank = |number: &u32| ranks.get(*number as usize).copied();
                        ids.extend(all.iter().map(|number| rank(number).unwrap_or(0)));
                        ids
                    }
                    (ranks, _) => {
                        let rank = |number: u32| match ranks {
                            Some(ranks) => ranks.get(number as usize).copied().unwrap_or(0),
                            None => number,
                        };
                        places(range, picks, |place| ids.push(rank(number(place))));
                        ids
                    }
                };
                // A chunk of nulls alone has no dictionary to refer to.
                let encoding = if dictionary.len() == 0 {
                    Encoding::Plain
                } else {
                    bits::indices(ids, out);
                    Encoding::Dictionary
                };
                Body {
                    encoding,
                    values: ids.len(),
                    bounds,
                }
            },
        );
    }

    fn bytes(&mut self, present: Option<&Presence>, values: &Bytes) {
        self.page(present, false, |policy, _, scratch, range, picks, out| {
            let text = |place: usize| values.get(place);
            let bounds = policy
                .statistics
                .then(|| text_bounds(range, picks, text))
                .flatten();
            if policy.prefixed {
                return Body {
                    encoding: Encoding::DeltaStrings,
                    values: prefixed_page(range, picks, text, &mut scratch.numbers, out),
                    bounds,
                };
            }
            let count = match picks {
                Picks::All => {
                    let ends = values.ends.get(range.start..=range.end).unwrap_or_default();
                    scratch.numbers.clear();
                    let pairs = ends.iter().zip(ends.iter().skip(1));
                    scratch
                        .numbers
                        .extend(pairs.map(|(start, end)| i64::from(end - start)));
                    delta::numbers(&scratch.numbers, out);
                    if let (Some(start), Some(end)) = (ends.first(), ends.last()) {
                        let bytes = values.bytes.get(*start as usize..*end as usize);
                        out.extend_from_slice(bytes.unwrap_or_default());
                    }
                    scratch.numbers.len()
                }
                _ => text_page(range, picks, text, &mut scratch.numbers, out),
            };
            Body {
                encoding: Encoding::DeltaLength,
                values: count,
                bounds,
            }
        });
    }

    fn list(&mut self, present: Option<&Presence>, ends: &Ends, elements: impl FnOnce(&mut Self)) {
        if let Some(scope) = self.scopes.last().map(|scope| scope.list(present, ends)) {
            self.scopes.push(scope);
            elements(self);
            self.scopes.pop();
        }
    }

    fn group(&mut self, present: &Presence, columns: impl FnOnce(&mut Self)) {
        if let Some(scope) = self.scopes.last().map(|scope| scope.group(present)) {
            self.scopes.push(scope);
            columns(self);
            self.scopes.pop();
        }
    }
}

/// By dictionary, or as they are once that is full.
fn number_page(
    numbers: &[i64],
    width: usize,
    dictionary: &mut NumberDictionary,
    ids: &mut Vec<u32>,
    out: &mut Vec<u8>,
) -> Encoding {
    ids.clear();
    if !dictionary.full {
        match numbers.first() {
            Some(first) if numbers.iter().all(|number| number == first) => {
                let id = dictionary.number(*first, width);
                ids.extend(
                    id.into_iter()
                        .flat_map(|id| std::iter::repeat_n(id, numbers.len())),
                );
            }
            _ => {
                for number in numbers {
                    match dictionary.number(*number, width) {
                        Some(id) => ids.push(id),
                        None => break,
                    }
                }
            }
        }
    }
    if ids.len() < numbers.len() || dictionary.len == 0 {
        plain(numbers, width, out);
        return Encoding::Plain;
    }
    bits::indices(ids, out);
    Encoding::Dictionary
}

/// Lengths, then bytes; the number of values.
fn text_page<'v>(
    range: &Range<usize>,
    picks: &Picks<'_>,
    text: impl Fn(usize) -> &'v [u8],
    lengths: &mut Vec<i64>,
    out: &mut Vec<u8>,
) -> usize {
    lengths.clear();
    places(range, picks, |place| lengths.push(text(place).len() as i64));
    delta::numbers(lengths, out);
    places(range, picks, |place| out.extend_from_slice(text(place)));
    lengths.len()
}

/// How much of the value before each begins with, then what is left of it as in
/// `text_page`; the number of values.
fn prefixed_page<'v>(
    range: &Range<usize>,
    picks: &Picks<'_>,
    text: impl Fn(usize) -> &'v [u8],
    lengths: &mut Vec<i64>,
    out: &mut Vec<u8>,
) -> usize {
    lengths.clear();
    let mut before: &[u8] = &[];
    places(range, picks, |place| {
        let text = text(place);
        lengths.push(prefix::shared(text, before) as i64);
        before = text;
    });
    delta::numbers(lengths, out);
    let mut suffixes = Vec::with_capacity(lengths.len());
    let mut prefixes = lengths.iter();
    places(range, picks, |place| {
        let prefix = prefixes.next().map_or(0, |length| *length as usize);
        suffixes.push(text(place).get(prefix..).unwrap_or_default());
    });
    let suffix = |at: usize| suffixes.get(at).copied().unwrap_or_default();
    text_page(&(0..suffixes.len()), &Picks::All, suffix, lengths, out)
}

fn text_bounds<'v>(
    range: &Range<usize>,
    picks: &Picks<'_>,
    text: impl Fn(usize) -> &'v [u8],
) -> Option<Bounds> {
    let mut all: Option<(&[u8], &[u8])> = None;
    places(range, picks, |place| {
        let text = text(place);
        let (least, most) = all.unwrap_or((text, text));
        all = Some((least.min(text), most.max(text)));
    });
    all.and_then(|(least, most)| Bounds::texts(least, most))
}

/// Dictionary pages and bloom filters, once all data pages are there.
struct Closing<'a> {
    policies: &'a [Policy],
    columns: Vec<Column>,
    press: &'a mut Press,
    next: usize,
    failure: Option<ParquetError>,
}

impl Closing<'_> {
    fn leaf(
        &mut self,
        close: impl FnOnce(&Policy, &mut Column, &mut Press) -> Result<(), ParquetError>,
    ) {
        let place = self.next;
        self.next += 1;
        let (Some(policy), Some(column)) = (self.policies.get(place), self.columns.get_mut(place))
        else {
            return;
        };
        if let Err(failure) = close(policy, column, self.press) {
            self.failure.get_or_insert(named(failure, policy));
        }
    }
}

impl Visitor for Closing<'_> {
    fn numbers<T: ArrowPrimitiveType<Native: Number>>(
        &mut self,
        _: Option<&Presence>,
        _: &[T::Native],
    ) {
        self.leaf(|_, column, press| {
            let NumberDictionary { plain, len, .. } = &column.numbers;
            if !column.chunk.uses_dictionary() {
                return Ok(());
            }
            column.chunk.set_dictionary(press, plain, *len as usize)
        });
    }

    fn flags(&mut self, _: Option<&Presence>, _: &Bits) {
        self.leaf(|_, _, _| Ok(()));
    }

    fn texts(&mut self, _: Option<&Presence>, dictionary: &Dictionary, values: &Numbered) {
        self.leaf(|policy, column, press| {
            if policy.bloom {
                let rest = values.rest.as_ref();
                let others = rest.map_or(0, Bytes::len);
                let mut bloom = Bloom::new(dictionary.len() + others);
                dictionary.texts().for_each(|text| bloom.insert(text));
                // An absent value stands as an empty one here: at worst one more yes.
                (0..others)
                    .for_each(|place| bloom.insert(rest.map_or(&[], |rest| rest.get(place))));
                column.chunk.bloom = Some(bloom);
            }
            if !column.chunk.uses_dictionary() {
                return Ok(());
            }
            let len = dictionary.len();
            match &column.ranks {
                Some(ranks) => {
                    let plain = rank::plain(dictionary, ranks);
                    column.chunk.set_dictionary(press, &plain, len)
                }
                None => column.chunk.set_dictionary(press, dictionary.plain(), len),
            }
        });
    }

    fn bytes(&mut self, present: Option<&Presence>, values: &Bytes) {
        self.leaf(|policy, column, _| {
            if policy.bloom {
                let range = 0..values.len();
                let there = present.map_or(range.len(), |present| present.count(&range));
                let mut bloom = Bloom::new(there);
                for place in range {
                    if present.is_none_or(|present| present.get(place)) {
                        bloom.insert(values.get(place));
                    }
                }
                column.chunk.bloom = Some(bloom);
            }
            Ok(())
        });
    }

    fn list(&mut self, _: Option<&Presence>, _: &Ends, elements: impl FnOnce(&mut Self)) {
        elements(self);
    }

    fn group(&mut self, _: &Presence, columns: impl FnOnce(&mut Self)) {
        columns(self);
    }
}
