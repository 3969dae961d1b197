//! One Kafka record as the engine meets it.

/// A record of the log, borrowed from whoever holds its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub partition: i32,
    pub offset: i64,
    /// Kafka's timestamp (LogAppendTime), milliseconds since the epoch; -1 where it has none.
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    /// Flattened, as csrc/batch.h says: u16 name length, name, i32 value
    /// length (-1: null), value, each header after the other, little-endian.
    pub headers: Option<&'a [u8]>,
    /// `None` is a tombstone, which is read as empty.
    pub payload: Option<&'a [u8]>,
}
