//! Several counters in two words, so that a group's numbers lie beside its
//! fingerprint and one addition a word adds to all of them.
//!
//! Each measure has a field of bits, the highest of which is a guard and 0. A
//! number that fits below the guard can be added to another without a carry
//! into the next field; a guard that is set afterwards says that the group has
//! outgrown its fields. Such a group, and one of a rollup with too many
//! measures, is *wide*: its numbers lie elsewhere, each in 64 bits, and the
//! words say where. So fields never decide what comes out.

use crate::plan::Measure;

/// Of the second word: wide. No field has this bit.
const WIDE: u64 = 1 << 63;
/// Bits for fields in each of the words.
const ROOM: [u8; 2] = [64, 63];

/// Numbers of one group, or what is to be added to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Packed([u64; 2]);

impl Packed {
    /// Numbers that lie at this place.
    #[inline]
    pub fn wide(place: u32) -> Self {
        Self([u64::from(place), WIDE])
    }

    /// Where the numbers lie, if they are not here.
    #[inline]
    pub fn place(self) -> Option<u32> {
        let [low, high] = self.0;
        (high & WIDE != 0).then_some(low as u32)
    }

    /// The sum, unless something outgrows its field or either is wide.
    /// `guards` are those of the layout of both.
    #[inline]
    pub fn plus(self, other: Self, guards: Packed) -> Option<Self> {
        let ([a, b], [c, d], [low, high]) = (self.0, other.0, guards.0);
        // Nothing is above a guard, so a wide one keeps its bit in the sum with
        // another; of two wide ones the first shows it.
        let sum = [a.wrapping_add(c), b.wrapping_add(d)];
        let outgrown = sum[0] & low | (sum[1] | b) & high;
        (outgrown == 0).then_some(Self(sum))
    }
}

/// Where a measure lies: bits of the first word or of the second. By default
/// nowhere, as one that a rollup does not have: then it is not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    low: u64,
    high: u64,
    shift: u8,
    /// Without the guard.
    bits: u8,
}

impl Default for Field {
    fn default() -> Self {
        Self {
            low: 0,
            high: 0,
            shift: 0,
            bits: 63,
        }
    }
}

/// Numbers that are packed one by one.
#[derive(Clone, Copy)]
pub(super) struct Packing {
    words: [u64; 2],
    /// Not 0 as soon as something did not fit.
    outgrown: u64,
}

impl Packing {
    /// Of a layout.
    #[inline(always)]
    pub fn of(is_wide: bool) -> Self {
        Self {
            words: [0; 2],
            outgrown: u64::from(is_wide),
        }
    }

    /// Puts a number, below 2^63, into a field that has none yet.
    #[inline(always)]
    pub fn put(&mut self, field: Field, value: u64) {
        let shifted = value << field.shift;
        self.words[0] |= shifted & field.low;
        self.words[1] |= shifted & field.high;
        self.outgrown |= value >> field.bits;
    }

    /// `None` if something did not fit.
    #[inline(always)]
    pub fn packed(self) -> Option<Packed> {
        (self.outgrown == 0).then_some(Packed(self.words))
    }
}

/// How the measures of a rollup lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// One a measure; none at all if they do not fit.
    pub fields: Vec<Field>,
    pub guards: Packed,
    /// Number of measures.
    pub width: usize,
}

impl Layout {
    /// Of measures in the plan's order.
    pub fn of(measures: &[Measure]) -> Self {
        let shares = share(measures).unwrap_or_default();
        let mut fields = vec![Field::default(); shares.len()];
        let mut guards = Packed([0, WIDE]);
        for (word, room) in (0..).zip(ROOM) {
            let of_word = || shares.iter().filter(|share| share.word == word);
            let taken: u8 = of_word().map(|share| share.bits).sum();
            let more = (room - taken) / (of_word().count() as u8).max(1);
            let mut shift = 0;
            for (field, share) in fields.iter_mut().zip(&shares) {
                if share.word != word {
                    continue;
                }
                let bits = share.bits + more - 1;
                let mask = ((1 << bits) - 1) << shift;
                let guard = 1 << (shift + bits);
                let [low, high] = [0, 1].map(|this| if this == word { mask } else { 0 });
                *field = Field {
                    low,
                    high,
                    shift,
                    bits,
                };
                if let Some(guards) = guards.0.get_mut(usize::from(word)) {
                    *guards |= guard;
                }
                shift += bits + 1;
            }
        }
        Self {
            fields,
            guards,
            width: measures.len(),
        }
    }

    /// Whether every group is wide.
    pub fn is_wide(&self) -> bool {
        self.fields.is_empty()
    }

    /// Packs one number a measure; `None` where one does not fit.
    pub fn pack(&self, values: impl Iterator<Item = u64>) -> Option<Packed> {
        let mut packing = Packing::of(self.is_wide());
        for (field, value) in self.fields.iter().zip(values) {
            packing.put(*field, value);
        }
        packing.packed()
    }

    /// The numbers again, in order; of a wide group, nothing that means anything.
    #[inline]
    pub fn unpack(&self, packed: Packed) -> impl Iterator<Item = u64> {
        let [low, high] = packed.0;
        let fields = self.fields.iter();
        fields.map(move |field| (low & field.low | high & field.high) >> field.shift)
    }
}

