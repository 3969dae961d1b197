//! The decoder, what looks at reports before it (`peek`) and what shows them (JSON).

use flurry_core::report::{Report, Span, Text};
use flurry_core::wire::{self, Limits, text};
use flurry_core::{json, reason::Reason};
use serde::de::IgnoredAny;

use crate::allocations::most_during;

/// The most that reading may hold, for each byte of a report: an event of
/// protocol 8 takes 4 bytes on the wire and 64 in memory, in a vector that
/// doubles, and is there twice while it grows.
const HELD_PER_BYTE: usize = 64;
/// The most JSON for each byte: an error record of 14 bytes, with the names of its fields.
const JSON_PER_BYTE: usize = 20;
/// Vectors begin with room for a few records, lines with the envelope's names.
const HELD_ANYWAY: usize = 4_096;

/// So small that small reports meet them.
const TIGHT: Limits = Limits {
    max_report_bytes: 2_048,
    max_records: 24,
    max_repair_bytes: 512,
};

/// Reads, looks at and shows any bytes.
pub fn check(bytes: &[u8]) {
    let limits = Limits::default();
    let mut report = Report::default();
    let (outcome, held) = most_during(|| wire::decode(bytes, &limits, &mut report));
    assert!(
        held <= HELD_PER_BYTE * bytes.len() + HELD_ANYWAY,
        "{held} bytes held to read {}",
        bytes.len()
    );
    let mut line = Vec::new();
    match outcome {
        Ok(()) => {
            inside(&report);
            json::write_report(&report, &mut line);
            assert!(line.len() <= JSON_PER_BYTE * bytes.len() + HELD_ANYWAY);
        }
        Err(reason) => {
            assert_eq!(report, Report::default());
            json::write_outcome(reason, &mut line);
        }
    }
    assert!(serde_json::from_slice::<IgnoredAny>(&line).is_ok());
    peeked(bytes, outcome.is_ok().then_some(&report));
    tightly(bytes, outcome.map(|()| &report));
}

/// A key can be had of any bytes, and of a readable report the right one.
fn peeked(bytes: &[u8], report: Option<&Report<'_>>) {
    let limits = Limits::default();
    match (wire::peek(bytes, &limits), report) {
        (Ok(peek), Some(report)) => {
            assert_eq!(peek.api_key, report.api_key);
            assert_eq!(peek.device_id, report.device_id());
        }
        (Err(reason), Some(_)) => panic!("readable, but not to peek at: {reason}"),
        (_, None) => {}
    }
    let mut key = Vec::new();
    wire::message_key(bytes, &limits, 16, &mut key);
    assert!(!key.is_empty() && key.len() <= 255 + 11);
}

/// Smaller limits turn a report into `over_budget`, and change nothing else.
fn tightly(bytes: &[u8], freely: Result<&Report<'_>, Reason>) {
    let mut report = Report::default();
    let tight = wire::decode(bytes, &TIGHT, &mut report);
    match freely {
        Ok(free) if free.repaired_errors == 0 => match tight {
            Ok(()) => assert_eq!(&report, free),
            Err(reason) => assert_eq!(reason, Reason::OverBudget),
        },
        // Where repair searched, a limit can also end the search of one place.
        _ => assert!(tight.is_err() || report.repaired_errors != 0),
    }
}

/// Every text is one, and every span lies inside its vector.
fn inside(report: &Report<'_>) {
    let mut non_ascii = false;
    let mut text = |text: Text<'_>| {
        assert!(text::is_accepted(text));
        non_ascii |= !text.is_ascii();
    };
    text(report.api_key);
    text(report.app_version);
    report.push_token.into_iter().for_each(&mut text);
    report.package.into_iter().for_each(&mut text);
    report.values.iter().copied().for_each(&mut text);
    for (name, value) in report
        .properties
        .iter()
        .chain(&report.pairs)
        .chain(&report.params)
    {
        text(name);
        text(value);
    }
    for (name, span) in report.referrer.iter().chain(&report.launch_options) {
        text(name);
        within(span, &report.values);
    }
    for (name, span) in &report.origins {
        text(name);
        within(span, &report.pairs);
    }
    for session in &report.sessions {
        [session.app_version, session.user_id]
            .into_iter()
            .for_each(&mut text);
        session
            .locale
            .into_iter()
            .chain(session.timezone)
            .for_each(&mut text);
        within(&session.properties, &report.pairs);
        within(&session.counts, &report.counts);
        within(&session.events, &report.events);
        within(&session.errors, &report.errors);
        if let Some(launch) = &session.launch {
            launch
                .origin
                .into_iter()
                .chain(launch.deep_link)
                .for_each(&mut text);
            within(&launch.options, &report.pairs);
        }
    }
    report.counts.iter().for_each(|(name, _)| text(name));
    for event in &report.events {
        text(event.name);
        within(&event.params, &report.params);
    }
    for error in &report.errors {
        [error.error_id, error.message, error.class]
            .into_iter()
            .for_each(&mut text);
    }
    if report.protocol < 22 {
        report.device_ids.iter().for_each(|(_, id)| text(id));
    }
    assert_eq!(report.non_ascii, non_ascii);
}

fn within<T>(span: &Span, flat: &[T]) {
    assert!(span.start <= span.end && span.end as usize <= flat.len());
}
