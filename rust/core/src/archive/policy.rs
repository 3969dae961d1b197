//! How each column is written: measured choices (docs/archive.md has the figures).

use super::schema::ROW_FIELDS;
use crate::parquet::schema::leaves;

/// Numbers that nearly always are the same, though 64 bits wide.
const CONSTANT: [&str; 2] = ["ad_cache_ms", "pause_ms"];
/// Random bits: no encoding and no compressor gains anything.
const RANDOM: [&str; 3] = ["imei_sha1", "crc32c", "fingerprint"];
/// Where minima and maxima let a reader skip pages and row groups.
const STATISTICS: [&str; 5] = [
    "offset",
    "kafka_timestamp",
    "api_key",
    "device_id",
    "reported_at",
];
/// Texts that do not repeat, but begin alike.
const PREFIXED: [&str; 1] = ["device_id"];
/// Looked up by equality.
const BLOOM: [&str; 2] = ["api_key", "device_id"];

/// The choices for one column.
#[derive(Debug, Clone)]
pub struct Policy {
    pub name: String,
    pub compressed: bool,
    /// 64-bit numbers as a dictionary, not as differences.
    pub constant: bool,
    pub random: bool,
    pub prefixed: bool,
    pub statistics: bool,
    pub bloom: bool,
}

/// A policy for each leaf, in order.
pub fn policies() -> Vec<Policy> {
    let policy = |leaf: &crate::parquet::schema::Leaf| {
        let last = leaf.path.last().map_or("", String::as_str);
        let top = leaf.path.len() == 1;
        Policy {
            name: leaf.dotted(),
            compressed: !RANDOM.contains(&last),
            constant: CONSTANT.contains(&last),
            random: RANDOM.contains(&last),
            prefixed: PREFIXED.contains(&last),
            statistics: top && STATISTICS.contains(&last),
            bloom: top && BLOOM.contains(&last),
        }
    };
    leaves(&ROW_FIELDS).iter().map(policy).collect()
}
