//! Flat, growing buffers that become Arrow arrays without a copy: the pieces
//! the builder is made of. None of them allocates per value.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, PrimitiveArray,
    StringArray, StructArray,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, FieldRef, Fields};

/// Takes what was gathered; the next batch starts with as much room.
fn take<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = values.len() + values.len() / 8;
    std::mem::replace(values, Vec::with_capacity(room))
}

/// Which entries of a column are there. A column of which all or none are,
/// nearly every one, is a count.
#[derive(Debug, Default)]
pub struct Presence {
    /// Entries that stand for themselves: all that came while they were alike.
    alike: usize,
    /// What those are.
    present: bool,
    /// From the first different entry on: every entry, those before included.
    mixed: Option<BooleanBufferBuilder>,
}

impl Presence {
    #[inline]
    pub fn push(&mut self, present: bool) {
        if let Some(mixed) = &mut self.mixed {
            mixed.append(present);
        } else if self.alike == 0 || present == self.present {
            self.alike += 1;
            self.present = present;
        } else {
            self.mix(present);
        }
    }

    #[cold]
    fn mix(&mut self, present: bool) {
        let mut mixed = BooleanBufferBuilder::new(self.alike * 2);
        mixed.append_n(self.alike, self.present);
        mixed.append(present);
        self.mixed = Some(mixed);
    }

    pub fn finish(&mut self) -> Option<NullBuffer> {
        let Self {
            alike,
            present,
            mixed,
        } = std::mem::take(self);
        match mixed {
            Some(mut mixed) => Some(NullBuffer::new(mixed.finish())),
            None if present || alike == 0 => None,
            None => Some(NullBuffer::new_null(alike)),
        }
    }
}

/// Texts or byte strings, one after the other.
#[derive(Debug)]
pub struct Bytes {
    ends: Vec<i32>,
    pub bytes: Vec<u8>,
}

impl Default for Bytes {
    fn default() -> Self {
        Self {
            ends: vec![0],
            bytes: Vec::new(),
        }
    }
}

impl Bytes {
    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.close();
    }

    /// Ends a value that was written into `bytes` directly.
    #[inline]
    pub fn close(&mut self) {
        // The builder seals a batch long before 2 GiB: see `Rows::fits`.
        self.ends.push(self.bytes.len() as i32);
    }

    pub fn len(&self) -> usize {
        self.ends.len() - 1
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let ends = take(&mut self.ends);
        self.ends.push(0);
        let bytes = take(&mut self.bytes);
        (
            OffsetBuffer::new(ScalarBuffer::from(ends)),
            Buffer::from_vec(bytes),
        )
    }

    /// Checks that it is UTF-8, so an error here is a fault of ours, not of a device.
    pub fn finish_text(&mut self, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let (ends, bytes) = self.finish();
        Ok(Arc::new(StringArray::try_new(ends, bytes, nulls)?))
    }

    pub fn finish_binary(&mut self, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let (ends, bytes) = self.finish();
        Ok(Arc::new(BinaryArray::try_new(ends, bytes, nulls)?))
    }
}

/// Texts or byte strings that may be absent.
#[derive(Debug, Default)]
pub struct OptBytes {
    pub values: Bytes,
    present: Presence,
}

impl OptBytes {
    #[inline]
    pub fn push(&mut self, value: Option<&[u8]>) {
        self.present.push(value.is_some());
        self.values.push(value.unwrap_or_default());
    }

    /// Ends a value that was written into `values.bytes` directly.
    #[inline]
    pub fn close(&mut self) {
        self.present.push(true);
        self.values.close();
    }

    pub fn finish_text(&mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = self.present.finish();
        self.values.finish_text(nulls)
    }

    pub fn finish_binary(&mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = self.present.finish();
        self.values.finish_binary(nulls)
    }
}

/// Numbers of an Arrow type.
#[derive(Debug)]
pub struct Numbers<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
}

impl<T: ArrowPrimitiveType> Default for Numbers<T> {
    fn default() -> Self {
        Self { values: Vec::new() }
    }
}

impl<T: ArrowPrimitiveType> Numbers<T> {
    #[inline]
    pub fn push(&mut self, value: T::Native) {
        self.values.push(value);
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    fn finish_with(
        &mut self,
        data_type: &DataType,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef, ArrowError> {
        let values = ScalarBuffer::from(Buffer::from_vec(take(&mut self.values)));
        let array = PrimitiveArray::<T>::try_new(values, nulls)?;
        Ok(Arc::new(array.with_data_type(data_type.clone())))
    }

    /// `data_type` adds the time zone of timestamps.
    pub fn finish(&mut self, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        self.finish_with(data_type, None)
    }
}

/// Numbers that may be absent.
#[derive(Debug)]
pub struct OptNumbers<T: ArrowPrimitiveType> {
    values: Numbers<T>,
    present: Presence,
}

impl<T: ArrowPrimitiveType> Default for OptNumbers<T> {
    fn default() -> Self {
        Self {
            values: Numbers::default(),
            present: Presence::default(),
        }
    }
}

impl<T: ArrowPrimitiveType> OptNumbers<T> {
    #[inline]
    pub fn push(&mut self, value: Option<T::Native>) {
        self.present.push(value.is_some());
        self.values.push(value.unwrap_or_default());
    }

    pub fn finish(&mut self, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        let nulls = self.present.finish();
        self.values.finish_with(data_type, nulls)
    }
}

/// Truth values that may be absent.
#[derive(Debug)]
pub struct OptFlags {
    values: BooleanBufferBuilder,
    present: Presence,
}

impl Default for OptFlags {
    fn default() -> Self {
        Self {
            values: BooleanBufferBuilder::new(0),
            present: Presence::default(),
        }
    }
}

impl OptFlags {
    #[inline]
    pub fn push(&mut self, value: Option<bool>) {
        self.present.push(value.is_some());
        self.values.append(value.unwrap_or_default());
    }

    pub fn finish(&mut self) -> ArrayRef {
        let nulls = self.present.finish();
        Arc::new(BooleanArray::new(self.values.finish(), nulls))
    }
}

/// Where the lists of a list column end in its element column.
#[derive(Debug)]
pub struct Ends(Vec<i32>);

impl Default for Ends {
    fn default() -> Self {
        Self(vec![0])
    }
}

impl Ends {
    #[inline]
    pub fn push(&mut self, elements: usize) {
        self.0.push(elements as i32);
    }

    pub fn finish(
        &mut self,
        item: &FieldRef,
        values: ArrayRef,
        nulls: Option<NullBuffer>,
    ) -> Result<ArrayRef, ArrowError> {
        let ends = take(&mut self.0);
        self.0.push(0);
        let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
        Ok(Arc::new(ListArray::try_new(
            item.clone(),
            ends,
            values,
            nulls,
        )?))
    }
}

/// A struct column of `fields` over finished children.
pub fn structs(
    fields: &Fields,
    children: Vec<ArrayRef>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(StructArray::try_new(
        fields.clone(),
        children,
        nulls,
    )?))
}