/// A measure's part of a word.
#[derive(Clone, Copy)]
struct Share {
    word: u8,
    /// Guard included.
    bits: u8,
}

/// The least bits of each measure and the word that has them; `None` if there
/// are too few.
fn share(measures: &[Measure]) -> Option<Vec<Share>> {
    let mut order: Vec<(u8, usize)> = measures.iter().map(least).zip(0..).collect();
    order.sort_unstable_by_key(|(bits, at)| (u8::MAX - bits, *at));
    let mut room = ROOM;
    let mut shares = vec![None; measures.len()];
    for (bits, at) in order {
        // The fullest that has room.
        let (word, left) = (0..)
            .zip(&mut room)
            .filter(|(_, left)| **left >= bits)
            .min_by_key(|(_, left)| **left)?;
        *left -= bits;
        *shares.get_mut(at)? = Some(Share { word, bits });
    }
    shares.into_iter().collect()
}

/// Bits with which a group rarely outgrows a field in an hour, guard included.
fn least(measure: &Measure) -> u8 {
    match measure {
        // 2^39 ms are 17 years.
        Measure::Duration | Measure::EventDuration => 40,
        // Up to a million at once.
        Measure::Events | Measure::PageViews | Measure::Errors => 22,
        _ => 15,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    const DEFAULT: &str = include_str!("../../../../flurry_fast/plans/default.toml");

    fn values(layout: &Layout, packed: Packed) -> Vec<u64> {
        layout.unpack(packed).collect()
    }

    /// Every subset of measures has a sound layout or none.
    #[test]
    fn fields_do_not_touch() {
        let mut fitting = 0;
        for set in 1u32..1 << Measure::ALL.len() {
            let chosen = (0..)
                .zip(Measure::ALL)
                .filter(|(bit, _)| set >> bit & 1 == 1);
            let measures: Vec<_> = chosen.map(|(_, measure)| *measure).collect();
            let layout = Layout::of(&measures);
            if layout.is_wide() {
                assert_eq!(layout.pack([].into_iter()), None);
                continue;
            }
            fitting += 1;
            assert_eq!(layout.fields.len(), measures.len());
            let mut seen = [0u64, WIDE];
            for field in &layout.fields {
                assert!((field.low == 0) != (field.high == 0));
                let word = usize::from(field.low == 0);
                let bits = ((1u64 << field.bits) - 1) << field.shift;
                assert_eq!(field.low | field.high, bits);
                let guard = 1u64 << (field.shift + field.bits);
                assert_eq!(seen[word] & (bits | guard), 0);
                seen[word] |= bits | guard;
                assert_eq!(layout.guards.0[word] & (bits | guard), guard);
            }
        }
        assert!(fitting > 1_000);
    }

    #[test]
    fn the_default_plan_fits_but_for_the_app() {
        let plan = Plan::parse(DEFAULT).unwrap();
        for rollup in &plan.rollups {
            let layout = Layout::of(&rollup.measures);
            assert_eq!(layout.is_wide(), rollup.name == "app");
        }
    }

    #[test]
    fn sums_stay_in_their_fields_or_say_so() {
        let measures = [Measure::Sessions, Measure::Duration, Measure::Crashes];
        let layout = Layout::of(&measures);
        for (place, field) in layout.fields.iter().enumerate() {
            let most = (1u64 << field.bits) - 1;
            let mut full = [1, 1, 1];
            full[place] = most;
            let packed = layout.pack(full.into_iter()).unwrap();
            assert_eq!(values(&layout, packed), full);
            let mut none = [0; 3];
            let zero = layout.pack(none.into_iter()).unwrap();
            assert_eq!(packed.plus(zero, layout.guards), Some(packed));
            none[place] = 1;
            let one = layout.pack(none.into_iter()).unwrap();
            assert_eq!(packed.plus(one, layout.guards), None);
            assert_eq!(packed.plus(packed, layout.guards), None);
            full[place] = most + 1;
            assert_eq!(layout.pack(full.into_iter()), None);
            full[place] = u64::MAX;
            assert_eq!(layout.pack(full.into_iter()), None);
        }
    }

    #[test]
    fn wide_ones_are_never_summed() {
        let all: Vec<_> = Measure::ALL.iter().take(13).copied().collect();
        for measures in [
            &[Measure::Events][..],
            &[Measure::Sessions, Measure::Duration],
            &all,
        ] {
            let layout = Layout::of(measures);
            for place in [0, 1, u32::MAX] {
                let wide = Packed::wide(place);
                assert_eq!(wide.place(), Some(place));
                assert_eq!(wide.plus(wide, layout.guards), None);
                let full = layout.fields.iter().map(|field| (1 << field.bits) - 1);
                for other in [layout.pack(full), Some(Packed::default())]
                    .into_iter()
                    .flatten()
                {
                    assert_eq!(other.place(), None);
                    assert_eq!(wide.plus(other, layout.guards), None);
                    assert_eq!(other.plus(wide, layout.guards), None);
                }
            }
        }
    }
}
