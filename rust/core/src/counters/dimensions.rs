//! Values of the dimensions of a report and of a session.

use std::io::Write;

use super::ops::{EMPTY, Ops, Piece};
use super::program::Program;
use super::zones::Zones;
use crate::plan::{Dimension, REPORT_SLOTS, SESSION_SLOTS};
use crate::reason::Reason;
use crate::report::{ErrorRecord, Report, Session};
use crate::wire::text;

/// Hours of the day as they are written.
const HOURS: [&[u8]; 24] = [
    b"00", b"01", b"02", b"03", b"04", b"05", b"06", b"07", b"08", b"09", b"10", b"11", b"12",
    b"13", b"14", b"15", b"16", b"17", b"18", b"19", b"20", b"21", b"22", b"23",
];
/// Mean Gregorian year.
const YEAR_MS: i64 = 31_556_952_000;

/// Fingerprints of the values of a report and a session. Those that no rollup
/// asks for are never looked at and may be of another report.
#[derive(Default)]
pub(super) struct Prints {
    pub report: [u128; REPORT_SLOTS],
    pub session: [u128; SESSION_SLOTS],
    /// What time zones were called lately.
    zones: Zones,
}

/// Sets one value of a scope whose texts begin at `start`.
#[inline]
fn set<'b>(
    program: &Program,
    ops: &mut Ops<'b>,
    (start, prints): (u32, &mut [u128]),
    dimension: Dimension,
    piece: Piece<'b>,
) {
    let slot = dimension.slot();
    if let Some(print) = prints.get_mut(slot) {
        *print = ops.print(&program.keys, piece);
    }
    ops.set_piece(start as usize + slot, piece);
}

/// The only dimension of an unreadable record. Returns where the texts begin.
pub(super) fn of_unreadable(
    program: &Program,
    ops: &mut Ops<'_>,
    reason: Reason,
    prints: &mut Prints,
) -> u32 {
    let start = ops.push([EMPTY; REPORT_SLOTS]);
    let name = Piece::Borrowed(reason.name().as_bytes());
    let to = (start, &mut prints.report[..]);
    set(program, ops, to, Dimension::Reason, name);
    start
}

/// The report's own dimensions. Returns where their texts begin.
pub(super) fn of_report<'b>(
    program: &Program,
    ops: &mut Ops<'b>,
    report: &Report<'b>,
    (shift, receive_ms): (i64, i64),
    prints: &mut Prints,
) -> u32 {
    let start = ops.push([EMPTY; REPORT_SLOTS]);
    for &dimension in &program.wanted.report {
        let piece = match dimension {
            Dimension::AgentVersion => decimal(ops, report.agent_version),
            Dimension::Platform => decimal(ops, report.platform),
            Dimension::Protocol => decimal(ops, report.protocol),
            Dimension::DeviceModel => property(ops, report, b"device.model"),
            Dimension::Brand => property(ops, report, b"build.brand"),
            Dimension::OsVersion => property(ops, report, b"version.release"),
            Dimension::InstallDay => {
                match program
                    .time
                    .install_day(report.first_session_ms, shift, receive_ms)
                {
                    Some((year, month, day)) => {
                        written(ops, format_args!("{year:04}-{month:02}-{day:02}"))
                    }
                    None => EMPTY,
                }
            }
            _ => EMPTY,
        };
        let to = (start, &mut prints.report[..]);
        set(program, ops, to, dimension, piece);
    }
    start
}

/// The dimensions of a session that counts at `time_ms`. Returns where their
/// texts begin.
pub(super) fn of_session<'b>(
    program: &Program,
    ops: &mut Ops<'b>,
    report: &Report<'b>,
    session: &Session<'b>,
    time_ms: i64,
    prints: &mut Prints,
) -> u32 {
    let start = ops.push([EMPTY; SESSION_SLOTS]);
    for &dimension in &program.wanted.session {
        let piece = match dimension {
            Dimension::AppVersion => ops.normal(session.app_version, report.non_ascii),
            Dimension::Language => locale(ops, report, session, language_span),
            Dimension::Country => locale(ops, report, session, country_span),
            Dimension::TimeZone => optional(ops, session.timezone, report.non_ascii),
            Dimension::Network => Piece::Borrowed(network(session.network)),
            Dimension::Gender => Piece::Borrowed(gender(session.gender)),
            Dimension::AgeBand => Piece::Borrowed(age_band(session.birth_ms, time_ms)),
            Dimension::LocalHour => {
                let name = optional(ops, session.timezone, report.non_ascii);
                let print = ops.print(&program.keys, name);
                let zone = prints.zones.get(print, ops.bytes(name));
                let hour = zone.and_then(|zone| zone.hour(time_ms));
                let text = hour.and_then(|hour| HOURS.get(usize::from(hour)));
                text.map_or(EMPTY, |text| Piece::Borrowed(text))
            }
            Dimension::SessionLength => Piece::Borrowed(session_length(session.duration_ms)),
            _ => EMPTY,
        };
        let to = (start, &mut prints.session[..]);
        set(program, ops, to, dimension, piece);
    }
    start
}

