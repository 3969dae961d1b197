//! The archive's columns. One row is one Kafka record.
//!
//! Names and types are a format that readers without our code depend on:
//! adding a nullable column is allowed, anything else is a new
//! [`SCHEMA_VERSION`]. `docs/archive.md` says what each column means.
//!
//! Device clocks are timestamps inside the years 1 to 9999: some readers refuse
//! a whole file for one time outside. A report with such a time shows the
//! nearest end, and keeps its bytes in `raw`.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

/// Written into each file's footer.
pub const SCHEMA_VERSION: u32 = 2;

/// 0001-01-01T00:00:00Z in ms: the first time every reader can show.
pub const MIN_TIME_MS: i64 = -62_135_596_800_000;
/// 9999-12-31T23:59:59.999Z in ms: the last one.
pub const MAX_TIME_MS: i64 = 253_402_300_799_999;

/// Bits of the column `shape`: what the other columns do not say, though it is
/// common enough not to spend `raw` on it.
pub mod shape {
    /// Every unset birth date of the report is written as present and 0, as agent 155 does.
    pub const BIRTH_ZERO: i16 = 1;
    /// Some text of the report has a byte above 0x7F, so that its texts were
    /// converted, and U+0000 is C0 80 in them. Without it they are the wire's bytes.
    pub const CONVERTED: i16 = 2;
}

/// Wire names of the properties that have a column of their own, in the order
/// in which agents write them, and those columns' names.
pub const PROPERTIES: [(&[u8], &str); 6] = [
    (b"device.model", "device_model"),
    (b"build.brand", "brand"),
    (b"build.id", "build_id"),
    (b"version.release", "os_version"),
    (b"build.device", "build_device"),
    (b"build.product", "build_product"),
];

/// Types of device id with a column of their own.
pub const DEVICE_ID: u16 = 0;
pub const IMEI_SHA1: u16 = 5;

/// The type of every time column.
pub static TIME: LazyLock<DataType> =
    LazyLock::new(|| DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())));

fn time() -> DataType {
    TIME.clone()
}

