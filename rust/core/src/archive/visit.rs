//! One walk over the columns of a row group, in the order of the schema, for
//! whoever makes something of them: Arrow arrays, pages of Parquet, a sum.

use arrow_array::ArrowPrimitiveType;

use super::columns::{Bytes, Ends, OptBytes, OptFlags, OptNumbers, OptTexts};
use super::intern::{Dictionary, Numbered, Texts};
use super::presence::{Bits, Presence};

/// A number as Parquet stores it.
pub trait Number: Copy {
    /// Bytes of its plain form.
    const WIDTH: usize;

    /// Its plain form in the low `WIDTH` bytes; the value itself, if it is a signed integer.
    fn bits(self) -> i64;
}

macro_rules! numbers {
    ($($type:ty, $width:literal, $value:ident => $bits:expr;)*) => {
        $(impl Number for $type {
            const WIDTH: usize = $width;
            #[inline]
            fn bits(self) -> i64 {
                let $value = self;
                $bits
            }
        })*
    };
}

numbers! {
    i8, 4, value => value.into();
    i16, 4, value => value.into();
    i32, 4, value => value.into();
    u32, 4, value => value.into();
    i64, 8, value => value;
    f32, 4, value => value.to_bits().into();
    f64, 8, value => value.to_bits() as i64;
}

/// Is shown every column once. A list's or group's columns come in between.
pub trait Visitor: Sized {
    /// With `present`, `values` are only those that are there.
    fn numbers<T: ArrowPrimitiveType<Native: Number>>(
        &mut self,
        present: Option<&Presence>,
        values: &[T::Native],
    );
    fn flags(&mut self, present: Option<&Presence>, values: &Bits);
    /// Columns that share a dictionary come one after the other, of all columns with one.
    fn texts(&mut self, present: Option<&Presence>, dictionary: &Dictionary, values: &Numbered);
    fn bytes(&mut self, present: Option<&Presence>, values: &Bytes);
    fn list(&mut self, present: Option<&Presence>, ends: &Ends, elements: impl FnOnce(&mut Self));
    /// A struct that may be absent; its columns have an entry all the same.
    fn group(&mut self, present: &Presence, columns: impl FnOnce(&mut Self));

    fn opt_numbers<T: ArrowPrimitiveType<Native: Number>>(&mut self, column: &OptNumbers<T>) {
        self.numbers::<T>(Some(&column.present), &column.values.values);
    }

    fn opt_flags(&mut self, column: &OptFlags) {
        self.flags(Some(&column.present), &column.values);
    }

    fn own_texts(&mut self, column: &Texts) {
        self.texts(None, &column.dictionary, &column.column);
    }

    fn opt_texts(&mut self, column: &OptTexts) {
        let Texts {
            dictionary,
            column: values,
        } = &column.values;
        self.texts(Some(&column.present), dictionary, values);
    }

    fn opt_bytes(&mut self, column: &OptBytes) {
        self.bytes(Some(&column.present), &column.values);
    }
}

/// Adds up what columns hold, in bytes.
#[derive(Debug, Default)]
pub struct Memory {
    pub bytes: usize,
    /// Where the dictionary stands that was counted last: a shared one counts once.
    counted: usize,
}

impl Visitor for Memory {
    fn numbers<T: ArrowPrimitiveType<Native: Number>>(
        &mut self,
        present: Option<&Presence>,
        values: &[T::Native],
    ) {
        self.bytes += size_of_val(values) + present.map_or(0, Presence::memory);
    }

    fn flags(&mut self, present: Option<&Presence>, values: &Bits) {
        self.bytes += values.memory() + present.map_or(0, Presence::memory);
    }

    fn texts(&mut self, present: Option<&Presence>, dictionary: &Dictionary, values: &Numbered) {
        let place = std::ptr::from_ref(dictionary).addr();
        if place != self.counted {
            self.bytes += dictionary.memory();
            self.counted = place;
        }
        self.bytes += values.memory() + present.map_or(0, Presence::memory);
    }

    fn bytes(&mut self, present: Option<&Presence>, values: &Bytes) {
        self.bytes += values.memory() + present.map_or(0, Presence::memory);
    }

    fn list(&mut self, present: Option<&Presence>, ends: &Ends, elements: impl FnOnce(&mut Self)) {
        self.bytes += ends.0.len() * 4 + present.map_or(0, Presence::memory);
        elements(self);
    }

    fn group(&mut self, present: &Presence, columns: impl FnOnce(&mut Self)) {
        self.bytes += present.memory();
        columns(self);
    }
}
