//! A chunk of the archive as a Parquet file, row group by row group.

use super::chunk::ArchiveChunk;
use super::pages;
use super::policy::{Policy, policies};
use super::schema::ROW_FIELDS;
use crate::parquet::ParquetError;
use crate::parquet::chunk::Press;
use crate::parquet::file::{FileWriter, MAGIC};

/// Encodes one file. It holds one row group's pages at most, and those only
/// while it makes them.
pub struct ParquetFile {
    file: FileWriter,
    policies: Vec<Policy>,
    press: Press,
}

impl ParquetFile {
    /// Pages are compressed by Zstandard of this level.
    pub fn new(level: i32) -> Result<Self, ParquetError> {
        Ok(Self {
            file: FileWriter::new(&ROW_FIELDS),
            policies: policies(),
            press: Press::new(level)?,
        })
    }

    /// The first bytes of the file.
    pub fn start(&self) -> &'static [u8] {
        MAGIC
    }

    /// The bytes of the row group number `group` of `chunk`, in pieces; `None` behind the last.
    pub fn row_group(
        &mut self,
        chunk: &ArchiveChunk,
        group: usize,
    ) -> Result<Option<Vec<Vec<u8>>>, ParquetError> {
        let Some(rows) = chunk.groups.get(group) else {
            return Ok(None);
        };
        let chunks = pages::chunks(rows, &self.policies, &mut self.press)?;
        self.file.row_group(rows.len(), chunks).map(Some)
    }

    /// The last bytes of the file: page indexes, and the footer with `metadata`.
    pub fn finish(self, metadata: &[(String, String)], created_by: &str) -> Vec<u8> {
        self.file.finish(metadata, created_by)
    }
}
