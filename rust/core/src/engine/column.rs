//! Binary columns as Arrow lays them out: bytes and offsets.

/// Values behind each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// All values.
    pub bytes: Vec<u8>,
    /// Where each begins, and where the last ends: one more than there are values.
    pub offsets: Vec<i32>,
}

/// A column holds no more than this, so that its offsets fit.
pub const MAX_BYTES: usize = 1 << 30;

impl Default for Column {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            offsets: vec![0],
        }
    }
}

impl Column {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends what `write` writes; false, and nothing, if the offsets would overflow.
    pub fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let start = self.bytes.len();
        write(&mut self.bytes);
        match i32::try_from(self.bytes.len()) {
            Ok(end) => {
                self.offsets.push(end);
                true
            }
            Err(_) => {
                self.bytes.truncate(start);
                false
            }
        }
    }

    /// One value.
    pub fn get(&self, at: usize) -> Option<&[u8]> {
        let start = *self.offsets.get(at)?;
        let end = *self.offsets.get(at + 1)?;
        self.bytes.get(start as usize..end as usize)
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}
