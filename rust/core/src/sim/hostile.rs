//! Reports that mean harm but keep to the format: extreme numbers, names made
//! to fill memory, to pass caps or to break whoever prints them.

use super::ink::Ink;
use super::rng::Rng;
use crate::report::{Event, Location, Report, Session, Span, Text};

/// A way to harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Times, offsets and durations at the ends of their ranges.
    ExtremeTimes,
    /// Occurrence counts, page views and totals at the ends of their ranges.
    ExtremeCounts,
    /// Durations of −2, −1, 30 days and more.
    Durations,
    /// Clocks and sessions in 2099 and 1970.
    FarDates,
    /// 255-byte names, and one of 65,535 bytes.
    LongNames,
    /// Hundreds of names never seen before, in every dimension.
    ManyNames,
    /// Lone surrogates, NUL, control characters, `(other)`, quotes, commas.
    StrangeText,
    /// No properties, no device id, empty texts everywhere.
    Nothing,
    /// The same session many times, and repeated names.
    Repeats,
    /// An empty API key.
    EmptyKey,
    /// An API key of 256 bytes.
    LongKey,
    /// An API key of 255 bytes, not all of them ASCII: allowed.
    LongestKey,
    /// Numbers that no enumeration knows; NaN as a place.
    StrangeValues,
    /// Locales and time zones that look almost right.
    StrangePlaces,
}

impl Attack {
    pub const ALL: &'static [Attack] = &[
        Attack::ExtremeTimes,
        Attack::ExtremeCounts,
        Attack::Durations,
        Attack::FarDates,
        Attack::LongNames,
        Attack::ManyNames,
        Attack::StrangeText,
        Attack::Nothing,
        Attack::Repeats,
        Attack::EmptyKey,
        Attack::LongKey,
        Attack::LongestKey,
        Attack::StrangeValues,
        Attack::StrangePlaces,
    ];
}

const LONE_HIGH: &[u8] = &[0xED, 0xA0, 0xBD];
const LONE_LOW: &[u8] = &[0xED, 0xB8, 0x80];
const TIMES: [i64; 8] = [
    i64::MIN,
    i64::MIN + 1,
    -1,
    0,
    1,
    1 << 40,
    i64::MAX - 1,
    i64::MAX,
];
const COUNTS: [i32; 7] = [i32::MIN, -1, 0, 1, 999_999, 1_000_001, i32::MAX];
const DAY: i64 = 86_400_000;

/// Changes `report`, which stays encodable.
pub fn spoil<'a>(report: &mut Report<'a>, attack: Attack, rng: &mut Rng, ink: Ink<'a>) {
    match attack {
        Attack::ExtremeTimes => extreme_times(report, rng),
        Attack::ExtremeCounts => extreme_counts(report, rng),
        Attack::Durations => durations(report, rng),
        Attack::FarDates => far_dates(report, rng),
        Attack::LongNames => long_names(report, rng, ink),
        Attack::ManyNames => many_names(report, rng, ink),
        Attack::StrangeText => strange_text(report, rng, ink),
        Attack::Nothing => nothing(report),
        Attack::Repeats => repeats(report, rng),
        Attack::EmptyKey => report.api_key = b"",
        Attack::LongKey => report.api_key = ink.repeat(b"K", 256),
        Attack::LongestKey => {
            report.api_key = ink.join(&["ключ".as_bytes(), &b"L".repeat(247)]);
        }
        Attack::StrangeValues => strange_values(report, rng),
        Attack::StrangePlaces => strange_places(report, rng),
    }
}

fn extreme_times(report: &mut Report<'_>, rng: &mut Rng) {
    let mut any = || *rng.pick(&TIMES).unwrap_or(&0);
    report.created_ms = any();
    report.first_session_ms = any();
    report.session_start_ms = any();
    for session in &mut report.sessions {
        session.start_ms = any();
        session.duration_ms = any();
        session.pause_ms = if report.protocol == 8 { 0 } else { any() };
        session.birth_ms = session.birth_ms.map(|_| any());
    }
    for event in &mut report.events {
        event.offset_ms = event.offset_ms.map(|_| any());
        event.duration_ms = event.duration_ms.map(|_| any());
    }
    for error in &mut report.errors {
        error.time_ms = any();
    }
}

