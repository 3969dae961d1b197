//! Typed access to the columns of a record batch that was read back from a file.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, ListArray, RecordBatch, StringArray, StructArray};

use super::RestoreError;
use crate::report::Text;
use crate::wire::text;

/// Something with named columns.
pub trait Columns {
    fn array(&self, name: &str) -> Option<&ArrayRef>;

    /// The column of this name, if it is of the type that the schema says.
    fn get<A: Array + Clone + 'static>(&self, name: &str) -> Result<A, RestoreError> {
        let array = self
            .array(name)
            .ok_or_else(|| RestoreError::column(name, "is missing"))?;
        array
            .as_any()
            .downcast_ref::<A>()
            .cloned()
            .ok_or_else(|| RestoreError::column(name, "has another type"))
    }

    fn text(&self, name: &str) -> Result<TextColumn, RestoreError> {
        Ok(TextColumn::new(self.get(name)?))
    }

    fn list<E>(
        &self,
        name: &str,
        elements: impl FnOnce(&StructArray) -> Result<E, RestoreError>,
    ) -> Result<ListColumn<E>, RestoreError> {
        let list: ListArray = self.get(name)?;
        let structs = list
            .values()
            .as_any()
            .downcast_ref::<StructArray>()
            .ok_or_else(|| RestoreError::column(name, "has another type"))?;
        let elements = elements(structs)?;
        Ok(ListColumn { list, elements })
    }
}

impl Columns for RecordBatch {
    fn array(&self, name: &str) -> Option<&ArrayRef> {
        self.column_by_name(name)
    }
}

impl Columns for StructArray {
    fn array(&self, name: &str) -> Option<&ArrayRef> {
        self.column_by_name(name)
    }
}

/// A list column and the columns of its elements.
pub struct ListColumn<E> {
    list: ListArray,
    pub elements: E,
}

impl<E> ListColumn<E> {
    /// The places of row `row`'s elements.
    pub fn places(&self, row: usize) -> std::ops::Range<usize> {
        places(&self.list, row)
    }
}

/// The places of a list's elements; none for a null list.
pub fn places(list: &ListArray, row: usize) -> std::ops::Range<usize> {
    match list.value_offsets().get(row..row + 2) {
        // Arrow checked that they rise and lie inside when the array was made.
        Some(&[start, end]) if list.is_valid(row) => start as usize..end as usize,
        _ => 0..0,
    }
}

/// A column of texts, as they stand and as the wire had them.
pub struct TextColumn {
    shown: StringArray,
    /// Modified UTF-8 of every value, where that can differ from what is shown.
    converted: Option<(Vec<usize>, Arc<[u8]>)>,
}

impl TextColumn {
    pub fn new(shown: StringArray) -> Self {
        let is_same = |byte: &u8| (1..0x80).contains(byte);
        let converted = (!shown.value_data().iter().all(is_same)).then(|| {
            let mut ends = Vec::with_capacity(shown.len() + 1);
            let mut bytes = Vec::with_capacity(shown.value_data().len() * 2);
            ends.push(0);
            for value in &shown {
                text::from_utf8(value.unwrap_or_default(), &mut bytes);
                ends.push(bytes.len());
            }
            (ends, bytes.into())
        });
        Self { shown, converted }
    }

    /// The wire's bytes of the text at `place`: of a report whose texts were
    /// converted, or else as shown.
    pub fn wire(&self, place: usize, was_converted: bool) -> Text<'_> {
        match &self.converted {
            Some((ends, bytes)) if was_converted => match ends.get(place..place + 2) {
                Some(&[start, end]) => bytes.get(start..end).unwrap_or_default(),
                _ => &[],
            },
            _ => self.shown(place),
        }
    }

    pub fn opt_wire(&self, place: usize, was_converted: bool) -> Option<Text<'_>> {
        self.shown
            .is_valid(place)
            .then(|| self.wire(place, was_converted))
    }

    pub fn is_valid(&self, place: usize) -> bool {
        self.shown.is_valid(place)
    }

    /// The bytes of the text as UTF-8.
    pub fn shown(&self, place: usize) -> &[u8] {
        self.shown.value(place).as_bytes()
    }
}
