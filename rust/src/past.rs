//! Rows of the archive, as far as the sessions in them are known by.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{Array, Int64Array, ListArray, StructArray, TimestampMillisecondArray};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use flurry_core::engine::{EngineError, Past};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::engine::Core;

/// The columns `offset`, `kafka_timestamp`, and of `sessions` the fields
/// `fingerprint` and `duration_ms`, whatever else there is.
pub struct PastRows {
    offsets: Int64Array,
    times: TimestampMillisecondArray,
    lists: ListArray,
    /// (fingerprint, duration) of all rows, one after the other.
    sessions: Vec<(i64, i64)>,
}

impl PastRows {
    /// Raises `TypeError` for other columns.
    pub fn new(data: ArrayData) -> PyResult<Self> {
        Self::of(data).ok_or_else(|| {
            PyTypeError::new_err(
                "expected rows with offset, kafka_timestamp, sessions.fingerprint, sessions.duration_ms",
            )
        })
    }

    fn of(data: ArrayData) -> Option<Self> {
        if !matches!(data.data_type(), DataType::Struct(_)) || data.null_count() > 0 {
            return None;
        }
        let rows = StructArray::from(data);
        let lists = rows.column_by_name("sessions")?.as_list_opt::<i32>()?;
        let fields = lists.values().as_struct_opt()?;
        let prints = numbers(fields.column_by_name("fingerprint")?)?;
        let durations = numbers(fields.column_by_name("duration_ms")?)?;
        let found = Self {
            offsets: numbers(rows.column_by_name("offset")?)?,
            times: rows
                .column_by_name("kafka_timestamp")?
                .as_primitive_opt::<TimestampMillisecondType>()?
                .clone(),
            lists: lists.clone(),
            // Null is how the column says "not ended", which is −1 on the wire.
            sessions: (prints.values().iter().copied())
                .zip(durations.iter().map(|duration| duration.unwrap_or(-1)))
                .collect(),
        };
        let nulls = found.offsets.null_count() + found.times.null_count() + prints.null_count();
        (nulls == 0).then_some(found)
    }

    /// Lets the engine remember them; the first offset that it misses then.
    pub fn recall(&self, core: &mut Core, partition: i32) -> Result<i64, EngineError> {
        let rows = self.offsets.values().iter().zip(self.times.values());
        let ends = self.lists.value_offsets().windows(2);
        let records = rows.zip(ends).map(|((offset, time), ends)| Past {
            offset: *offset,
            timestamp_ms: *time,
            sessions: match ends {
                [from, to] => &self.sessions[*from as usize..*to as usize],
                _ => &[],
            },
        });
        core.recall(partition, records)
    }
}

fn numbers(column: &dyn Array) -> Option<Int64Array> {
    column.as_primitive_opt::<Int64Type>().cloned()
}