/// For the report itself: what of a session's dimensions the envelope knows.
/// Returns where the texts begin.
pub(super) fn of_envelope<'b>(
    program: &Program,
    ops: &mut Ops<'b>,
    report: &Report<'b>,
    prints: &mut Prints,
) -> u32 {
    let start = ops.push([EMPTY; SESSION_SLOTS]);
    if program.wanted.session.contains(&Dimension::AppVersion) {
        let piece = ops.normal(report.app_version, report.non_ascii);
        let to = (start, &mut prints.session[..]);
        set(program, ops, to, Dimension::AppVersion, piece);
    }
    start
}

/// The dimension `error_kind`.
pub(super) fn error_kind(error: &ErrorRecord<'_>) -> &'static [u8] {
    match error.kind {
        Some(1) => b"no throwable",
        Some(2) => b"caught",
        Some(3) => b"uncaught",
        Some(_) => b"",
        None if same_text(error.error_id, b"uncaught") => b"uncaught",
        None => b"",
    }
}

/// Whether an error record is a crash.
pub(super) fn is_crash(error: &ErrorRecord<'_>) -> bool {
    error_kind(error) == b"uncaught"
}

/// Equality of converted texts: an overlong encoding of the same letters is the same.
fn same_text(wire: &[u8], ascii: &[u8]) -> bool {
    wire == ascii || (!wire.is_ascii() && text::utf8(wire).as_bytes() == ascii)
}

fn property<'b>(ops: &mut Ops<'b>, report: &Report<'b>, name: &[u8]) -> Piece<'b> {
    match report
        .properties
        .iter()
        .find(|(property, _)| same_text(property, name))
    {
        Some((_, value)) => ops.normal(value, report.non_ascii),
        None => EMPTY,
    }
}

fn optional<'b>(ops: &mut Ops<'b>, text: Option<&'b [u8]>, non_ascii: bool) -> Piece<'b> {
    ops.normal(text.unwrap_or(&[]), non_ascii)
}

fn locale<'b>(
    ops: &mut Ops<'b>,
    report: &Report<'b>,
    session: &Session<'b>,
    span: fn(&[u8]) -> (usize, usize),
) -> Piece<'b> {
    let locale = optional(ops, session.locale, report.non_ascii);
    ops.part(locale, span)
}

fn language_span(locale: &[u8]) -> (usize, usize) {
    (0, underscore(locale).unwrap_or(locale.len()))
}

fn country_span(locale: &[u8]) -> (usize, usize) {
    let Some(first) = underscore(locale) else {
        return (0, 0);
    };
    let start = first + 1;
    let rest = locale.get(start..).unwrap_or(&[]);
    (start, start + underscore(rest).unwrap_or(rest.len()))
}

fn underscore(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| *byte == b'_')
}

fn decimal<'b>(ops: &mut Ops<'b>, number: u16) -> Piece<'b> {
    written(ops, format_args!("{number}"))
}

fn written<'b>(ops: &mut Ops<'b>, text: std::fmt::Arguments<'_>) -> Piece<'b> {
    // Writing to a Vec does not fail.
    ops.write(|own| own.write_fmt(text).unwrap_or_default())
}

fn network(code: i8) -> &'static [u8] {
    match code {
        1 => b"available",
        2 => b"wifi",
        3 => b"cell",
        _ => b"",
    }
}

fn gender(code: i8) -> &'static [u8] {
    match code {
        0 => b"female",
        1 => b"male",
        _ => b"",
    }
}