fn extreme_counts(report: &mut Report<'_>, rng: &mut Rng) {
    let mut any = || *rng.pick(&COUNTS).unwrap_or(&0);
    for session in &mut report.sessions {
        session.page_views = any();
        session.total_errors = any();
    }
    for (_, count) in &mut report.counts {
        *count = any();
    }
}

fn durations(report: &mut Report<'_>, rng: &mut Rng) {
    const DURATIONS: [i64; 9] = [
        -2,
        -1,
        0,
        2_999,
        3_000,
        1_800_000,
        30 * DAY,
        30 * DAY + 1,
        1 << 53,
    ];
    for session in &mut report.sessions {
        session.duration_ms = *rng.pick(&DURATIONS).unwrap_or(&0);
    }
    for event in &mut report.events {
        event.duration_ms = event
            .duration_ms
            .map(|_| *rng.pick(&DURATIONS).unwrap_or(&0));
    }
}

fn far_dates(report: &mut Report<'_>, rng: &mut Rng) {
    const FAR: [i64; 5] = [4_070_908_800_000, 4_102_444_799_999, 0, 86_399_999, -DAY];
    let shift = *rng.pick(&FAR).unwrap_or(&0) - report.created_ms;
    // Half of them lie about everything alike, half only about the sessions.
    if rng.chance(0.5) {
        report.created_ms += shift;
        report.first_session_ms += shift;
        report.session_start_ms += shift;
    }
    for session in &mut report.sessions {
        session.start_ms += shift;
    }
}

fn long_names<'a>(report: &mut Report<'a>, rng: &mut Rng, ink: Ink<'a>) {
    let ascii = ink.join(&[&b"n".repeat(253), &[b'0' + rng.below(10) as u8, b'.']]);
    let wide = ink.repeat("漢".as_bytes(), 255);
    let longest = ink.repeat(b"x", 65_535);
    for (_, value) in &mut report.properties {
        *value = ascii;
    }
    for (i, session) in report.sessions.iter_mut().enumerate() {
        session.user_id = if i == 0 && rng.chance(0.3) {
            longest
        } else {
            wide
        };
        session.app_version = wide;
    }
    for (i, event) in report.events.iter_mut().enumerate() {
        event.name = if i % 2 == 0 { ascii } else { wide };
    }
    for (name, value) in &mut report.params {
        (*name, *value) = (ascii, wide);
    }
}

/// Names by the hundred, so that the caps of event, parameter, error and
/// version rollups are passed within one hour of one app.
fn many_names<'a>(report: &mut Report<'a>, rng: &mut Rng, ink: Ink<'a>) {
    let Some(mut session) = report.sessions.pop() else {
        return;
    };
    let nonce = rng.next();
    session.app_version = ink.hex(b"v", nonce);
    if let Some((_, model)) = report.properties.first_mut() {
        *model = ink.hex(b"model ", nonce);
    }
    let (counts, events) = (report.counts.len(), report.events.len());
    for i in 0..100 + rng.below(300) {
        let name = ink.hex(b"event ", nonce ^ i);
        report.counts.push((name, 1));
        let from = report.params.len() as u32;
        report
            .params
            .push((ink.hex(b"key ", nonce ^ i), ink.hex(b"value ", nonce ^ i)));
        report.events.push(Event {
            id: (report.protocol >= 22).then_some(i as u16),
            name,
            params: from..from + 1,
            offset_ms: (report.protocol != 8).then_some(i as i64),
            duration_ms: (report.protocol != 8).then_some(1),
        });
    }
    session.counts = span(counts, report.counts.len());
    session.events = span(events, report.events.len());
    report.sessions.push(session);
}

