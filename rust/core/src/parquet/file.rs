//! A file: row groups as they are finished, then page indexes and footer.

use arrow_schema::Fields;

use super::ParquetError;
use super::chunk::{Chunk, Encoding};
use super::schema::{self, Leaf};
use super::thrift::{BINARY, BOOL_ELEMENT, Compact, I32_ELEMENT, I64_ELEMENT, STRUCT};

/// First and last bytes of every file.
pub const MAGIC: &[u8; 4] = b"PAR1";

const ZSTD: i32 = 6;
const UNCOMPRESSED: i32 = 0;

/// Where something stands in the file, and how long it is.
type Place = (i64, i32);

/// A chunk that is written, and where.
#[derive(Debug)]
struct Placed {
    /// Without its bytes.
    chunk: Chunk,
    start: i64,
    dictionary_bytes: usize,
    data_bytes: usize,
    bloom: Option<Place>,
}

#[derive(Debug)]
struct Group {
    rows: usize,
    columns: Vec<Placed>,
}

/// Knows what was written so far, and no byte of it.
#[derive(Debug)]
pub struct FileWriter {
    elements: (usize, Vec<u8>),
    leaves: Vec<Leaf>,
    position: usize,
    groups: Vec<Group>,
}

impl FileWriter {
    /// A file of these columns; its first bytes are [`MAGIC`].
    pub fn new(fields: &Fields) -> Self {
        Self {
            elements: schema::elements(fields),
            leaves: schema::leaves(fields),
            position: MAGIC.len(),
            groups: Vec::new(),
        }
    }

    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// A row group of one chunk a leaf; the bytes that follow in the file, in pieces.
    pub fn row_group(
        &mut self,
        rows: usize,
        chunks: Vec<Chunk>,
    ) -> Result<Vec<Vec<u8>>, ParquetError> {
        if self.groups.len() >= i16::MAX as usize {
            return Err(ParquetError::TooManyRowGroups);
        }
        if chunks.len() != self.leaves.len() {
            return Err(ParquetError::Columns {
                expected: self.leaves.len(),
                found: chunks.len(),
            });
        }
        let mut pieces = Vec::with_capacity(chunks.len() * 2);
        let mut columns = Vec::with_capacity(chunks.len());
        for mut chunk in chunks {
            let start = self.position as i64;
            let dictionary = std::mem::take(&mut chunk.dictionary);
            let data = std::mem::take(&mut chunk.data);
            let (dictionary_bytes, data_bytes) = (dictionary.len(), data.len());
            self.position += dictionary_bytes + data_bytes;
            pieces.extend(
                [dictionary, data]
                    .into_iter()
                    .filter(|piece| !piece.is_empty()),
            );
            columns.push(Placed {
                chunk,
                start,
                dictionary_bytes,
                data_bytes,
                bloom: None,
            });
        }
        for column in &mut columns {
            if let Some(bloom) = column.chunk.bloom.take() {
                let mut bytes = Vec::new();
                bloom.write(&mut bytes);
                column.bloom = Some((self.position as i64, bytes.len() as i32));
                self.position += bytes.len();
                pieces.push(bytes);
            }
        }
        self.groups.push(Group { rows, columns });
        Ok(pieces)
    }

    /// The end of the file. `metadata`: names and values, in order.
    pub fn finish(mut self, metadata: &[(String, String)], created_by: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let groups = std::mem::take(&mut self.groups);
        let columns = || groups.iter().flat_map(|group| &group.columns);
        let mut place = |write: &mut dyn FnMut(&mut Vec<u8>)| {
            let start = out.len();
            write(&mut out);
            let at = (self.position + start) as i64;
            (at, (out.len() - start) as i32)
        };
        let mut indexes: Vec<(Option<Place>, Place)> = Vec::new();
        for column in columns() {
            let index = column
                .chunk
                .bounds()
                .map(|_| place(&mut |out| column_index(&column.chunk, out)));
            indexes.push((index, (0, 0)));
        }
        for (column, index) in columns().zip(&mut indexes) {
            index.1 = place(&mut |out| offset_index(column, out));
        }
        let start = out.len();
        self.footer(&groups, &indexes, metadata, created_by, &mut out);
        let length = (out.len() - start) as u32;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(MAGIC);
        out
    }

    fn footer(
        &self,
        groups: &[Group],
        indexes: &[(Option<Place>, Place)],
        metadata: &[(String, String)],
        created_by: &str,
        out: &mut Vec<u8>,
    ) {
        let mut footer = Compact::new(out);
        footer.i32(1, 2);
        footer.list(2, STRUCT, self.elements.0);
        footer.raw(&self.elements.1);
        let rows: usize = groups.iter().map(|group| group.rows).sum();
        footer.i64(3, rows as i64);
        footer.list(4, STRUCT, groups.len());
        let mut indexes = indexes.iter();
        for (ordinal, group) in groups.iter().enumerate() {
            footer.begin_element();
            footer.list(1, STRUCT, group.columns.len());
            for ((leaf, column), index) in self.leaves.iter().zip(&group.columns).zip(&mut indexes)
            {
                column_chunk(leaf, column, *index, &mut footer);
            }
            let uncompressed: usize = group.columns.iter().map(|c| c.chunk.uncompressed).sum();
            let compressed: usize = group.columns.iter().map(Placed::bytes).sum();
            footer.i64(2, uncompressed as i64);
            footer.i64(3, group.rows as i64);
            footer.i64(5, group.columns.first().map_or(0, |column| column.start));
            footer.i64(6, compressed as i64);
            footer.i16(7, ordinal as i16);
            footer.end();
        }
        footer.list(5, STRUCT, metadata.len());
        for (name, value) in metadata {
            footer.begin_element();
            footer.bytes(1, name.as_bytes());
            footer.bytes(2, value.as_bytes());
            footer.end();
        }
        footer.bytes(6, created_by.as_bytes());
        schema::write_orders(self.leaves.len(), &mut footer);
        footer.end();
    }
}

