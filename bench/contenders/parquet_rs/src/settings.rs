//! What a file is to be written with: one line of JSON, made by `bench/parquet_rs.py`.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::PathBuf;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{
    DeltaBinaryPackedEncoderOptions, EnabledStatistics, WriterProperties,
};
use parquet::schema::types::{ColumnPath, SchemaDescriptor};
use serde::Deserialize;

/// What is not given is as the crate has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file to be made.
    pub path: PathBuf,
    /// Which of the inputs.
    pub rows: String,
    /// Zstandard's level; none: not compressed.
    zstd: Option<i32>,
    /// Of columns that are not named: none, chunk or page.
    statistics: Option<String>,
    offset_index: Option<bool>,
    dictionary_bytes: Option<usize>,
    page_bytes: Option<usize>,
    page_rows: Option<usize>,
    /// How many values of a column are encoded at a time.
    batch_values: Option<usize>,
    /// Of `DELTA_BINARY_PACKED`: values of a block, and in how many parts of one width each.
    delta_block: Option<(usize, usize)>,
    /// How many rows the writer is given at a time; none: a row group.
    pub rows_at_once: Option<usize>,
    /// By path: all leaves of the schema, or no column at all.
    columns: BTreeMap<String, Column>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    /// As the format names it; none: a dictionary.
    encoding: Option<String>,
    /// Whether the level of the file is its level, too.
    compressed: bool,
    statistics: String,
    bloom: Option<Bloom>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bloom {
    ndv: u64,
    fpp: f64,
}

impl Settings {
    /// For the writer. A setting of a column that is not there, or a column without one, is refused: it would be
    /// written with the crate's defaults, and nobody would know.
    pub fn properties(
        &self,
        schema: &SchemaDescriptor,
    ) -> Result<WriterProperties, Box<dyn Error>> {
        let leaves: BTreeSet<_> = schema
            .columns()
            .iter()
            .map(|leaf| leaf.path().string())
            .collect();
        let named: BTreeSet<_> = self.columns.keys().cloned().collect();
        if !named.is_empty() && named != leaves {
            let odd: Vec<_> = named.symmetric_difference(&leaves).collect();
            return Err(format!("settings and columns differ: {odd:?}").into());
        }
        let compression = self.compression()?;
        let mut made = WriterProperties::builder().set_compression(compression);
        if let Some(level) = &self.statistics {
            made = made.set_statistics_enabled(level.parse::<EnabledStatistics>()?);
        }
        if let Some(wanted) = self.offset_index {
            made = made.set_offset_index_disabled(!wanted);
        }
        if let Some(bytes) = self.dictionary_bytes {
            made = made.set_dictionary_page_size_limit(bytes);
        }
        if let Some(bytes) = self.page_bytes {
            made = made.set_data_page_size_limit(bytes);
        }
        if let Some(rows) = self.page_rows {
            made = made.set_data_page_row_count_limit(rows);
        }
        if let Some(values) = self.batch_values {
            made = made.set_write_batch_size(values);
        }
        if let Some((values, parts)) = self.delta_block {
            made = made.set_delta_binary_packed_encoder_options(
                DeltaBinaryPackedEncoderOptions::try_new(values, parts)?,
            );
        }
        for leaf in schema.columns() {
            let path: &ColumnPath = leaf.path();
            let Some(column) = self.columns.get(&path.string()) else {
                continue;
            };
            let statistics = column.statistics.parse::<EnabledStatistics>()?;
            made = made.set_column_statistics_enabled(path.clone(), statistics);
            made = made.set_column_dictionary_enabled(path.clone(), column.encoding.is_none());
            if let Some(name) = &column.encoding {
                made = made.set_column_encoding(path.clone(), name.parse::<Encoding>()?);
            }
            if !column.compressed {
                made = made.set_column_compression(path.clone(), Compression::UNCOMPRESSED);
            }
            if let Some(bloom) = &column.bloom {
                made = made
                    .set_column_bloom_filter_max_ndv(path.clone(), bloom.ndv)
                    .set_column_bloom_filter_fpp(path.clone(), bloom.fpp);
            }
        }
        Ok(made.build())
    }

    fn compression(&self) -> Result<Compression, Box<dyn Error>> {
        Ok(match self.zstd {
            Some(level) => Compression::ZSTD(ZstdLevel::try_new(level)?),
            None => Compression::UNCOMPRESSED,
        })
    }
}
