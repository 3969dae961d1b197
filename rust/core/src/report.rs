//! What a decoded report is: borrowed views over the bytes of one Kafka
//! message, in flat, reusable vectors. Everything downstream (rollups, archive
//! columns, JSON, the encoder) reads this one shape.

use std::ops::Range;

/// Text as it stands on the wire: *modified* UTF-8, already validated (what
/// Java's `readUTF` accepts). ASCII text is also plain UTF-8; anything else
/// goes through `wire::text` before it leaves the crate.
pub type Text<'a> = &'a [u8];

/// A span of one of the report's flat vectors.
pub type Span = Range<u32>;

/// One report: the envelope, and its sessions as spans of flat vectors.
///
/// Fields that a protocol lacks hold their `Default` (empty, zero, `None`).
/// The numbers in brackets are the field numbers of `docs/wire-format.md`.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Report<'a> {
    /// [1] 8, 15, 22, 24, 25, 26, 27, 29 or 30.
    pub protocol: u16,
    /// [2] 1 on a session-start report when ads are on.
    pub ad_flag: u16,
    /// [3]
    pub ad_cache_ms: i64,
    /// [4]
    pub ad_ids: Vec<(u8, i64)>,
    /// [5] 3 = Android.
    pub platform: u16,
    /// [6]
    pub agent_version: u16,
    /// [7] Device clock, ms since the epoch.
    pub created_ms: i64,
    /// [8] 1 to 255 bytes (`Reason::BadKey` otherwise).
    pub api_key: Text<'a>,
    /// [9]
    pub app_version: Text<'a>,
    /// [10] All ids in wire order, as (type, bytes). Protocol 8 has one of type 0.
    pub device_ids: Vec<(u16, &'a [u8])>,
    /// [12] Protocols 27 and later.
    pub previous_delivered: Option<bool>,
    /// [13] Protocols 29 and later.
    pub ad_tracking: Option<bool>,
    /// [14] Start of the first session ever on this install.
    pub first_session_ms: i64,
    /// [15] Start of the current session.
    pub session_start_ms: i64,
    /// [16] In wire order; names may repeat in hostile input.
    pub properties: Vec<(Text<'a>, Text<'a>)>,
    /// [17] Install referrer: (name, span of `values`).
    pub referrer: Vec<(Text<'a>, Span)>,
    /// [18]
    pub push_token: Option<Text<'a>>,
    /// [20] Launch options: (name, span of `values`).
    pub launch_options: Vec<(Text<'a>, Span)>,
    /// [21] Origins: (name, span of `pairs`).
    pub origins: Vec<(Text<'a>, Span)>,
    /// [22] Package name, protocol 30.
    pub package: Option<Text<'a>>,
    /// [23]
    pub sessions: Vec<Session<'a>>,

    /// Error records that the agent counted but failed to write, as found by
    /// the repair of `docs/wire-format.md`; 0 for a body that read plainly.
    pub repaired_errors: u16,
    /// Whether any text of the report has a byte above 0x7F. False lets every
    /// reader take wire text as UTF-8 without a look. Says nothing of what is
    /// not text: device ids of protocols 22+ and traces.
    pub non_ascii: bool,

    /// Flat storage: values of `referrer` and `launch_options`.
    pub values: Vec<Text<'a>>,
    /// Flat storage: pairs of `origins`, session properties and session options.
    pub pairs: Vec<(Text<'a>, Text<'a>)>,
    /// Flat storage: occurrences per event name.
    pub counts: Vec<(Text<'a>, i32)>,
    /// Flat storage: event records.
    pub events: Vec<Event<'a>>,
    /// Flat storage: event parameters.
    pub params: Vec<(Text<'a>, Text<'a>)>,
    /// Flat storage: error records.
    pub errors: Vec<ErrorRecord<'a>>,
}

/// One session record.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Session<'a> {
    /// [2]
    pub app_version: Text<'a>,
    /// [3] Device clock, ms since the epoch; with api key and device id the session's identity.
    pub start_ms: i64,
    /// [4] As on the wire: ms, −1 = not ended.
    pub duration_ms: i64,
    /// [5]
    pub pause_ms: i64,
    /// [6] Protocol 30 only.
    pub launch: Option<Launch<'a>>,
    /// [7] Session properties: span of `Report::pairs`.
    pub properties: Span,
    /// [8] `None` where the protocol has none (8).
    pub locale: Option<Text<'a>>,
    /// [9] `None` where the protocol has none (8).
    pub timezone: Option<Text<'a>>,
    /// [10] As on the wire; −1 where the protocol has none.
    pub network: i8,
    /// [11] Protocol 30 only.
    pub orientation: Option<u8>,
    /// [12]
    pub user_id: Text<'a>,
    /// [13]
    pub location: Option<Location>,
    /// [14]
    pub page_views: i32,
    /// [15] Two bytes of unknown meaning, −1 where seen; protocol 8 has only the first.
    pub unknown: [i8; 2],
    /// [16] −1 unknown, 0 female, 1 male.
    pub gender: i8,
    /// [17] As on the wire; `Some(0)` is agent 155's way to say unset.
    pub birth_ms: Option<i64>,
    /// [18] Span of `Report::counts`.
    pub counts: Span,
    /// [19] Span of `Report::events`.
    pub events: Span,
    /// [20]
    pub events_complete: bool,
    /// [21]
    pub total_errors: i32,
    /// [22] Span of `Report::errors`.
    pub errors: Span,
}

/// Field 6 of a protocol-30 session: how it was launched.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Launch<'a> {
    /// bool
    pub flag: bool,
    /// i8
    pub kind: i8,
    /// bool \[UTF\]
    pub origin: Option<Text<'a>>,
    /// bool \[UTF\]
    pub deep_link: Option<Text<'a>>,
    /// Span of `Report::pairs`.
    pub options: Span,
}

/// Field 13, kept as bits so that NaNs and signed zeros survive.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// f64, degrees.
    pub lat_bits: u64,
    /// f64, degrees.
    pub lon_bits: u64,
    /// f32, metres.
    pub accuracy_bits: u32,
}

/// One event record.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Event<'a> {
    /// Protocols 22 and later; not unique in a session before 26.
    pub id: Option<u16>,
    pub name: Text<'a>,
    /// Span of `Report::params`.
    pub params: Span,
    /// ms from the session's start; `None` in protocol 8.
    pub offset_ms: Option<i64>,
    /// ms, 0 = untimed or never ended; `None` in protocol 8.
    pub duration_ms: Option<i64>,
}