impl Placed {
    fn bytes(&self) -> usize {
        self.dictionary_bytes + self.data_bytes
    }

    fn data_start(&self) -> i64 {
        self.start + self.dictionary_bytes as i64
    }
}

fn column_chunk(
    leaf: &Leaf,
    column: &Placed,
    (column_index, offset_index): (Option<Place>, Place),
    out: &mut Compact<'_>,
) {
    let chunk = &column.chunk;
    out.begin_element();
    out.i64(2, 0); // deprecated
    out.begin(3);
    out.i32(1, leaf.physical as i32);
    let used: Vec<_> = Encoding::ALL
        .iter()
        .zip(chunk.counts)
        .filter(|(_, pages)| *pages > 0)
        .collect();
    let dictionary = column.dictionary_bytes > 0;
    // The dictionary page is plain; levels are RLE (3).
    let mut encodings: Vec<i32> = used.iter().map(|(encoding, _)| **encoding as i32).collect();
    encodings.push(3);
    if dictionary && !encodings.contains(&0) {
        encodings.push(0);
    }
    out.list(2, I32_ELEMENT, encodings.len());
    encodings.iter().for_each(|one| out.i32_element(*one));
    out.list(3, BINARY, leaf.path.len());
    for name in &leaf.path {
        out.bytes_element(name.as_bytes());
    }
    out.i32(4, if chunk.compressed { ZSTD } else { UNCOMPRESSED });
    out.i64(5, chunk.entries as i64);
    out.i64(6, chunk.uncompressed as i64);
    out.i64(7, column.bytes() as i64);
    out.i64(9, column.data_start());
    if dictionary {
        out.i64(11, column.start);
    }
    let nulls: usize = chunk.pages.iter().map(|page| page.nulls).sum();
    if let Some(bounds) = chunk.bounds() {
        let (low, high) = bounds.bytes();
        let exact = !matches!(bounds, super::chunk::Bounds::Texts(_, _, false));
        out.begin(12);
        out.i64(3, nulls as i64);
        out.bytes(5, &high);
        out.bytes(6, &low);
        out.bool(7, exact);
        out.bool(8, exact);
        out.end();
    }
    out.list(13, STRUCT, used.len() + usize::from(dictionary));
    let mut statistics = |page: i32, encoding: i32, count: i32| {
        out.begin_element();
        out.i32(1, page);
        out.i32(2, encoding);
        out.i32(3, count);
        out.end();
    };
    if dictionary {
        statistics(2, Encoding::Plain as i32, 1);
    }
    for (encoding, pages) in used {
        statistics(0, *encoding as i32, pages);
    }
    if let Some((start, length)) = column.bloom {
        out.i64(14, start);
        out.i32(15, length);
    }
    out.end();
    out.i64(4, offset_index.0);
    out.i32(5, offset_index.1);
    if let Some((start, length)) = column_index {
        out.i64(6, start);
        out.i32(7, length);
    }
    out.end();
}

fn column_index(chunk: &Chunk, out: &mut Vec<u8>) {
    let pages = &chunk.pages;
    let bounds: Vec<_> = pages.iter().map(|page| page.bounds.as_ref()).collect();
    let bytes: Vec<_> = bounds
        .iter()
        .map(|one| one.map(super::chunk::Bounds::bytes).unwrap_or_default())
        .collect();
    let known: Vec<_> = bounds.iter().flatten().collect();
    let rises = known
        .iter()
        .zip(known.iter().skip(1))
        .all(|(a, b)| a.rises_to(b));
    let mut index = Compact::new(out);
    index.list(1, BOOL_ELEMENT, pages.len());
    pages
        .iter()
        .for_each(|page| index.bool_element(page.all_null));
    index.list(2, BINARY, pages.len());
    bytes.iter().for_each(|(low, _)| index.bytes_element(low));
    index.list(3, BINARY, pages.len());
    bytes.iter().for_each(|(_, high)| index.bytes_element(high));
    index.i32(4, i32::from(rises)); // ASCENDING, or UNORDERED
    index.list(5, I64_ELEMENT, pages.len());
    pages
        .iter()
        .for_each(|page| index.i64_element(page.nulls as i64));
    index.end();
}

fn offset_index(column: &Placed, out: &mut Vec<u8>) {
    let mut index = Compact::new(out);
    index.list(1, STRUCT, column.chunk.pages.len());
    for page in &column.chunk.pages {
        index.begin_element();
        index.i64(1, column.data_start() + page.offset as i64);
        index.i32(2, page.bytes as i32);
        index.i64(3, page.first_row as i64);
        index.end();
    }
    index.end();
}
