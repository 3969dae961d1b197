//! How each column is written: measured choices (docs/archive.md has the figures).

use super::schema::ROW_FIELDS;
use crate::parquet::schema::leaves;

/// Numbers that nearly always are the same, though 64 bits wide.
const CONSTANT: [&str; 2] = ["ad_cache_ms", "pause_ms"];
/// Random bits: no encoding and no compressor gains anything.
const RANDOM: [&str; 3] = ["imei_sha1", "crc32c", "fingerprint"];
/// Differences that are packed as tightly as they get.
const PACKED: [&str; 1] = ["first_session_start"];
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
/// Times most of whose differences are of one size: in whole bytes those above
/// the lowest are nearly alike, which Zstandard sees.
const WHOLE_BYTES: [&str; 4] = ["offset_ms", "reported_at", "session_start", "start"];
/// Texts of many apps, of which few make up most values.
const RANKED: [&str; 3] = [
    "event_counts.list.element.name",
    "events.list.element.name",
    "params.list.element.value",
];
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
    /// Differences of times, wider than they need be.
    pub whole_bytes: bool,
    /// The dictionary begins with what is frequent.
    pub ranked: bool,
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
            compressed: !RANDOM.contains(&last) && !PACKED.contains(&last),
            constant: CONSTANT.contains(&last),
            random: RANDOM.contains(&last),
            prefixed: PREFIXED.contains(&last),
            whole_bytes: WHOLE_BYTES.contains(&last),
            ranked: RANKED.iter().any(|end| leaf.dotted().ends_with(end)),
            statistics: top && STATISTICS.contains(&last),
            bloom: top && BLOOM.contains(&last),
        }
    };
    leaves(&ROW_FIELDS).iter().map(policy).collect()
}
