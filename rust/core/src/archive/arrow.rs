//! Columns as a record batch, for pyarrow and whoever else takes Arrow.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, PrimitiveArray,
    RecordBatch, StringArray, StructArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Fields};

use super::build::Rows;
use super::columns::{Bytes, Ends};
use super::intern::{Dictionary, Numbered};
use super::presence::{Bits, Presence};
use super::schema;
use super::visit::{Number, Visitor};

/// All rows as one batch of [`schema::SCHEMA`], copied.
pub fn record_batch(rows: &Rows) -> Result<RecordBatch, ArrowError> {
    let mut arrays = Arrays::of(&schema::ROW_FIELDS);
    rows.visit(&mut arrays);
    RecordBatch::try_new(schema::SCHEMA.clone(), arrays.finish()?)
}

/// Gathers the arrays of `fields`.
struct Arrays {
    fields: Fields,
    done: Vec<ArrayRef>,
    failure: Option<ArrowError>,
}

impl Arrays {
    fn of(fields: &Fields) -> Self {
        Self {
            fields: fields.clone(),
            done: Vec::with_capacity(fields.len()),
            failure: None,
        }
    }

    /// The type of the next column.
    fn expected(&self) -> DataType {
        let field = self.fields.get(self.done.len());
        field.map_or(DataType::Null, |field| field.data_type().clone())
    }

    fn push(&mut self, array: Result<ArrayRef, ArrowError>) {
        match array {
            Ok(array) => self.done.push(array),
            Err(failure) => {
                self.failure.get_or_insert(failure);
            }
        }
    }

    fn finish(self) -> Result<Vec<ArrayRef>, ArrowError> {
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.done),
        }
    }

    fn push_bytes(&mut self, present: Option<&Presence>, ends: Vec<i32>, bytes: Vec<u8>) {
        let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
        let bytes = Buffer::from_vec(bytes);
        let nulls = nulls(present);
        self.push(match self.expected() {
            // Checks that it is UTF-8, so an error here is a fault of ours, not of a device.
            DataType::Utf8 => {
                StringArray::try_new(ends, bytes, nulls).map(|array| Arc::new(array) as ArrayRef)
            }
            _ => BinaryArray::try_new(ends, bytes, nulls).map(|array| Arc::new(array) as ArrayRef),
        });
    }

    fn structs(
        fields: &Fields,
        nulls: Option<NullBuffer>,
        columns: impl FnOnce(&mut Self),
    ) -> Result<ArrayRef, ArrowError> {
        let mut inner = Self::of(fields);
        columns(&mut inner);
        let array = StructArray::try_new(fields.clone(), inner.finish()?, nulls)?;
        Ok(Arc::new(array))
    }
}

fn nulls(present: Option<&Presence>) -> Option<NullBuffer> {
    present.and_then(Presence::to_arrow)
}

impl Visitor for Arrays {
    fn numbers<T: ArrowPrimitiveType<Native: Number>>(
        &mut self,
        present: Option<&Presence>,
        values: &[T::Native],
    ) {
        let values = match present {
            None => values.to_vec(),
            Some(present) => {
                let mut values = values.iter().copied();
                let mut value = |place| present.get(place).then(|| values.next()).flatten();
                let places = 0..present.len();
                places
                    .map(|place| value(place).unwrap_or_default())
                    .collect()
            }
        };
        let values = ScalarBuffer::from(values);
        let array = PrimitiveArray::<T>::try_new(values, nulls(present));
        let expected = self.expected();
        // The type adds the time zone of timestamps.
        self.push(array.map(|array| Arc::new(array.with_data_type(expected)) as ArrayRef));
    }

    fn flags(&mut self, present: Option<&Presence>, values: &Bits) {
        let array = BooleanArray::new(values.to_arrow(), nulls(present));
        self.push(Ok(Arc::new(array)));
    }

    fn texts(&mut self, present: Option<&Presence>, dictionary: &Dictionary, values: &Numbered) {
        let dictionary: Vec<&[u8]> = dictionary.texts().collect();
        let mut flat = Bytes::default();
        for number in &values.numbers {
            flat.push(
                dictionary
                    .get(*number as usize)
                    .copied()
                    .unwrap_or_default(),
            );
        }
        for place in 0..values.rest.as_ref().map_or(0, Bytes::len) {
            flat.push(values.rest.as_ref().map_or(&[], |rest| rest.get(place)));
        }
        self.push_bytes(present, flat.ends, flat.bytes);
    }

    fn bytes(&mut self, present: Option<&Presence>, values: &Bytes) {
        self.push_bytes(present, values.ends.clone(), values.bytes.clone());
    }

    fn list(&mut self, present: Option<&Presence>, ends: &Ends, elements: impl FnOnce(&mut Self)) {
        let DataType::List(item) = self.expected() else {
            self.push(Err(ArrowError::SchemaError("no list is expected".into())));
            return;
        };
        let values = match item.data_type() {
            DataType::Struct(fields) => Self::structs(fields, None, elements),
            _ => {
                let mut inner = Self::of(&Fields::from(vec![item.clone()]));
                elements(&mut inner);
                inner.finish().and_then(|mut arrays| {
                    arrays
                        .pop()
                        .ok_or_else(|| ArrowError::SchemaError("a list without elements".into()))
                })
            }
        };
        let ends = OffsetBuffer::new(ScalarBuffer::from(ends.0.clone()));
        let list = values.and_then(|values| ListArray::try_new(item, ends, values, nulls(present)));
        self.push(list.map(|list| Arc::new(list) as ArrayRef));
    }

    fn group(&mut self, present: &Presence, columns: impl FnOnce(&mut Self)) {
        let group = match self.expected() {
            DataType::Struct(fields) => Self::structs(&fields, present.to_arrow(), columns),
            _ => Err(ArrowError::SchemaError("no struct is expected".into())),
        };
        self.push(group);
    }
}