fn req(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

fn opt(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

/// The element field of a list of `fields` structs.
fn element(fields: &Fields) -> FieldRef {
    Arc::new(req("element", DataType::Struct(fields.clone())))
}

fn list(name: &str, item: &FieldRef) -> Field {
    req(name, DataType::List(item.clone()))
}

macro_rules! fields {
    ($( $(#[$doc:meta])* $name:ident = [ $($field:expr),* $(,)? ]; )*) => {
        $( $(#[$doc])* pub static $name: LazyLock<Fields> = LazyLock::new(|| Fields::from(vec![ $($field),* ])); )*
    };
}

macro_rules! elements {
    ($( $name:ident = $fields:ident; )*) => {
        $( pub static $name: LazyLock<FieldRef> = LazyLock::new(|| element(&$fields)); )*
    };
}

/// The element of a list of texts.
pub static TEXT: LazyLock<FieldRef> = LazyLock::new(|| Arc::new(req("element", DataType::Utf8)));

elements! {
    PAIR = PAIR_FIELDS;
    VALUES = VALUES_FIELDS;
    ORIGIN = ORIGIN_FIELDS;
    HEADER = HEADER_FIELDS;
    AD_ID = AD_ID_FIELDS;
    OTHER_ID = OTHER_ID_FIELDS;
    COUNT = COUNT_FIELDS;
    EVENT = EVENT_FIELDS;
    ERROR = ERROR_FIELDS;
    SESSION = SESSION_FIELDS;
}

fields! {
    PAIR_FIELDS = [req("name", DataType::Utf8), req("value", DataType::Utf8)];
    VALUES_FIELDS = [req("name", DataType::Utf8), list("values", &TEXT)];
    ORIGIN_FIELDS = [req("name", DataType::Utf8), list("pairs", &PAIR)];
    HEADER_FIELDS = [req("name", DataType::Binary), opt("value", DataType::Binary)];
    AD_ID_FIELDS = [req("type", DataType::Int16), req("id", DataType::Int64)];
    OTHER_ID_FIELDS = [req("type", DataType::Int32), req("id", DataType::Binary)];
    COUNT_FIELDS = [req("name", DataType::Utf8), req("count", DataType::Int32)];
    EVENT_FIELDS = [
        opt("id", DataType::Int32),
        req("name", DataType::Utf8),
        list("params", &PAIR),
        opt("offset_ms", DataType::Int64),
        opt("duration_ms", DataType::Int64),
    ];
    ERROR_FIELDS = [
        opt("id", DataType::Int32),
        req("time", time()),
        req("error_id", DataType::Utf8),
        req("message", DataType::Utf8),
        req("class", DataType::Utf8),
        opt("kind", DataType::Int16),
        opt("trace", DataType::Utf8),
    ];
    LOCATION_FIELDS = [
        req("lat", DataType::Float64),
        req("lon", DataType::Float64),
        req("accuracy", DataType::Float32),
    ];
    LAUNCH_FIELDS = [
        req("flag", DataType::Boolean),
        req("kind", DataType::Int8),
        opt("origin", DataType::Utf8),
        opt("deep_link", DataType::Utf8),
        list("options", &PAIR),
    ];
    SESSION_FIELDS = [
        req("app_version", DataType::Utf8),
        req("start", time()),
        opt("duration_ms", DataType::Int64),
        req("fingerprint", DataType::Int64),
        req("pause_ms", DataType::Int64),
        opt("locale", DataType::Utf8),
        opt("timezone", DataType::Utf8),
        opt("network", DataType::Int8),
        req("user_id", DataType::Utf8),
        opt("location", DataType::Struct(LOCATION_FIELDS.clone())),
        req("page_views", DataType::Int32),
        opt("unknown", DataType::Int16),
        opt("gender", DataType::Int8),
        opt("birth", time()),
        list("event_counts", &COUNT),
        list("events", &EVENT),
        req("events_complete", DataType::Boolean),
        req("total_errors", DataType::Int32),
        list("errors", &ERROR),
        opt("orientation", DataType::Int16),
        opt("launch", DataType::Struct(LAUNCH_FIELDS.clone())),
        list("properties", &PAIR),
    ];
    /// The columns of a file.
    ROW_FIELDS = [
        req("offset", DataType::Int64),
        req("kafka_timestamp", time()),
        opt("key", DataType::Binary),
        opt("headers", DataType::List(HEADER.clone())),
        req("outcome", DataType::Utf8),
        req("crc32c", DataType::UInt32),
        opt("raw", DataType::Binary),
        req("repaired_errors", DataType::Int32),
        req("shape", DataType::Int16),
        opt("protocol", DataType::Int32),
        opt("ad_flag", DataType::Int32),
        opt("ad_cache_ms", DataType::Int64),
        list("ad_ids", &AD_ID),
        opt("platform", DataType::Int32),
        opt("agent_version", DataType::Int32),
        opt("reported_at", time()),
        opt("api_key", DataType::Utf8),
        opt("app_version", DataType::Utf8),
        opt("device_id", DataType::Utf8),
        opt("imei_sha1", DataType::Binary),
        list("other_ids", &OTHER_ID),
        opt("previous_delivered", DataType::Boolean),
        opt("ad_tracking", DataType::Boolean),
        opt("first_session_start", time()),
        opt("session_start", time()),
        opt(PROPERTIES[0].1, DataType::Utf8),
        opt(PROPERTIES[1].1, DataType::Utf8),
        opt(PROPERTIES[2].1, DataType::Utf8),
        opt(PROPERTIES[3].1, DataType::Utf8),
        opt(PROPERTIES[4].1, DataType::Utf8),
        opt(PROPERTIES[5].1, DataType::Utf8),
        list("other_properties", &PAIR),
        list("referrer", &VALUES),
        opt("push_token", DataType::Utf8),
        list("launch_options", &VALUES),
        list("origins", &ORIGIN),
        opt("package", DataType::Utf8),
        list("sessions", &SESSION),
    ];
}

/// The schema of every record batch that leaves the builder.
pub static SCHEMA: LazyLock<SchemaRef> =
    LazyLock::new(|| Arc::new(Schema::new(ROW_FIELDS.clone())));