/// One error record.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct ErrorRecord<'a> {
    /// Protocols 22 and later.
    pub id: Option<u16>,
    /// Device clock, ms since the epoch.
    pub time_ms: i64,
    pub error_id: Text<'a>,
    pub message: Text<'a>,
    pub class: Text<'a>,
    /// Protocols 26 and later: 1 no throwable, 2 caught, 3 uncaught.
    pub kind: Option<u8>,
    /// Protocols 26 and later.
    pub trace: Option<&'a [u8]>,
}

impl Report<'_> {
    /// Empties every vector and resets every field, keeping the allocations.
    pub fn clear(&mut self) {
        // Every field is named, so that a new one cannot be forgotten here.
        let Report {
            protocol,
            ad_flag,
            ad_cache_ms,
            ad_ids,
            platform,
            agent_version,
            created_ms,
            api_key,
            app_version,
            device_ids,
            previous_delivered,
            ad_tracking,
            first_session_ms,
            session_start_ms,
            properties,
            referrer,
            push_token,
            launch_options,
            origins,
            package,
            sessions,
            repaired_errors,
            non_ascii,
            values,
            pairs,
            counts,
            events,
            params,
            errors,
        } = self;
        macro_rules! reset {
            ($($field:ident),*) => { $( *$field = Default::default(); )* };
        }
        macro_rules! reuse {
            ($($vec:ident),*) => { $( $vec.clear(); )* };
        }
        reset!(
            protocol,
            ad_flag,
            ad_cache_ms,
            platform,
            agent_version,
            created_ms,
            api_key,
            app_version,
            previous_delivered,
            ad_tracking,
            first_session_ms,
            session_start_ms,
            push_token,
            package,
            repaired_errors,
            non_ascii
        );
        reuse!(
            ad_ids,
            device_ids,
            properties,
            referrer,
            launch_options,
            origins,
            sessions,
            values,
            pairs,
            counts,
            events,
            params,
            errors
        );
    }

    /// (start, duration) of every session record, as they stand on the wire.
    pub fn spans(&self) -> impl Iterator<Item = (i64, i64)> {
        let sessions = self.sessions.iter();
        sessions.map(|session| (session.start_ms, session.duration_ms))
    }

    /// The device's own id: the bytes of the first id of type 0, or nothing.
    pub fn device_id(&self) -> &[u8] {
        self.device_ids
            .iter()
            .find(|(kind, _)| *kind == 0)
            .map_or(&[], |(_, bytes)| bytes)
    }
}

/// The part of a flat vector that a span names. Spans are made by the decoder
/// and always lie inside; an impossible one reads as empty rather than panic.
pub fn slice<'v, T>(flat: &'v [T], span: &Span) -> &'v [T] {
    flat.get(span.start as usize..span.end as usize)
        .unwrap_or(&[])
}