fn age_band(birth_ms: Option<i64>, time_ms: i64) -> &'static [u8] {
    let Some(birth) = birth_ms.filter(|birth| *birth != 0) else {
        return b"";
    };
    match time_ms.saturating_sub(birth).div_euclid(YEAR_MS) {
        0..=12 => b"0-12",
        13..=17 => b"13-17",
        18..=24 => b"18-24",
        25..=34 => b"25-34",
        35..=54 => b"35-54",
        55..=120 => b"55+",
        _ => b"",
    }
}

fn session_length(duration_ms: i64) -> &'static [u8] {
    match duration_ms {
        ..0 => b"not ended",
        0..3_000 => b"0-3s",
        3_000..10_000 => b"3-10s",
        10_000..30_000 => b"10-30s",
        30_000..60_000 => b"30-60s",
        60_000..180_000 => b"1-3m",
        180_000..600_000 => b"3-10m",
        600_000..1_800_000 => b"10-30m",
        1_800_000.. => b"30m+",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands() {
        for (duration, band) in [
            (i64::MIN, "not ended"),
            (-1, "not ended"),
            (0, "0-3s"),
            (2_999, "0-3s"),
            (3_000, "3-10s"),
            (10_000, "10-30s"),
            (30_000, "30-60s"),
            (60_000, "1-3m"),
            (180_000, "3-10m"),
            (600_000, "10-30m"),
            (1_799_999, "10-30m"),
            (1_800_000, "30m+"),
            (i64::MAX, "30m+"),
        ] {
            assert_eq!(session_length(duration), band.as_bytes(), "{duration}");
        }
        let now = 1_384_387_200_000;
        for (years, band) in [
            (0, "0-12"),
            (13, "13-17"),
            (18, "18-24"),
            (25, "25-34"),
            (35, "35-54"),
            (55, "55+"),
            (120, "55+"),
            (121, ""),
        ] {
            assert_eq!(age_band(Some(now - years * YEAR_MS), now), band.as_bytes());
        }
        assert_eq!(age_band(Some(now - 13 * YEAR_MS + 1), now), b"0-12");
        assert_eq!(age_band(Some(now + 1), now), b"");
        assert_eq!(age_band(Some(0), now), b"");
        assert_eq!(age_band(None, now), b"");
        assert_eq!(age_band(Some(i64::MIN), now), b"");
        assert_eq!(age_band(Some(i64::MAX), now), b"");
    }

    #[test]
    fn locales() {
        for (locale, language, country) in [
            ("", "", ""),
            ("en", "en", ""),
            ("he_", "he", ""),
            ("en_US", "en", "US"),
            ("zh_TW_Hant", "zh", "TW"),
            ("_US", "", "US"),
            ("__", "", ""),
        ] {
            let cut = |span: fn(&[u8]) -> (usize, usize)| {
                let (from, to) = span(locale.as_bytes());
                &locale[from..to]
            };
            assert_eq!(cut(language_span), language, "{locale}");
            assert_eq!(cut(country_span), country, "{locale}");
        }
    }

    #[test]
    fn kinds_of_errors() {
        let error = |kind, error_id| ErrorRecord {
            kind,
            error_id,
            ..ErrorRecord::default()
        };
        assert_eq!(error_kind(&error(None, b"uncaught")), b"uncaught");
        // c1 b5 is an overlong "u": the same text once it is converted.
        assert_eq!(error_kind(&error(None, b"\xC1\xB5ncaught")), b"uncaught");
        assert_eq!(error_kind(&error(None, b"other")), b"");
        assert_eq!(error_kind(&error(Some(1), b"uncaught")), b"no throwable");
        assert_eq!(error_kind(&error(Some(2), b"uncaught")), b"caught");
        assert_eq!(error_kind(&error(Some(3), b"")), b"uncaught");
        assert_eq!(error_kind(&error(Some(0), b"uncaught")), b"");
        assert!(is_crash(&error(Some(3), b"x")));
        assert!(!is_crash(&error(Some(1), b"uncaught")));
    }

    #[test]
    fn networks_and_genders() {
        assert_eq!(
            [-1, 0, 1, 2, 3, 4].map(network),
            [&b""[..], b"", b"available", b"wifi", b"cell", b""]
        );
        assert_eq!(
            [-1, 0, 1, 2].map(gender),
            [&b""[..], b"female", b"male", b""]
        );
    }
}