fn strange_text<'a>(report: &mut Report<'a>, rng: &mut Rng, ink: Ink<'a>) {
    let strange: [Text<'a>; 10] = [
        LONE_HIGH,
        LONE_LOW,
        ink.join(&[b"cut ", LONE_HIGH]),
        ink.join(&[LONE_LOW, LONE_HIGH]),
        &[b'n', 0xC0, 0x80, b'l'],
        b"raw \0 nul",
        b"(other)",
        b"(unknown)",
        b"a,\"b\"\r\n\t\x1b[31m;--",
        "\u{202e}desrever <script>".as_bytes(),
    ];
    let mut any = || rng.pick(&strange).copied().unwrap_or(b"");
    for (_, value) in &mut report.properties {
        *value = any();
    }
    for session in &mut report.sessions {
        session.app_version = any();
        session.user_id = any();
        session.locale = session.locale.map(|_| any());
        session.timezone = session.timezone.map(|_| any());
    }
    for (name, _) in &mut report.counts {
        *name = any();
    }
    for event in &mut report.events {
        event.name = any();
    }
    for (name, value) in &mut report.params {
        (*name, *value) = (any(), any());
    }
    for error in &mut report.errors {
        (error.error_id, error.message) = (any(), any());
    }
}

fn nothing(report: &mut Report<'_>) {
    report.app_version = b"";
    report.properties.clear();
    // Protocols 8 and 15 always have one id; it can be empty.
    if report.protocol >= 22 {
        report.device_ids.clear();
    } else {
        report.device_ids.iter_mut().for_each(|(_, id)| *id = b"");
    }
    for session in &mut report.sessions {
        session.app_version = b"";
        session.user_id = b"";
        session.locale = session.locale.map(|_| &b""[..]);
        session.timezone = session.timezone.map(|_| &b""[..]);
    }
    for (name, _) in &mut report.counts {
        *name = b"";
    }
    for event in &mut report.events {
        event.name = b"";
    }
    for (name, value) in &mut report.params {
        (*name, *value) = (b"", b"");
    }
}

fn repeats(report: &mut Report<'_>, rng: &mut Rng) {
    let Some(session) = report.sessions.last().cloned() else {
        return;
    };
    for _ in 0..2 + rng.below(20) {
        let change = rng.ms(3) - 1;
        report.sessions.push(Session {
            duration_ms: session.duration_ms.saturating_add(change).max(-1),
            ..session.clone()
        });
    }
    if let Some(first) = report.counts.first().cloned() {
        for (name, _) in report.counts.iter_mut().step_by(2) {
            *name = first.0;
        }
    }
    if let Some(first) = report.properties.first().copied() {
        report.properties.push((first.0, b"second"));
    }
}

fn strange_values(report: &mut Report<'_>, rng: &mut Rng) {
    report.platform = rng.next() as u16;
    report.agent_version = rng.next() as u16;
    report.ad_flag = rng.next() as u16;
    for session in &mut report.sessions {
        if report.protocol != 8 {
            session.network = rng.next() as i8;
            session.gender = rng.next() as i8;
            session.unknown = [rng.next() as i8, rng.next() as i8];
            session.birth_ms = Some(rng.next() as i64 >> rng.below(40));
        }
        session.location = Some(Location {
            lat_bits: f64::NAN.to_bits() | rng.below(99),
            lon_bits: f64::INFINITY.to_bits(),
            accuracy_bits: (-0.0f32).to_bits(),
        });
    }
    for error in &mut report.errors {
        error.kind = error.kind.map(|_| rng.next() as u8);
    }
}

fn strange_places(report: &mut Report<'_>, rng: &mut Rng) {
    const LOCALES: [&[u8]; 8] = [
        b"",
        b"_",
        b"__",
        b"_US",
        b"en_US_POSIX",
        b"EN_us",
        b"zh_Hans_CN",
        b"e",
    ];
    const ZONES: [&[u8]; 12] = [
        b"",
        b"GMT",
        b"UTC",
        b"GMT+24",
        b"GMT-23:59",
        b"GMT+1:5",
        b"UTC+05:45",
        b"gmt+3",
        b"Mars/Phobos",
        b"america/new_york",
        b"America/Argentina/Buenos_Aires",
        b"Etc/GMT+12",
    ];
    for session in &mut report.sessions {
        session.locale = session.locale.and(rng.pick(&LOCALES).copied());
        session.timezone = session.timezone.and(rng.pick(&ZONES).copied());
    }
}

fn span(from: usize, to: usize) -> Span {
    from as u32..to as u32
}
